"""Studies that are filled by real processes, some of them killed: the total is exact, and nothing finished is lost."""

import os
import signal
import time
from collections import Counter

import psutil
import pytest

from howdeep.errors import UserError
from howdeep.sweeping import pool
from howdeep.sweeping.outcomes import Hopeless, Pruned
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.pool import run
from howdeep.sweeping.space import Choice, FloatRange, IntRange, Space
from howdeep.sweeping.storage import Storage
from howdeep.sweeping.study import Study


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


def test_a_trial_whose_worker_is_slow_to_answer_is_told_though_the_study_is_complete(
    plan, journal, tmp_path, monkeypatch
):
    """One trial ends with the counts of both: the study is complete while the answer of the other is on its way."""
    real, both = pool.outcome_of, tmp_path / "both"

    def slow(study, trial):
        if trial.number == 0:
            while not study.is_complete():
                time.sleep(0.01)
            both.touch()
            time.sleep(0.3)  # the outcome of the other one overtakes this one
        else:
            while not both.exists():
                time.sleep(0.01)
        return real(study, trial)

    monkeypatch.setattr(pool, "outcome_of", slow)
    ended = []
    run([plan(total=2)], journal, bowl, 2, told=ended.append)
    assert sorted(outcome.result.number for outcome in ended) == [0, 1]


def test_a_trial_whose_worker_is_killed_before_it_answers_is_told(plan, journal, monkeypatch):
    real = pool.outcome_of

    def die(study, trial):
        if trial.number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(study, trial)

    monkeypatch.setattr(pool, "outcome_of", die)
    ended = []
    (results,) = run([plan(total=3)], journal, bowl, 1, told=ended.append)
    assert [outcome.result for outcome in ended] == [results[0], results[2], results[1]]


def test_the_failure_of_a_trial_whose_worker_is_killed_before_it_answers_counts(plan, journal, monkeypatch):
    monkeypatch.setattr(pool, "outcome_of", lambda study, trial: os.kill(os.getpid(), signal.SIGKILL))

    def objective(trial):
        raise UserError("too deep")

    with pytest.raises(UserError, match=r"more than max_failure_rate=0.5 of 3 .*: too deep$"):
        run([plan(total=3, max_failure_rate=0.5)], journal, objective, 1)


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
        UserError,
        match=r"^3 of 3 trials failed, more than max_failure_rate=0.2 of 10 .*\(.*model.depth=.*\): too deep$",
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
