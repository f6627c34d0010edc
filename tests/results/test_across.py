"""Depth across data sets, against studies in which the best depth is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from howdeep.results.across import (
    LEAST_BLOCKS,
    across,
    friedman,
    interquartile_mean,
    stratified_bootstrap,
    why_no_ranks,
)
from howdeep.results.scores import scores
from howdeep.results.statistics import mean_interval


def table(make_record, data_sets: int, *, lost=()):
    """One architecture on several data sets on which depth 4 is best, and its baselines."""
    names = [f"set{rank}" for rank in range(data_sets)]
    records, tested = [], {}
    for rank, data in enumerate(names):
        for depth, level in ((1, 0.7), (2, 0.8), (4, 0.9)):
            for seed in range(3):
                key = f"{data}-{depth}-{seed}"
                record = make_record("digits", "mlp", 1, seed, diverged=(depth, seed) in lost)
                records.append(record | {"key": key, "data": data, "entry": f"{data}-mlp", "depth": depth})
                tested[key] = {"loss": 0.1, "accuracy": level + 0.001 * rank + 0.0001 * seed}
    chance = {"majority": {part: {"loss": 1.0, "accuracy": 0.5} for part in ("val", "test")}}
    return scores(records, {"runs": tested}), dict.fromkeys(names, chance)


def test_depths_are_averaged_over_the_data_sets_and_not_ranked_when_these_are_few(make_record):
    found = across(*table(make_record, 2))
    assert found["depth"].tolist() == [1, 2, 4]
    assert found["iqm"].tolist() == pytest.approx([0.4012, 0.6012, 0.8012], abs=1e-4)
    assert np.all(found["low"] <= found["iqm"])
    assert np.all(found["iqm"] <= found["high"])
    assert np.isnan(found["rank"]).tolist() == [True] * 3
    assert why_no_ranks(found) == (
        "Depths were not ranked over data sets (Friedman, Nemenyi): that takes 6 of them, "
        "and no architecture has more than 2."
    )


def test_with_enough_data_sets_depths_are_ranked(make_record):
    found = across(*table(make_record, LEAST_BLOCKS))
    assert found["rank"].tolist() == [3, 2, 1]
    assert found["friedman_p"].iloc[0] == pytest.approx(
        0.0025, abs=1e-4
    )  # chi-square 12, two degrees of freedom
    assert found["nemenyi_p"].iloc[2] < 0.01
    assert why_no_ranks(found) == ""


def test_one_data_set_is_no_comparison_across_data_sets(make_record):
    found = across(*table(make_record, 1))
    assert found.empty
    assert "no architecture has more than 1" in why_no_ranks(found)


def test_a_data_set_with_more_seeds_counts_for_no_more(make_record):
    runs, baselines = table(make_record, 2)
    more = runs.loc[runs["data"] == "set0"].assign(test_score=lambda of: of["test_score"] - 0.2)
    more = more.assign(seed=more["seed"] + 10, key=more["key"] + "-more")
    assert across(pd.concat([runs, more]), baselines).equals(across(runs, baselines))


def test_a_failed_run_has_no_skill(make_record):
    found = across(*table(make_record, 2, lost=[(4, 0), (4, 1), (4, 2)]))
    assert found["iqm"].tolist()[2] == 0


def test_data_sets_whose_chance_is_unknown_are_left_out(make_record):
    runs, baselines = table(make_record, 3)
    found = across(runs, {name: baselines[name] for name in ("set0", "set1")})
    assert set(found["data_sets"]) == {2}


def test_the_interquartile_mean_forgets_both_quarters():
    assert interquartile_mean(np.array([-100.0, 1, 2, 3, 4, 5, 6, 100])) == 3.5
    assert interquartile_mean(np.arange(16.0).reshape(2, 8)).tolist() == [3.5, 11.5]


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 5, 9, 30])
def test_the_interquartile_mean_is_scipys_trimmed_mean(runs):
    values = np.random.default_rng(runs).normal(size=(7, runs))
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=-1), rel=1e-14)


def test_the_bootstrap_draws_within_data_sets_and_gives_the_same_interval_again():
    groups = [np.array([1.0, 1, 1]), np.array([9.0, 9, 9])]
    assert stratified_bootstrap(groups, lambda x: x.mean(axis=-1)) == (5, 5, 5)
    spread = [np.random.RandomState(0).normal(size=10) for _ in range(3)]
    first = stratified_bootstrap(spread, seed=3)
    assert first == stratified_bootstrap(spread, seed=3) != stratified_bootstrap(spread, seed=4)
    assert first.low < first.mean < first.high
    assert np.isnan(stratified_bootstrap([np.array([])]).mean)


def test_the_bootstrap_of_many_runs_agrees_with_students_interval():
    values = np.random.RandomState(0).normal(size=400)
    assert stratified_bootstrap([values], lambda x: x.mean(axis=-1)) == pytest.approx(
        mean_interval(values), abs=0.01
    )


def test_depths_are_ranked_over_data_sets_if_there_are_enough():
    random = np.random.RandomState(0)
    scores = random.normal([0, 0, 5], 1, (8, 3))
    found = friedman(scores)
    assert found is not None
    assert found.p == pytest.approx(stats.friedmanchisquare(*scores.T).pvalue)
    assert found.ranks[2] == 1
    # Nemenyi: studentised range with infinite degrees of freedom (Demsar 2006, equation 2)
    q = (found.ranks[0] - found.ranks[2]) / np.sqrt(3 * 4 / (6 * 8)) * np.sqrt(2)
    assert found.nemenyi[0, 2] == pytest.approx(stats.studentized_range.sf(q, 3, np.inf), abs=1e-4)
    assert friedman(scores[:5]) is None
    assert friedman(scores[:, :2]) is None
