"""Verdicts of claims, against scipy and by counting what they do where the truth is known."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from howdeep.results import claims
from howdeep.results.claims import NO_COVERAGE, NO_POWER, REFUTED, SUPPORTED, judge

ABOVE, BELOW = (0.1, math.inf), (-math.inf, 0.1)


def judged(values, **of):
    return judge(
        values, of.pop("supports", ABOVE), of.pop("refutes", BELOW), **{"spread": 0.01, "effect": 0.1, **of}
    )


def test_p_is_that_of_scipys_one_sided_t_test_doubled():
    values = np.random.RandomState(0).normal(0.2, 0.1, 9)
    for region, side in ((ABOVE, "greater"), (BELOW, "less")):
        test: Any = stats.ttest_1samp(values, 0.1, alternative=side)
        expected = min(1.0, 2 * test.pvalue)
        assert claims.probability_within(values, region) == pytest.approx(expected)


def test_p_is_at_most_a_twentieth_exactly_where_the_interval_lies_within_the_region():
    random = np.random.RandomState(1)
    for _ in range(200):
        of = judged(random.normal(0.15, 0.1, 6))
        assert (of.p_supports <= 0.05) == (of.interval.low >= 0.1)
        assert (of.p_refutes <= 0.05) == (of.interval.high <= 0.1)


def test_a_region_with_two_ends_is_entered_by_two_one_sided_tests():
    values = np.array([0.01, -0.02, 0.015, 0.0, -0.01, 0.02])
    wide, narrow = (claims.probability_within(values, (-end, end)) for end in (0.1, 0.005))
    assert wide < 0.001
    assert narrow > 0.05


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.30, 0.32, 0.29, 0.31], SUPPORTED),
        ([0.01, 0.02, -0.01, 0.0], REFUTED),
        ([0.05, 0.20, 0.02, 0.15], NO_POWER),
        ([0.3] * 10, SUPPORTED),
        ([0.3] * 3, NO_POWER),
        ([0.0] * 10, REFUTED),
        ([0.30, 0.32, 0.29, 0.31, math.nan], SUPPORTED),
        ([0.30, 0.32, 0.29, math.nan], NO_COVERAGE),
        ([0.30, math.nan], NO_COVERAGE),
    ],
)  # fmt: skip
def test_the_verdict(values, verdict):
    assert judged(values).verdict == verdict


def test_where_so_few_seeds_would_miss_the_effect_there_is_no_verdict():
    values = [0.30, 0.32, 0.29, 0.31]
    assert judged(values, spread=0.2, effect=0.1).verdict == NO_POWER


def test_four_of_five_studies_find_the_smallest_effect_that_is_called_detectable():
    random, n, spread = np.random.RandomState(2), 8, 0.5
    effect = claims.detectable(spread, n)
    found = [
        judged(random.normal(0.1 + effect, spread, n), spread=0.0).verdict == SUPPORTED for _ in range(4000)
    ]
    assert 0.76 < np.mean(found) < 0.84


def test_at_most_one_ledger_in_twenty_has_a_false_verdict():
    """Of twenty claims whose contrast lies just on the border, so that any verdict is wrong in half of the ways."""
    random, wrong = np.random.RandomState(3), 0
    for _ in range(300):
        found = {str(place): judged(random.normal(0.1, 0.05, 6), spread=0.0) for place in range(20)}
        wrong += any(verdict != NO_POWER for verdict, _ in claims.over_the_ledger(found).values())
    assert wrong / 300 < 0.08  # .05, and three standard errors


def test_the_contrast_is_a_sum_of_cells_less_a_sum_of_others_by_seed():
    plus, minus = [[1.0, 2.0], [10.0, math.nan]], [[0.5, 0.5]]
    np.testing.assert_array_equal(claims.contrast(plus, minus), [10.5, math.nan])
    np.testing.assert_array_equal(claims.contrast([[1.0, 2.0]], []), [1.0, 2.0])


def test_permuted_labels_support_nothing_however_large_the_effect():
    values = np.random.RandomState(4).normal(5.0, 0.1, 10)
    for seed in range(50):
        assert judged(claims.permuted(values.tolist(), seed), spread=0.0).verdict != SUPPORTED
