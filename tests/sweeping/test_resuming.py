"""Sweeps that are stopped, killed and started again: the total is exact, and nothing finished is lost."""

import os
import random
import shlex
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from howdeep.errors import UserError
from howdeep.processes.locks import this_process
from howdeep.processes.workers import WorkerDied
from howdeep.sweeping import pool
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.pool import run, run_trial
from howdeep.sweeping.space import FloatRange, IntRange, Space, word
from howdeep.sweeping.storage import Storage
from howdeep.sweeping.study import Study
from tests.postgresql import database


def bowl(trial) -> float:
    """A cheap objective: least at depth 3."""
    return (trial.point["model.depth"] - 3) ** 2 + trial.point["optimizer.lr"]


@pytest.fixture
def journal(tmp_path) -> str:
    return str(tmp_path / "sweep.journal")


def all_trials(plan: Plan, where: str):
    return Study(plan, Storage(where))._trials()


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"space": Space({"optimizer.lr": FloatRange(0.1, 1)})}, "model.depth is gone"),
        ({"setting": {"model": "cnn"}}, "the setting model was absent and is now cnn"),
        ({"objectives": {"val/loss": "maximize"}}, "the objective val/loss was minimize and is now maximize"),
    ],
)
def test_a_study_with_another_space_setting_or_objective_is_refused(plan, journal, changes, line):
    run([plan()], journal, bowl, 1)
    with pytest.raises(
        UserError, match=f"^the study test cannot go on: {line}; only a wider range may change"
    ):
        run([plan(**changes)], journal, bowl, 1)


def test_a_wider_range_goes_on_and_cannot_be_narrowed_again(space, plan, journal):
    run([plan()], journal, bowl, 1)
    wider = plan(
        total=40, space=Space({**space.dimensions, "model.depth": IntRange(1, 30)}, space.conditions)
    )
    (results,) = run([wider], journal, bowl, 1)
    assert len(results) == 40
    assert max(result.point["model.depth"] for result in results) > 8
    with pytest.raises(UserError, match="depth was 1 to 30 and is now 1 to 8"):
        run([plan()], journal, bowl, 1)


def test_an_interrupted_trial_is_tried_again_with_the_same_point_and_does_not_count(plan, journal):
    study = Study(plan(total=2), Storage(journal))
    trial = study.take()
    assert trial is not None
    point = trial.point
    study.give_back(trial, "stopped")
    (results,) = run([plan(total=2)], journal, bowl, 1)
    assert [result.number for result in results] == [1, 2]
    assert results[0].point == point
    assert all_trials(plan(), journal)[1].user_attrs["retry_of"] == 0


def test_a_point_that_only_the_second_try_has_drawn_is_that_of_the_third(plan, journal):
    study = Study(plan(total=1), Storage(journal))
    tries = []
    for drawn in (False, True, True):
        trial = study.take()
        assert trial is not None
        tries.append(trial.point if drawn else None)
        study.give_back(trial, "stopped")
    assert tries[1] == tries[2]


def test_a_trial_that_others_have_given_up_keeps_their_word(plan, journal):
    study = Study(plan(total=1), Storage(journal))
    trial = study.take()
    assert trial is not None

    def objective(trial):
        study.give_back(trial, "another process thought that this one was dead")
        return 1.0

    run_trial(trial, objective)
    assert study.counts().done == 0


def test_who_is_killed_again_and_again_fails_once_and_the_others_go_on(plan, journal):
    lines = []

    def objective(trial):
        if trial.point["model.depth"] == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return 1.0

    grid = plan(total=9, sampler="grid", space=Space({"model.depth": IntRange(1, 4)}))
    (results,) = run([grid], journal, objective, 2, say=lines.append)
    assert Counter(result.state for result in results) == {"complete": 3, "failed": 1}
    assert [r.reason for r in results if r.reason] == ["its worker was killed 2 times: for want of memory?"]
    assert (
        lines
        == ["a worker ended by signal SIGKILL: its trial is tried once more, finished ones are kept"] * 2
    )


