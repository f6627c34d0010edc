"""Sweeps that are stopped at any moment end with exactly their trials; MLflow's database stays usable."""

import json
import os
import random
import shutil
import signal
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from howdeep.sweeping.storage import Storage
from howdeep.tracking.store import Store
from tests.amount import seeds
from tests.commands import Command, howdeep
from tests.torture.harness import (
    check_quiet,
    wait_until,
)
from tests.torture.test_kills import KILLS, children_of

pytestmark = pytest.mark.slow


TRIALS = 10
SWEEP = (
    "train", "-m", "hydra/sweeper=optuna", "model=mlp", "data=digits", "model.width=8", "train_examples=64",
    "trainer.max_epochs=60", "model.depth=range(1,5)", "optimizer.lr=interval(0.001,0.1)", "hydra.sweeper.n_jobs=2",
    "hydra.sweeper.study=swept", f"hydra.sweeper.n_trials={TRIALS}", "checkpoint_seconds=0.05",
)  # fmt: skip


@pytest.fixture
def home(project, tmp_path) -> Path:
    """A project with prepared data and nothing else."""
    shutil.copytree(project.root, tmp_path / "home")
    return tmp_path / "home"


def stop_parent(command: Command, _dice: random.Random) -> None:
    command.kill()


def stop_worker(command: Command, dice: random.Random) -> None:
    """Not twice in one sweep: a trial whose worker was killed twice has failed, as is promised."""
    pid = command.process.pid
    with suppress(psutil.Error):
        workers = children_of(psutil.Process(pid))
        for worker in dice.sample(workers, min(1, len(workers))):
            worker.kill()


def stop_both(command: Command, _dice: random.Random) -> None:
    with suppress(ProcessLookupError, TypeError):
        os.killpg(command.process.pid, signal.SIGKILL)  # type: ignore[arg-type]


def stop_by_ctrl_c(command: Command, _dice: random.Random) -> None:
    with suppress(ProcessLookupError, TypeError):
        os.killpg(command.process.pid, signal.SIGINT)  # type: ignore[arg-type]


def stop_by_sigterm(command: Command, _dice: random.Random) -> None:
    command.process.terminate()


STOPS = (stop_parent, stop_worker, stop_both, stop_by_ctrl_c, stop_by_sigterm)


@pytest.mark.parametrize("seed", seeds(1, 12))
def test_a_sweep_that_is_stopped_again_and_again_ends_with_exactly_its_trials(home, counted, seed):
    import optuna

    dice, ways = random.Random(seed), []
    journal = home / "multirun/swept/study.journal"

    def ended() -> int:
        return journal.read_bytes().count(b'"datetime_complete"') if journal.exists() else 0

    deck = [*STOPS, stop_parent, stop_both, stop_by_ctrl_c]
    dice.shuffle(deck)
    for way in deck[:KILLS]:
        command, before = Command(home, *SWEEP), ended()
        early = dice.random() < 0.3  # else once a trial has ended
        moment = dice.uniform(0, 2 if early else 0.6)
        if not early:
            wait_until(lambda n=before, c=command: ended() > n or not c.process.is_alive(), "no trial ended")
        command.process.join(moment)
        lived = command.process.is_alive()
        way(command, dice)
        done = command.wait()
        ways.append(f"{way.__name__} {moment:.2f} s after {'the start' if early else 'a trial'}")
        counted("kills", int(lived))
        assert "Traceback" not in done.err, f"{ways}\n{done.err[-3000:]}"
        check_quiet(home)
        if not lived:
            break  # all trials are done
    what = f"after {', '.join(ways)}"
    done = howdeep(home, *SWEEP)
    assert (done.code, done.complaints) == (0, []), f"{what}\n{done.err[-3000:]}"
    assert f"swept: {TRIALS} complete, 0 pruned, 0 failed" in done.out, what
    with closing(Storage(str(journal))) as storage:
        trials = optuna.load_study(study_name="swept", storage=storage.optuna).trials
    counting = [trial for trial in trials if "interrupted" not in trial.user_attrs]
    assert [trial.state.name for trial in counting] == ["COMPLETE"] * TRIALS, what
    store = Store(f"sqlite:///{home}/mlflow.db", "howdeep", home)
    runs = store.find(howdeep__kind="trial", howdeep__study="swept")
    finished = Counter(int(run.data.tags["howdeep.trial"]) for run in runs if run.info.status == "FINISHED")
    assert finished == Counter(trial.number for trial in counting), what
    assert "RUNNING" not in {run.info.status for run in runs}, what
    (parent,) = store.find(howdeep__kind="sweep", howdeep__study="swept")
    assert parent.info.status == "FINISHED", what
    for trial in counting:
        record = json.loads((home / f"multirun/swept/{trial.number}/run/record.json").read_text())
        assert trial.value == min(row["val/loss"] for row in record["epochs"]), what
    assert not list(home.glob("scratch/*.ckpt")), what
    assert not list(home.glob("multirun/swept/*/.*.tmp")), what


# MLflow's database


@pytest.mark.parametrize("seed", seeds(2, 20))
def test_a_kill_while_mlflows_database_is_made_leaves_it_usable(home, counted, seed):
    dice = random.Random(seed)
    typed = ("train", "model.width=4", "train_examples=40", "trainer.max_epochs=1")
    command = Command(home, *typed)
    wait_until(
        lambda: (
            list(home.glob("*mlflow*")) + list(home.glob("scratch/*mlflow*"))
            or not command.process.is_alive()
        ),
        "no database was made",
    )
    moment = dice.uniform(0, 1.2)
    command.process.join(moment)
    counted("kills", int(command.process.is_alive()))
    command.kill()
    command.wait()
    check_quiet(home)
    done = howdeep(home, *typed)
    what = f"killed {moment:.3f} s after it was begun"
    assert (done.code, done.complaints) == (0, []), f"{what}\n{done.err[-3000:]}"
    runs = Store(f"sqlite:///{home}/mlflow.db", "howdeep", home).find(howdeep__kind="run")
    assert [run.info.status for run in runs] == ["FINISHED"], what
    assert sorted(path.name for path in home.glob("*mlflow.db*")) == ["mlflow.db"], what
