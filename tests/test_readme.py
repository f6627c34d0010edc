"""The commands that README quotes are commands that there are, and mean something."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep

from howdeep.cli import parser
from howdeep.study.composition import compose_train
from tests.commands import completed

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^    (howdeep (?:\\\n|.)*)$", README, re.MULTILINE)
QUOTED = BLOCKS + re.findall(r"`(howdeep [^`]*)`", README)
COMMANDS = sorted({shlex.join(shlex.split(command.replace("\\\n", ""), comments=True)) for command in QUOTED})
TRAIN = [command for command in COMMANDS if command.startswith("howdeep train") and "elman" not in command]
OTHER = [command for command in COMMANDS if not command.startswith("howdeep train")]
TARGETS = sorted(set(re.findall(r"(?:`|^    |=\S+ )make ([a-z-]+)", README, re.MULTILINE)))


def first(override: str) -> str:
    """An override, or the first that a sweep over it would try."""
    (parsed,) = OverridesParser.create().parse_overrides([override])
    if not parsed.is_sweep_override():
        return override
    value = parsed.value()
    least = value.start if isinstance(value, IntervalSweep) else next(parsed.sweep_iterator())
    return f"{parsed.get_key_element()}={least}"


def test_commands_are_found():
    assert {"howdeep train debug=smoke", "howdeep compare --against 'HEAD~1'", "howdeep ui"} <= set(COMMANDS)
    assert any("hydra/sweeper=optuna" in command for command in TRAIN)
    assert {"repro", "test", "bench"} <= set(TARGETS)


SOLVED = "reference.width"  # finding the widths takes seconds


@pytest.mark.parametrize(
    "command", [pytest.param(c, marks=pytest.mark.slow if SOLVED in c else ()) for c in TRAIN]
)
def test_what_readme_trains_composes(command):
    typed = shlex.split(command)[2:]
    options = {"-m", "--cfg", "job", "--config-path", "--config-name", "config"}
    overrides = [first(w) for w in typed if w not in options and not w.startswith(("hydra", "multirun/"))]
    compose_train(ROOT / "conf", overrides)


@pytest.mark.parametrize("command", OTHER)
def test_readme_s_other_commands_are_understood(command):
    parser().parse_args(shlex.split(command)[1:])


@pytest.mark.parametrize("target", TARGETS)
def test_readme_s_targets_are_in_the_makefile(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("debug", ["smoke", "overfit", "profile"])
def test_every_debug_config_trains(project, tmp_path, debug):
    shutil.copytree(project.root, tmp_path / "here")
    done = completed(tmp_path / "here", "train", f"debug={debug}", "hydra.run.dir=out")
    assert done.returncode == 0, done.stderr
    asked = "train loss" if debug == "overfit" else "val loss"
    assert f"mlp depth 1 on digits, seed 0: {asked}" in done.stdout
    assert ("Profile" in done.stdout + done.stderr) is (debug == "profile")


@pytest.mark.slow
def test_cfg_job_shows_what_would_be_trained_and_trains_nothing(project, tmp_path):
    shutil.copytree(project.conf, tmp_path / "conf")
    shutil.copy(project.params, tmp_path)
    done = completed(tmp_path, "train", "model=lstm", "data=sunspots", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "_target_: howdeep.nets.lstm.LSTM" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"conf", "params.yaml"}