def kill_myself(trial) -> float:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0.0


def test_where_every_worker_is_killed_the_sweep_ends(plan, journal):
    with pytest.raises(
        WorkerDied, match=r"^5 workers ended by signal SIGKILL, one after the other: finished"
    ):
        run([plan()], journal, kill_myself, 2)
    assert psutil.Process().children() == []


SCRIPT = textwrap.dedent("""
    import sys, time
    from howdeep.processes.signals import stop_on_signals
    from howdeep.sweeping.plan import Plan
    from howdeep.sweeping.pool import run
    from howdeep.sweeping.space import FloatRange, Space

    def objective(trial):
        for step in range(3):
            time.sleep(float(sys.argv[3]) / 3)
            trial.report(step, trial.point["x"])
        return trial.point["x"]

    stop_on_signals()
    plan = Plan("test", Space({"x": FloatRange(0, 1)}), int(sys.argv[2]), sampler=sys.argv[4], pruner="median")
    run([plan], sys.argv[1], objective, 2)
""")


def start(where: str, total: int, seconds: float = 0.03, sampler: str = "random") -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, where, str(total), str(seconds), sampler], start_new_session=True
    )


def counted(storage: Storage, total: int) -> Study:
    """The study of `SCRIPT`."""
    plan = Plan("test", Space({"x": FloatRange(0, 1)}), total, sampler="random", pruner="median")
    return Study(plan, storage)


def check_exact(where: str, total: int) -> None:
    """The total, every point once, and whatever was interrupted was tried again."""
    from optuna.trial import TrialState

    with closing(Storage(where)) as storage:
        study = counted(storage, total)
        results, trials = study.results(), study._trials()
    assert len(results) == total
    assert len({result.point["x"] for result in results}) == total
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    done = {result.point["x"] for result in results}
    assert all(trial.params["x"] in done for trial in trials if trial.params)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["whole group", "parent only"])
def test_killed_at_random_moments_and_started_again_it_reaches_exactly_the_total(journal, how):
    total, moments = 40, random.Random(how)
    for _ in range(5):
        process = start(journal, total)
        deadline = time.monotonic() + 30
        before = finished(journal)
        while finished(journal) < before + 2 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.1))
        kept = finished(journal)
        if how == "whole group":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
        assert finished(journal) >= kept >= before
    assert start(journal, total).wait() == 0
    check_exact(journal, total)


def finished(journal: str) -> int:
    """Trials that a journal says have ended, counted as text, so that nothing is opened beside the writers."""
    path = Path(journal)
    return path.read_bytes().count(b'"datetime_complete"') if path.exists() else 0


@pytest.mark.slow
def test_three_processes_on_one_journal_reach_exactly_the_total(journal):
    assert [process.wait() for process in [start(journal, 30) for _ in range(3)]] == [0, 0, 0]
    check_exact(journal, 30)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_three_processes_on_postgresql_reach_exactly_the_total(postgresql, killed):
    name = "killed" if killed else "unharmed"
    where = database(postgresql, name)
    processes = [start(where, 24, 0.1) for _ in range(3)]
    if killed:
        with closing(Storage(where)) as storage:
            while counted(storage, 24).counts().done < 4:
                assert processes[0].poll() is None
                time.sleep(0.05)
        os.killpg(processes[0].pid, signal.SIGKILL)
    assert [process.wait() for process in processes] == [-signal.SIGKILL if killed else 0, 0, 0]
    check_exact(where, 24)
    with closing(Storage(where)) as storage:
        users = {trial.user_attrs["sweep"] for trial in counted(storage, 24)._trials()}
    assert len(users) == 3  # each process had its share


@pytest.mark.slow
def test_a_stopped_sweep_gives_its_trials_back_and_says_so(journal):
    process = start(journal, 10, seconds=5)
    study = counted(Storage(journal), 10)
    while study.counts().running < 2:
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)  # a trial is in the storage a moment before anybody works on it
    process.send_signal(signal.SIGTERM)
    assert process.wait() != 0
    interrupted = [trial.user_attrs.get("interrupted") for trial in study._trials()]
    assert interrupted[:2] == ["stopped", "stopped"]
    assert study.counts().running == study.counts().done == 0


