"""A folder with a run is never given to another one, and a project is the one that the command was typed in."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from howdeep.cli import main

pytestmark = pytest.mark.slow
SMALL = ("model.width=4", "trainer.max_epochs=1", "train_examples=60")
UNTRACKED = (*SMALL, "tracking.uri=null")


@pytest.fixture
def clone(project, tmp_path, monkeypatch) -> Iterator[Path]:
    """A project to type commands in, in this process."""
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    }
    folder = tmp_path / "clone"
    shutil.copytree(project.root, folder, ignore=shutil.ignore_patterns("scratch"))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", sys.argv)
    yield folder
    for number, handler in handlers.items():
        signal.signal(number, handler)


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "study.journal"
    }


def record(folder: Path) -> dict:
    return json.loads((folder / "run" / "record.json").read_text())


def refusals(capfd) -> list[str]:
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("howdeep: ")]
    assert all("\n" not in line and "Traceback" not in line for line in lines)
    return lines


@pytest.mark.parametrize("first", ["seed=0", "optimizer.lr=1e30"], ids=["finished", "diverged"])
def test_another_run_into_the_same_folder_is_refused_and_changes_nothing_in_it(clone, capfd, first):
    fails = first != "seed=0"
    net = ("model.normalisation=none", "optimizer=sgd")
    assert main(["train", *UNTRACKED, *net, "hydra.run.dir=out", first]) == fails
    before = content(clone / "out")
    assert {"run/record.json", ".hydra/config.yaml", ".hydra/overrides.yaml"} <= set(before)
    refusals(capfd)
    for other in ("seed=1", "model.depth=2", "trainer.max_epochs=2"):
        assert main(["train", *UNTRACKED, *net, "hydra.run.dir=out", first, other]) == 1
        (line,) = refusals(capfd)
        assert (
            f"out/run has another one, mlp depth 1, seed 0, with the key {record(clone / 'out')['key']}"
            in line
        )
        assert line.endswith("choose another hydra.run.dir, or move it away")
        assert content(clone / "out") == before
    assert main(["train", *UNTRACKED, *net, "hydra.run.dir=out", first]) == fails
    assert content(clone / "out") == before


def test_a_record_that_cannot_be_read_is_not_overwritten_either(clone, capfd):
    (clone / "out/run").mkdir(parents=True)
    (clone / "out/run/record.json").write_text("{")
    assert main(["train", *UNTRACKED, "hydra.run.dir=out"]) == 1
    (line,) = refusals(capfd)
    assert "has a record that cannot be read" in line
    assert content(clone / "out") == {"run/record.json": b"{"}


@pytest.mark.parametrize(
    ("subdir", "swept", "words"),
    [
        ("d${model.depth}", ["seed=0,1,2"], "seed=0 and seed=1 would both go to"),
        ("all", ["model=mlp,cnn"], "model=mlp and model=cnn would both go to"),
        ("${hydra:runtime.choices.model}", ["seed=3,4"], "seed=3 and seed=4 would both go to"),
        ("s${seed}/../x", ["seed=3,4"], "seed=3 and seed=4 would both go to"),
        (
            "${hydra.job.override_dirname}",
            ["seed=3,4", "hydra.job.config.override_dirname.exclude_keys=[seed]"],
            "seed=3 and seed=4 would both go to",
        ),
    ],
)
def test_a_multirun_of_several_runs_into_one_folder_is_refused_before_anything_is_written(
    clone, capfd, subdir, swept, words
):
    before = content(clone)
    assert main(["train", "-m", *UNTRACKED, f"hydra.sweep.subdir='{subdir}'", *swept]) == 1
    (line,) = refusals(capfd)
    assert words in line
    assert line.endswith("name in hydra.sweep.subdir all that they differ in")
    assert content(clone) == before


def test_a_multirun_whose_folders_tell_its_runs_apart_runs_them_all(clone):
    swept = (
        "seed=0,1",
        "model.depth=1,2",
        "hydra.sweep.subdir='d${model.depth}-${seed}'",
        "hydra.sweep.dir=m",
    )
    assert main(["train", "-m", *UNTRACKED, *swept]) == 0
    found = {path.parent.name: record(path.parent) for path in (clone / "m").glob("*/run")}
    assert {name: (of["depth"], of["seed"]) for name, of in found.items()} == {
        f"d{depth}-{seed}": (depth, seed) for depth in (1, 2) for seed in (0, 1)
    }


def test_the_same_run_may_come_twice_in_a_multirun(clone):
    same = ("optimizer.lr=0.001,1e-3", "hydra.sweep.subdir='s${seed}'", "hydra.sweep.dir=m")
    assert main(["train", "-m", *UNTRACKED, *same]) == 0
    assert record(clone / "m/s0")["seed"] == 0


@pytest.mark.parametrize("sweeper", ["grid", "basic"])
def test_a_second_multirun_into_the_folder_of_another_keeps_what_is_there(clone, capfd, sweeper):
    typed = ["train", "-m", f"hydra/sweeper={sweeper}", *UNTRACKED, "hydra.sweep.dir=m"]
    assert main([*typed, "seed=0,1"]) == 0
    before = {number: content(clone / "m" / number) for number in "01"}
    refusals(capfd)
    assert main([*typed, "seed=5,1,6"]) == 1
    (line,) = refusals(capfd)
    assert "m/0/run has another one, mlp depth 1, seed 0" in line
    assert line.endswith("choose another hydra.sweep.dir, or move it away")
    assert {number: content(clone / "m" / number) for number in "01"} == before
    assert record(clone / "m/2")["seed"] == 6


def test_two_sweeps_into_one_folder_keep_each_others_trials(clone):
    typed = ["train", "-m", "hydra/sweeper=optuna", *UNTRACKED, "hydra.sweep.dir=m", "hydra.sweeper.n_jobs=1"]
    typed += ["model.depth=1,2", "hydra.sweeper.n_trials=2", "hydra.sweeper.sampler=grid"]
    assert main(typed) == 0
    [first] = (clone / "m").iterdir()
    before = content(first)
    assert main([*typed, "seed=1"]) == 0
    assert len(list((clone / "m").iterdir())) == 2  # a folder a study
    assert content(first) == before


def test_of_two_runs_at_once_into_one_folder_one_is_there_whole(clone):
    commands = [
        [sys.executable, "-m", "howdeep", "train", *UNTRACKED, "hydra.run.dir=out", f"seed={seed}"]
        for seed in (0, 1)
    ]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    said = [process.communicate(timeout=300)[1] for process in running]
    codes = [process.returncode for process in running]
    assert sorted(codes) == [0, 1], said
    assert "out/run has another one" in said[codes.index(1)]
    assert record(clone / "out")["seed"] == codes.index(0)
    assert f"seed={codes.index(0)}" in yaml.safe_load((clone / "out/.hydra/overrides.yaml").read_text())


def test_beside_a_record_lie_the_files_that_hydra_would_write(clone):
    for folder, more in (("ours", ()), ("hydras", ("hydra.output_subdir=.hydra",))):
        assert main(["train", *UNTRACKED, f"hydra.run.dir={folder}", "model.depth=2", *more]) == 0
    ours, hydras = (
        {
            name: (clone / folder / f".hydra/{name}.yaml").read_text()
            for name in ("config", "overrides", "hydra")
        }
        for folder in ("ours", "hydras")
    )
    assert ours["config"] == hydras["config"]
    assert ours["overrides"] == hydras["overrides"]
    one, other = (yaml.safe_load(of["hydra"])["hydra"] for of in (ours, hydras))
    for node in (one, other):
        for name in ("output_subdir", "run", "runtime", "overrides"):
            del node[name]
    assert one == other


@pytest.mark.parametrize(
    "typed",
    [
        ["hydra.run.dir={there}"],
        ["-m", "hydra.sweep.dir={there}", "model.depth=1,2"],
        [
            "-m",
            "hydra/sweeper=optuna",
            "hydra.sweeper.n_trials=2",
            "hydra.sweep.dir={there}",
            "model.depth=1,2",
        ],
    ],
    ids=["one run", "a multirun", "a sweep"],
)
@pytest.mark.parametrize("inside", ["nothing", "another clone"])
def test_the_project_is_that_where_the_command_was_typed_wherever_hydra_goes(
    clone, tmp_path, capfd, typed, inside
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if inside == "another clone":
        shutil.copytree(clone / "conf", elsewhere / "conf")
        shutil.copy(clone / "params.yaml", elsewhere)
    before = content(elsewhere)
    overrides = [word.format(there="../elsewhere/out") for word in typed]
    assert (
        main(["train", *overrides, *SMALL, "tracking.uri=sqlite:///mlflow.db", "hydra.job.chdir=true"]) == 0
    )
    assert (clone / "mlflow.db").exists()
    assert list((clone / "provenance").glob("*.json"))
    made = {name: of for name, of in content(elsewhere).items() if not name.startswith("out/")}
    assert made == before
    assert list((elsewhere / "out").rglob("record.json"))
    assert "../elsewhere/out" in capfd.readouterr().out
    assert Path.cwd() == clone


def test_paths_mean_what_they_meant_where_the_command_was_typed(clone, capfd):
    chdir = ("hydra.job.chdir=true", "hydra.run.dir=out")
    assert main(["train", *UNTRACKED, *chdir, "resume=gone.ckpt"]) == 1
    assert main(["train", *UNTRACKED, *chdir, "data=mnist", "data.mirror=files"]) == 1
    resumed, mirrored = refusals(capfd)
    assert f"expected a checkpoint at {clone}/gone.ckpt" in resumed
    assert f"expected a file at {clone}/files/mnist/" in mirrored


def test_a_multirun_fails_if_runs_do_that_a_launcher_has_started(clone, capfd):
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1", "hydra.sweep.dir=m")
    assert main(["train", "-m", *joblib, *UNTRACKED, "model.depth=1,-1"]) == 1
    assert refusals(capfd)[-1] == "howdeep: 1 of 2 runs failed: each has said why"
    assert os.path.exists("m/0/run/record.json")
