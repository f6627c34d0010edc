"""Multiruns and sweeps whose runs are trained on nodes, and what a kill of each part costs."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from howdeep.cluster import address
from howdeep.cluster.address import Address, Unreachable
from howdeep.cluster.elsewhere import Elsewhere
from howdeep.cluster.pool import Keeper
from howdeep.files.project import Project
from howdeep.runs.nodes import places
from howdeep.sweeping.outcomes import Interrupted, Pruned
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.pool import run_trial
from howdeep.sweeping.space import IntRange, Space
from howdeep.sweeping.storage import Storage
from howdeep.sweeping.study import Study, Trial
from howdeep.tracking.store import Store
from tests.cluster import works
from tests.cluster.nodes import Cluster, started, until
from tests.cluster.works import Job
from tests.commands import Command, Done, howdeep
from tests.sweeper.sweeps import ROOT, SMALL, named, trials_of

pytestmark = pytest.mark.slow
SWEPT = ("hydra/sweeper=optuna", *SMALL, "model.depth=1,2,3", "optimizer.lr=tag(log,interval(1e-3,1))")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with started() as of:
        yield of


@pytest.fixture
def home(tmp_path, project, made) -> Project:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "data").symlink_to(project.root / "data")
    (tmp_path / "mlflow.db").write_bytes(made)
    return Project(tmp_path)


def env(cluster: Cluster) -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT / "src"), "HOWDEEP_SCHEDULER": cluster.address.url}


def many(home: Project, *words: str, **env: str) -> Done:
    done = howdeep(home.root, "train", "-m", *words, **env)
    done.check_words()
    return done


def bits(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.glob("*/run/*")}


def keys(home: Project, *, kind: str = "trial") -> list[str]:
    """Of the runs in MLflow that have not been interrupted."""
    found = Store(f"sqlite:///{home.root / 'mlflow.db'}", "howdeep", home.root).find(howdeep__kind=kind)
    assert all(run.info.status != "RUNNING" for run in found)
    return sorted(run.data.tags["howdeep.key"] for run in found if run.info.status == "FINISHED")


def assert_complete(home: Project, study: str, done: Done, n: int) -> None:
    """Every trial counts once, and each is one run in MLflow."""
    assert done.code == 0, done.err
    assert f"{study}: {n} complete, 0 pruned, 0 failed" in done.out
    counted = [trial for trial in trials_of(home, study) if "interrupted" not in trial.user_attrs]
    assert [trial.state.name for trial in counted] == ["COMPLETE"] * n
    found = keys(home)
    assert len(found) == len(set(found)) == n


def test_a_multirun_gives_the_bits_of_one_machine_and_its_failed_runs_are_counted(home, cluster):
    words = ("train", "-m", *SMALL, "model.depth=1,2", "optimizer.lr=0.01,1e30")
    here = howdeep(home.root, *words, "hydra.sweep.dir=here", "tracking.uri=null")
    there = howdeep(home.root, *words, f"hydra.sweep.dir={home.root.parent / 'there'}", **env(cluster))
    assert here.code == there.code == 1
    assert "Traceback" not in here.err + there.err
    assert "2 at a time" in there.err
    assert "2 of 4 runs failed" in there.err
    assert bits(home.root / "here") == bits(home.root.parent / "there")
    assert len(bits(home.root / "here")) > 4
    assert len(keys(home, kind="run")) == 2
    assert not (home.root / "runs").exists()


def test_a_sweep_whose_parts_are_killed_has_each_trial_once(home, cluster):
    words = ("train", "-m", *SWEPT, *named("killed", 8), "trainer.max_epochs=200")
    sweep = Command(home.root, *words, **env(cluster))
    until(cluster.busy)
    cluster.send(1, signal.SIGKILL)  # a node
    cluster.end(1)
    cluster.node(1)
    until(lambda: len(list(home.root.glob("multirun/killed/*/run/record.json"))) >= 2)
    sweep.kill()  # the coordinator
    sweep.wait()
    until(lambda: not cluster.busy())
    cluster.wait_for(1)
    assert_complete(home, "killed", many(home, *words[2:], **env(cluster)), 8)


def test_no_scheduler_is_told_before_anything_is_begun(home, monkeypatch):
    monkeypatch.setattr(address, "SECONDS", 1.0)
    nowhere = Address("tcp://127.0.0.1:9")
    with pytest.raises(Unreachable, match=r"expected a scheduler at tcp://127\.0\.0\.1:9, got none"):
        places(nowhere, home, gpu=False)


def test_a_trial_for_which_there_is_no_scheduler_is_tried_again_and_has_not_failed(home, monkeypatch):
    """As where the number of workers was typed, or one comes late to a scheduler that has gone."""
    monkeypatch.setattr(address, "SECONDS", 1.0)
    keeper = Keeper(Elsewhere(Address("tcp://127.0.0.1:9"), home.root, lambda job: [], work=works.square))

    def objective(trial: Trial) -> float:
        try:
            return keeper.do(Job(1, home.root), print)
        except Unreachable as error:
            raise Interrupted(str(error)) from error

    plan = Plan("late", Space({"a": IntRange(1, 9)}), total=2)
    with closing(Storage(str(home.root / "late.journal"))) as storage:
        study = Study(plan, storage).open()
        trial = study.take()
        assert trial is not None
        with pytest.raises(Interrupted):
            run_trial(trial, objective)
        assert (study.counts().failed, study.counts().done) == (0, 0)
        again = study.take()
        assert again is not None
        assert again.point == trial.point


def test_a_pruned_job_is_ended_on_its_node_and_the_next_one_begins(cluster, tmp_path):
    keeper = Keeper(Elsewhere(cluster.address, tmp_path, lambda job: [], work=works.counting))
    marks = tmp_path.parent / f"{tmp_path.name}-marks"
    marks.mkdir()
    heard: list[int] = []

    def listen(number: int) -> None:
        heard.append(number)
        if number == 3:
            raise Pruned

    with pytest.raises(Pruned):
        keeper.do(Job(1, tmp_path / "runs", str(marks / "one"), 0.1), listen)
    assert heard == [0, 1, 2, 3]
    time.sleep(1.5)
    before = (marks / "one").read_text()
    clock = time.monotonic()
    assert keeper.do(Job(2, tmp_path / "runs", str(marks / "two"), 0.001), lambda number: None) == "counted"
    assert time.monotonic() - clock < 20
    assert (marks / "one").read_text() == before
    assert len(before.splitlines()) < 30
    assert os.listdir(tmp_path) == []


def test_a_sweep_whose_scheduler_is_gone_ends_with_a_line_and_goes_on(home, cluster):
    words = ("train", "-m", *SWEPT, *named("gone", 4), "trainer.max_epochs=400")
    sweep = Command(home.root, *words, **env(cluster))
    until(cluster.busy)
    cluster.end(0)
    done = sweep.wait()
    done.check_words()
    assert done.code == 1
    assert "is gone: what was done is kept" in done.complaints[0]
    cluster.scheduler()
    assert_complete(home, "gone", many(home, *words[2:], **env(cluster)), 4)
