"""Depth across data sets, against studies in which the best depth is known."""

import numpy as np
import pandas as pd
import pytest

from howdeep.results.across import across, why_no_ranks
from howdeep.results.scores import scores
from howdeep.results.statistics import LEAST_BLOCKS


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
