"""Studies that are filled by real processes, some of them killed: the total is exact, and nothing finished is lost."""

import os
import random
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

from howdeep.errors import UserError
from howdeep.processes import this_process
from howdeep.sweeping.outcomes import Hopeless, Pruned
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.pool import run, run_trial
from howdeep.sweeping.space import Choice, FloatRange, IntRange, Space
from howdeep.sweeping.storage import Storage
from howdeep.sweeping.study import Study
from howdeep.workers import WorkerDied


def bowl(trial) -> float:
    """A cheap objective: least at depth 3."""
    return (trial.point["model.depth"] - 3) ** 2 + trial.point["optimizer.lr"]


@pytest.fixture
def journal(tmp_path) -> str:
    return str(tmp_path / "sweep.journal")


def all_trials(plan: Plan, where: str):
    return Study(plan, Storage(where))._trials()


# The total


def test_a_study_ends_with_exactly_its_total_and_a_second_start_runs_nothing(plan, journal):
    ended = []
    (results,) = run([plan()], journal, bowl, 2, told=ended.append)
    assert [result.number for result in results] == list(range(6))
    assert len(ended) == 6
    assert run([plan()], journal, lambda trial: 1 / 0, 2, told=ended.append) == [results]
    assert len(ended) == 6


def test_a_higher_total_goes_on_and_draws_nothing_twice(plan, journal):
    run([plan()], journal, bowl, 1)
    (results,) = run([plan(total=12)], journal, bowl, 1)
    assert len(results) == 12
    assert len({result.point["optimizer.lr"] for result in results}) == 12


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "nsga2"])
def test_one_worker_gives_the_same_study_twice_and_when_it_is_resumed(plan, tmp_path, sampler):
    points = []
    for name, totals in (("once", [14]), ("again", [14]), ("resumed", [5, 14])):
        for total in totals:
            (results,) = run([plan(sampler=sampler, total=total)], str(tmp_path / name), bowl, 1)
        points.append([result.point for result in results])
    assert points[0] == points[1] == points[2]


def test_another_seed_gives_another_study(plan, tmp_path):
    (one,), (two,) = (run([plan(seed=seed)], str(tmp_path / str(seed)), bowl, 1) for seed in (0, 1))
    assert one[0].point != two[0].point


def test_several_studies_share_the_workers_and_a_storage(plan, journal):
    small = Space({"model.depth": IntRange(1, 8), "optimizer.lr": FloatRange(0.1, 0.2)})
    plans = [plan(study="one", total=3), plan(study="two", total=4, space=small)]
    one, two = run(plans, journal, bowl, 2)
    assert (len(one), len(two)) == (3, 4)
    assert set(two[0].point) == set(small.dimensions)


# Outcomes


def test_failed_pruned_and_complete_trials_count_and_keep_their_reason(plan, journal):
    class Odd(Exception):
        def __init__(self, one, two):  # cannot be pickled
            super().__init__(f"{one} and {two}\nmore")

    def objective(trial):
        kind = trial.number % 4
        if kind == 0:
            raise Odd(1, 2)
        if kind == 1:
            raise Pruned
        return float("nan") if kind == 2 else 1.0

    (results,) = run([plan(total=8)], journal, objective, 2)
    assert Counter(result.state for result in results) == {"failed": 4, "pruned": 2, "complete": 2}
    reasons = {result.reason for result in results if result.state == "failed"}
    assert reasons == {"Odd: 1 and 2 more", "val/loss became nan"}


def test_too_many_failures_end_the_sweep_with_the_last_reason(plan, journal):
    def objective(trial):
        raise UserError("too deep")

    with pytest.raises(
        UserError, match=r"^3 of 3 trials failed, more than max_failure_rate=0.2 of 10 .*: too deep$"
    ):
        run([plan(total=10, max_failure_rate=0.2)], journal, objective, 1)
    assert psutil.Process().children() == []


def test_a_mistake_that_every_trial_would_repeat_ends_the_sweep_and_does_not_count(plan, journal):
    def objective(trial):
        raise Hopeless("no run logs that")

    with pytest.raises(UserError, match="no run logs that"):
        run([plan()], journal, objective, 1)
    corrected = plan(
        setting={"seed": "1"}, objectives={"val/accuracy": "minimize"}
    )  # nothing has counted yet
    assert run([corrected], journal, bowl, 1)[0][0].state == "complete"


def test_the_median_pruner_stops_what_is_worse_than_the_median_of_the_others(plan, journal):
    def objective(trial):
        for step in range(5):
            trial.report(step, float(trial.number))
        return float(trial.number)

    (results,) = run(
        [plan(total=8, pruner="median", pruner_options={"n_startup_trials": 3})], journal, objective, 1
    )
    assert [result.state for result in results] == ["complete"] * 3 + ["pruned"] * 5
    assert [len(result.reports) for result in results] == [5] * 3 + [1] * 5


@pytest.mark.parametrize("pruner", ["halving", "hyperband"])
def test_halving_and_hyperband_stop_the_worst(plan, journal, pruner):
    def objective(trial):
        for step in range(1, 10):
            trial.report(step, float(trial.number))
        return float(trial.number)

    options = {"hyperband": {"min_resource": 1, "max_resource": 9}}.get(pruner, {"min_resource": 1})
    (results,) = run([plan(total=20, pruner=pruner, pruner_options=options)], journal, objective, 1)
    assert results[0].state == "complete"
    assert sum(result.state == "pruned" for result in results) >= 5


def test_nsga2_finds_both_ends_of_a_pareto_front(journal):
    plan = Plan(
        "two", Space({"x": IntRange(0, 10)}), 60, {"loss": "minimize", "flops": "minimize"},
        "nsga2", {"population_size": 10},
    )  # fmt: skip
    (results,) = run([plan], journal, lambda trial: (trial.point["x"], 10 - trial.point["x"]), 2)
    assert len(results) == 60
    assert {0, 10} <= {result.point["x"] for result in results}


def test_a_grid_has_every_point_once_and_stops_when_it_is_exhausted(journal):
    space = Space(
        {"optimizer": Choice(("sgd", "adam")), "momentum": Choice((0.0, 0.9)), "depth": IntRange(1, 3)},
        {"momentum": {"optimizer": ("sgd",)}},
    )
    plan = Plan("grid", space, 100, sampler="grid")
    (results,) = run([plan], journal, lambda trial: 1.0, 3)
    points = [tuple(sorted(result.point.items())) for result in results]
    assert len(points) == len(set(points)) == 3 * 3
    assert set(points) == {tuple(sorted(point.items())) for point in space.grid()}


# Resuming


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
    from howdeep.processes import stop_on_signals
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


def database(url: str, name: str) -> str:
    """The URL of a new database on the server."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(
        url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text(f"create database {name}"))
    engine.dispose()
    return url.replace("/postgres?", f"/{name}?")


@pytest.mark.slow
def test_a_stopped_sweep_gives_its_trials_back_and_says_so(journal):
    process = start(journal, 10, seconds=5)
    study = counted(Storage(journal), 10)
    while study.counts().running < 2:
        assert process.poll() is None
        time.sleep(0.05)
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
