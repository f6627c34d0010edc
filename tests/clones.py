"""Clones of the project with a study of their own, in which tests run what people type."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from howdeep.tracking.store import Store
from tests import commands
from tests.commands import ENV

STUDY = {
    "study": "test",
    "data": ["digits", "sunspots"],
    "depths": [1, 2],
    "seeds": [0, 1],
    "optimizer": "adam",
    "schedule": "constant",
    "trainer": "cpu",
    "matching": ["width"],
    "split": "fixed",
    "margins": {"accuracy": 0.01, "mae": 0.02},
    "tune": None,
    "entries": {
        "digits-mlp": {
            "data": "digits", "model": "mlp", "task": "classification",
            "overrides": {"trainer": {"max_epochs": 3}, "train_examples": 300},
        },
        "sunspots-lstm": {
            "data": "sunspots", "model": "lstm", "task": "forecasting",
            "overrides": {"trainer": {"max_epochs": 3}, "model": {"width": 8}},
        },
    },
}  # fmt: skip
TUNED = {
    **STUDY,
    "data": ["digits"],
    "tune": {"trials": 3, "epochs": [0.4, 0.7], "optimizers": {"adam": [0.001, 0.1], "sgd": [0.01, 1.0]}},
    "entries": {"digits-mlp": STUDY["entries"]["digits-mlp"]},
}


class Clone:
    """A git clone of the project with a study of its own."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.folder = folder
        ignore = shutil.ignore_patterns(
            ".venv", ".git", "tmp", "cache", "runs", "tuned", "data", "results", "reports", "outputs", "multirun",
            "provenance", "scratch", "mlartifacts", "mlflow.db*", "dvc.lock", "__pycache__", "*.egg-info", "notebooks",
        )  # fmt: skip
        shutil.copytree(root, folder, ignore=ignore, ignore_dangling_symlinks=True)
        # `data` is also the name of a folder in conf/ and src/
        for name in ("conf/data", "src/howdeep/data", "src/howdeep/results", "src/howdeep/runs"):
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for made in (folder / "claims").glob("[!.]*/"):
            shutil.rmtree(made)
        self.write_params(STUDY)
        self.run("git", "init", "-q", ".")
        self.commit()

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "study")

    def run(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        runs_stages = args[0] == "dvc" and not {"repro", "run"}.isdisjoint(args)
        if runs_stages or args[0] == "howdeep":
            words = args if runs_stages else args[1:]
            done = commands.completed(self.folder, *words, PYTHONPATH=str(self.folder / "src"))
        else:
            done = subprocess.run(args, cwd=self.folder, env=ENV, capture_output=True, text=True, timeout=300)
        assert not check or done.returncode == 0, f"{args}\n{done.stdout}\n{done.stderr}"
        return done

    def repro(self, *args: str) -> str:
        return self.run("dvc", "repro", *args).stdout

    def write_params(self, params: dict) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    @property
    def lock(self) -> str:
        return (self.folder / "dvc.lock").read_text()

    def stamps(self) -> dict[str, int]:
        """When each run's record was written: it stays the same if the run was kept."""
        return {
            str(p.relative_to(self.folder)): p.stat().st_mtime_ns
            for p in self.folder.glob("runs/**/record.json")
        }

    def store(self) -> Store:
        return Store(f"sqlite:///{self.folder}/mlflow.db", "test", self.folder)


# The warm process outlives its dvc for a moment, and a socket cannot be copied.
SOCKETS = shutil.ignore_patterns("warm-*.sock")


def at(folder: Path) -> Clone:
    """The clone that lies there."""
    clone = object.__new__(Clone)
    clone.folder = folder
    return clone


def copy_of(clone: Clone, folder: Path) -> Clone:
    shutil.copytree(clone.folder, folder, ignore=SOCKETS)
    return at(folder)


def made_once(name: str, make: Callable[[Path], object], factory: pytest.TempPathFactory) -> Path:
    """A worker's own copy of a folder that takes long to make: the first of all workers who asks makes it."""
    top = factory.getbasetemp()
    made = (top.parent if "PYTEST_XDIST_WORKER" in os.environ else top) / name / "made"
    made.parent.mkdir(exist_ok=True)
    with FileLock(f"{made.parent}.lock"):
        if not made.exists():
            shutil.rmtree(made.parent / "making", ignore_errors=True)
            make(made.parent / "making")
            (made.parent / "making").rename(made)
    own = factory.mktemp(name) / "own"
    shutil.copytree(made, own, symlinks=True, ignore=SOCKETS)
    return own