@pytest.mark.slow
def test_the_trial_of_a_dead_host_is_taken_over_on_postgresql_and_that_of_a_living_one_is_not(
    postgresql, monkeypatch
):
    where = database(postgresql, "hosts")
    study = counted(Storage(where), 2)
    for _ in range(2):
        trial = study.take()
        assert trial is not None
        _ = trial.point
        owner = this_process().split(":")
        study.storage.optuna.set_trial_user_attr(trial.id, "owner", ":".join(["elsewhere", *owner[1:]]))
        study.storage.optuna.record_heartbeat(trial.id)  # type: ignore[attr-defined]
    assert study.take() is None
    engine = study.storage.optuna._backend.engine  # type: ignore[attr-defined]
    with engine.begin() as connection:
        import sqlalchemy

        connection.execute(
            sqlalchemy.text(
                "update trial_heartbeats set heartbeat = heartbeat - interval '1 hour' where trial_id = 1"
            )
        )
    again = study.take()
    assert again is not None
    assert again.retry_of == 0
    assert study.take() is None
    study.storage.close()


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_a_sweep_that_waits_for_a_host_that_is_gone_says_so_and_takes_its_trials_over(
    plan, tmp_path, monkeypatch, kind
):
    where = f"sqlite:///{tmp_path}/sweep.db" if kind == "sqlite" else str(tmp_path / "sweep.journal")
    monkeypatch.setattr(pool, "SECONDS_UNTOLD", 0.2)
    study, points = Study(plan(total=3), Storage(where)), []
    for _ in range(2):
        trial = study.take()
        assert trial is not None
        points.append(trial.point)
        study.storage.optuna.set_trial_user_attr(trial.id, "owner", "old-box:1:2.00")
    study.storage.close()
    lines = []

    def take_over(line: str) -> None:
        lines.append(line)
        with closing(Storage(where)) as storage:
            assert Study(plan(total=3), storage).take_over("another") == 0
            assert Study(plan(total=3), storage).take_over("old-box") == 2

    (results,) = run([plan(total=3)], where, bowl, 1, say=take_over)
    (line,) = lines
    assert line.startswith("waiting for trials 0, 1 of test, which the host old-box has run since 20")
    assert line.endswith(
        ": if that host is gone, stop this and free them by the same command with hydra.sweeper.take_over=old-box"
    )
    assert [result.number for result in results] == [2, 3, 4]
    assert [result.point for result in results[1:]] == points


def test_what_a_host_that_is_not_gone_after_all_does_with_its_trial_does_not_count(plan, journal):
    study = Study(plan(total=1), Storage(journal))
    trial = study.take()
    assert trial is not None
    study.storage.optuna.set_trial_user_attr(trial.id, "owner", "old-box:1:2.00")
    assert study.take_over("old-box") == 1
    study.tell(trial, [0.5])
    assert study.results() == []


@pytest.mark.parametrize(
    ("host", "typed"), [("box", "box"), ("12e45", "\"'12e45'\""), ("true", "\"'true'\"")]
)
def test_a_host_is_named_as_a_shell_and_hydra_read_it_back(host, typed):
    assert word(host) == typed
    (line,) = shlex.split(f"take_over={typed}")
    assert OverridesParser.create().parse_override(line).value() == host


def test_a_chain_of_retries_is_known_to_its_last(tmp_path):
    study = Study(Plan("s", Space({"x": FloatRange(0, 1)}), 3), Storage(str(tmp_path / "journal"))).open()
    first = study.take()
    assert first is not None
    study.give_back(first, "stopped")
    second = study.take()
    assert second is not None
    assert (first.replaces, second.replaces) == ((), (first.number,))
    study.give_back(second, "stopped")
    third = study.take()
    assert third is not None
    assert third.replaces == (second.number, first.number)
