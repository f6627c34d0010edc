"""Skill and collapse, by hand."""

import numpy as np
import pytest

from howdeep.results.scores import scores, summary
from howdeep.results.skill import collapsed, skill


def test_skill_is_0_for_chance_and_1_for_perfection_whatever_the_score():
    assert skill(0.1, 0.1, higher_is_better=True) == skill(0.5, 0.5, higher_is_better=False) == 0
    assert skill(1.0, 0.1, higher_is_better=True) == skill(0.0, 0.5, higher_is_better=False) == 1
    assert skill(0.25, 0.5, higher_is_better=False) == 0.5


def test_a_run_nearer_to_chance_than_to_the_best_run_has_collapsed_whichever_direction_is_good():
    accuracies = np.array([0.97, 0.54, 0.53, 0.10, 0.05, np.nan])  # half way from .10 to .97 is .535
    assert collapsed(accuracies, 0.1, higher_is_better=True).tolist() == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]
    errors = np.array([0.2, 0.5, 0.7, 1.4])  # half way from .8 to .2 is .5
    assert collapsed(errors, 0.8, higher_is_better=False).tolist() == [False, False, True, True]


def test_where_no_run_learned_a_tenth_none_has_collapsed():
    noise = np.array([0.18, 0.12, 0.10])
    assert not collapsed(noise, 0.1, higher_is_better=True).any()
    noise[0] = 0.20
    assert collapsed(noise, 0.1, higher_is_better=True).tolist() == [False, True, True]


@pytest.mark.parametrize("values", [[0.9, 0.1], [np.nan, np.nan], []])
def test_without_a_chance_level_and_without_scores_none_has_collapsed(values):
    assert not collapsed(np.array(values), np.nan, higher_is_better=True).any()
    if not np.isfinite(values).any():
        assert not collapsed(np.array(values, dtype=float), 0.1, higher_is_better=True).any()


def test_runs_are_held_against_the_best_of_all_depths_of_their_own_line(make_record):
    """Every run of depth 4 is at chance: all of it collapsed, though its runs are alike."""
    levels = {("digits-mlp", 1): 0.9, ("digits-mlp", 4): 0.1, ("digits-mlp-plain", 1): 0.4}
    records = [
        make_record("digits", "mlp", depth, seed, entry=entry) | {"key": f"{entry}-{depth}-{seed}"}
        for entry, depth in levels
        for seed in range(3)
    ]
    tested = {r["key"]: {"loss": 0.1, "accuracy": levels[r["entry"], r["depth"]]} for r in records}
    chance = {"digits": {"majority": {part: {"loss": 2.3, "accuracy": 0.1} for part in ("val", "test")}}}
    cells = summary(scores(records, {"runs": tested, "baselines": chance}))
    counts = dict(zip(zip(cells["entry"], cells["depth"], strict=True), cells["collapsed"], strict=True))
    assert counts == {("digits-mlp", 1): 0, ("digits-mlp", 4): 3, ("digits-mlp-plain", 1): 0}
    assert scores(records, {"runs": tested})["collapsed"].tolist() == [False] * 9  # nobody tried to guess
