"""Tab completes what the command would take: asked directly, and by real shells."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from howdeep.cli import COMMANDS, main
from howdeep.study import params


@pytest.fixture(autouse=True)
def here(project, monkeypatch) -> Path:
    monkeypatch.chdir(project.root)
    return project.root


@pytest.fixture
def ask(capsys):
    """What Tab offers behind a line typed in bash."""

    def of(line: str) -> list[str]:
        assert main(["completion", "bash", "--", line]) == 0
        return capsys.readouterr().out.splitlines()

    return of


def files(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.yaml"))


def test_commands_are_completed(ask):
    assert ask("howdeep ") == sorted(f"{command} " for command in ("train", *COMMANDS))
    assert ask("  howdeep   tr") == ["train ", "train-entry "]
    assert ask("howdeep completion ") == ["bash ", "fish ", "zsh "]
    assert ask("howdeep nothing ") == []


def test_options_are_those_of_the_command(ask):
    assert ask("howdeep compare --") == ["--against ", "--help ", "--replicate "]
    assert ask("howdeep train-entry digits-mlp --w") == ["--workers "]
    assert ask("howdeep train --mul") == ["--multirun "]
    assert ask("howdeep train --cfg ") == ["all ", "hydra ", "job "]


@pytest.mark.parametrize("command", ["train-entry", "tune-entry"])
def test_entries_are_those_of_params_yaml(ask, here, command):
    assert ask(f"howdeep {command} ") == sorted(
        f"{name} " for name in params.read(here / "params.yaml").entries
    )


def test_every_group_and_each_of_its_choices_is_offered(ask, here):
    offered = ask("howdeep train ")
    for group in (path for path in (here / "conf").iterdir() if path.is_dir() and path.name != "hydra"):
        assert f"{group.name}=" in offered
        for command in ("train", "pull", "prepare"):
            choices = ask(f"howdeep {command} model=mlp {group.name}=")
            assert choices == [f"{group.name}={choice} " for choice in files(group)]
    assert {"hydra/launcher=", "hydra/sweeper="} <= set(ask("howdeep train hydra/"))
    assert {f"hydra/sweeper={name} " for name in ("basic", "grid", "optuna")} == set(
        ask("howdeep train hydra/sweeper=")
    )


def test_in_a_multirun_a_comma_asks_for_another_choice(ask):
    assert ask("howdeep train -m model=mlp,ls") == ["model=mlp,lstm"]
    assert "model=mlp,mlp" not in ask("howdeep train -m model=mlp,")
    assert ask("howdeep train -m optimizer=sgd") == ["optimizer=sgd"]  # a comma may follow


def test_keys_are_those_of_what_was_chosen_before(ask):
    assert "model.kernel=" not in ask("howdeep train model.")
    assert ask("howdeep train model=lstm model.forget") == ["model.forget_bias="]
    assert ask("howdeep train hydra/sweeper=optuna hydra.sweeper.n_t") == ["hydra.sweeper.n_trials="]
    assert ask("howdeep train mod") == ["model.", "model="]
    assert ask("howdeep train seed=") == ["seed=0 "]
    assert ask("howdeep train ++trainer.max_e") == ["++trainer.max_epochs="]


@pytest.mark.parametrize(
    "line",
    ["", "howdeep", "howdeep train 'model=", "howdeep train model=no x.", "howdeep train =", "howdeep train ..="],
)  # fmt: skip
def test_what_cannot_be_completed_is_left_to_the_shell(ask, line):
    assert ask(line) == []


def test_outside_of_a_project_commands_are_completed(ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ask("howdeep rep") == ["repair ", "report "]
    assert ask("howdeep train mod") == ask("howdeep train-entry ") == []


@pytest.mark.parametrize("word", ["-sc", "-s", "--shell-completion", "--shell", "--s"])
def test_hydras_own_completion_is_refused_with_what_works(capsys, word):
    assert main(["train", word, "install=bash"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "write `howdeep completion bash`" in err


# Real shells

HOME, END = "\x01", "\x05"  # keys
COMMANDS_OF = {"bash": ["bash", "--norc"], "zsh": ["zsh", "-f"], "fish": ["fish", "--no-config"]}
TYPED = {
    "howdeep rep\t": "<howdeep><rep>",  # report or repair
    "howdeep train-e\tsunspots-l\t": "<howdeep><train-entry><sunspots-lstm>",
    "howdeep train mode\t=ls\tdata=sunsp\t": "<howdeep><train><model=lstm><data=sunspots>",
    "howdeep train -m model=mlp,ls\t": "<howdeep><train><-m><model=mlp,lstm>",
    "howdeep train model=lstm model.forg\t1": "<howdeep><train><model=lstm><model.forget_bias=1>",
    "howdeep train 'seed=1' hydra/sweeper=op\t": "<howdeep><train><seed=1><hydra/sweeper=optuna>",
}


@pytest.mark.slow
@pytest.mark.parametrize("shell", COMMANDS_OF)
def test_a_real_shell_completes_what_is_typed(here, tmp_path, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    assert type_into(shell, here, tmp_path, list(TYPED)) == list(TYPED.values())


@pytest.mark.slow
def test_bash_completes_where_a_word_is_not_broken_at_its_equals_sign_and_files_where_we_know_nothing(
    here, tmp_path
):
    whole = "COMP_WORDBREAKS=${COMP_WORDBREAKS//=}"
    assert type_into("bash", here, tmp_path, ["howdeep train model=ls\t"], whole) == [
        "<howdeep><train><model=lstm>"
    ]
    file = type_into("bash", here, tmp_path, ["howdeep train resume=conf/multi\t"])
    assert file == ["<howdeep><train><resume=conf/multirun.yaml>"]


def type_into(shell: str, folder: Path, home: Path, lines: list[str], before: str = "true") -> list[str]:
    """The words that a shell makes of lines typed at its prompt."""
    (home / "bin").mkdir(exist_ok=True)
    command = home / "bin" / "howdeep"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m howdeep "$@"\n')
    command.chmod(0o755)
    env = {**os.environ, "TERM": "dumb", "HOME": str(home), "PATH": f"{command.parent}:{os.environ['PATH']}"}
    script = subprocess.run(
        [command, "completion", shell], capture_output=True, text=True, env=env, check=True
    )
    (home / "script").write_text(script.stdout)
    terminal = pexpect.spawn(
        COMMANDS_OF[shell][0], COMMANDS_OF[shell][1:], cwd=str(folder), env=env, encoding="utf-8",
        timeout=60, dimensions=(50, 200),
    )  # fmt: skip
    terminal.sendline(f"{before}; source {home}/script")
    words = []
    for number, line in enumerate(lines):
        terminal.sendline(f"printf 'ready%s,' {number}")
        terminal.expect(f"ready{number},")
        terminal.send(
            f"{line}{HOME}printf '<%s>' {END}; printf 'end%s,' {number}\r"
        )  # a shell takes keys in turn
        terminal.expect(rf"((?:<[^<>\s]*>)+)end{number},")
        assert isinstance(terminal.match, re.Match)
        words.append(terminal.match[1])
    terminal.close()
    return words
