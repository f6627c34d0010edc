"""A project for sweeps, and the command in this process."""

import shutil
import signal
import sys
from collections.abc import Iterator

import pytest

from howdeep.files.project import Project
from howdeep.runs import job
from howdeep.tracking.store import Store
from tests.sweeper.sweeps import ROOT, SMALL


@pytest.fixture(scope="module")
def home(tmp_path_factory, project, made) -> Project:
    """A project of its own, with the prepared data of the others."""
    folder = tmp_path_factory.mktemp("sweeps")
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copy(ROOT / "params.yaml", folder)
    (folder / "data").symlink_to(project.root / "data")
    (folder / "mlflow.db").write_bytes(made)
    return Project(folder)


@pytest.fixture
def sweep(home, monkeypatch) -> Iterator:
    """Runs the command in this process, which has paid the imports."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.chdir(home.root)
    monkeypatch.setattr(sys, "argv", sys.argv)

    def run(*overrides: str, tracked: bool = False, n_jobs: int = 2) -> int:
        track = () if tracked else ("tracking.uri=null",)
        sweeper = ("hydra/sweeper=optuna", f"hydra.sweeper.n_jobs={n_jobs}")
        return job.main(["-m", *sweeper, *SMALL, *track, *overrides])

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def tracked(home) -> Store:
    return Store(f"sqlite:///{home.root / 'mlflow.db'}", "howdeep", home.root)
