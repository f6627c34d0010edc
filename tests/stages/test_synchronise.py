"""What MLflow lacks is rebuilt from the records, once."""

import platform
import shutil
import signal
import sys

import pytest

from howdeep import cli
from howdeep.files.project import Project
from howdeep.tracking.store import Store
from howdeep.tracking.words import PROCESS, TrialOf
from tests.tracking.work import CARD, WENT_ON, record


@pytest.fixture
def home(tmp_path, project) -> Project:
    """A project of its own, with the prepared data of the others."""
    shutil.copytree(project.conf, tmp_path / "home/conf")
    shutil.copy(project.params, tmp_path / "home")
    (tmp_path / "home/data").symlink_to(project.root / "data")
    return Project(tmp_path / "home")


@pytest.fixture
def command(home, monkeypatch, capfd):
    """Runs a command in this process, which has paid the imports; what it said, without what it printed."""
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    }
    monkeypatch.chdir(home.root)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(*args: str) -> str:
        assert cli.main(list(args)) == 0, capfd.readouterr()
        return capfd.readouterr().err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


SMALL = ("model=mlp", "data=digits", "model.width=8", "trainer.max_epochs=2", "train_examples=64")
SWEEP = (
    "-m",
    "hydra/sweeper=optuna",
    "hydra.sweeper.n_jobs=2",
    "hydra.sweeper.study=s",
    "model.depth=1,2,3,4",
)


@pytest.mark.slow
def test_what_mlflow_lacks_of_single_runs_and_sweeps_is_rebuilt_once(home, command):
    gone = "tracking.uri=http://127.0.0.1:9"
    assert WENT_ON in command("train", *SMALL, gone)
    assert (
        command("train", *SWEEP, *SMALL, "hydra.sweeper.n_trials=2", gone).count(WENT_ON) == 0
    )  # as told before
    command("train", *SWEEP, *SMALL, "hydra.sweeper.n_trials=4")
    store = Store(f"sqlite:///{home.root}/mlflow.db", "howdeep", home.root, strict=True)
    half = store.start(record(), parent=None, about={}, dataset=CARD, trial=TrialOf("s", 0))
    store.set_tags(half.run_id, {PROCESS: f"{platform.node()}:1:0"})  # its process has ended
    assert "3 single runs and trials to 'howdeep'" in command("sync")
    assert "single runs" not in command("sync")
    (single,) = store.find(howdeep__kind="run")
    assert (single.info.status, single.data.tags["howdeep.rebuilt"]) == ("FINISHED", "true")
    (parent,) = store.find(howdeep__kind="sweep")
    trials = sorted(store.find(howdeep__kind="trial"), key=lambda run: run.info.run_name)
    assert [run.data.tags["howdeep.trial"] for run in trials] == ["0", "1", "2", "3"]
    assert [run.data.tags.get("howdeep.rebuilt") for run in trials] == ["true", "true", None, None]
    first, last = (run.data.tags.keys() - {"howdeep.rebuilt"} for run in (trials[0], trials[3]))
    assert first == last
    for run in trials:
        assert (run.info.status, run.data.tags["mlflow.parentRunId"]) == ("FINISHED", parent.info.run_id)
        assert run.data.metrics["best/loss"] > 0
    named = {run.info.run_id: run.info.run_name for run in store.find()}
    assert named[single.info.run_id] == "digits-mlp depth 1 seed 0"
    for run in (single, trials[3]):  # as an older howdeep named them
        store.client.update_run(run.info.run_id, name="depth=2-seed=0")
    command("sync")
    assert {run.info.run_id: run.info.run_name for run in store.find()} == named


@pytest.mark.slow
def test_a_parent_that_was_deleted_is_made_again_around_its_runs(home, command):
    command("train", *SWEEP, *SMALL, "hydra.sweeper.n_trials=2")
    store = Store(f"sqlite:///{home.root}/mlflow.db", "howdeep", home.root, strict=True)
    (old,) = store.find(howdeep__kind="sweep")
    store.client.delete_run(old.info.run_id)
    command("sync")
    (new,) = store.find(howdeep__kind="sweep")
    assert {run.data.tags["mlflow.parentRunId"] for run in store.find(howdeep__kind="trial")} == {
        new.info.run_id
    }


@pytest.mark.slow
def test_sync_says_which_host_has_left_runs_open_and_ends_them_when_that_host_is_named(home, command):
    store = Store(f"sqlite:///{home.root / 'mlflow.db'}", "howdeep", home.root)
    its = store.start(record("its"), parent=None, about={}, dataset=CARD)
    store.set_tags(its.run_id, {PROCESS: "old-box:1:2.00"})
    said = command("sync")
    assert "sync: 1 runs in MLflow's experiment 'howdeep' (" in said
    assert "end them with `howdeep sync --take-over old-box`" in said
    said = command("sync", "--take-over", "old-box")
    assert "sync: 1 runs of old-box in 'howdeep' ended as KILLED" in said
    assert "old-box" not in command("sync")
    assert store.client.get_run(its.run_id).info.status == "KILLED"


def test_a_store_that_cannot_be_used_is_no_success_of_sync(home, command, capfd):
    (home.root / "mlflow.db").write_text("no database" * 100)
    assert cli.main(["sync"]) == 1
    assert capfd.readouterr().err.count("\n") == 1
