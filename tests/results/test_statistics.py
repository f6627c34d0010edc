"""Estimates against hand-computed numbers and SciPy's own."""

import numpy as np
import pytest
from scipy import stats

from howdeep.results.statistics import Interval, geometric_mean, mean_interval, overlap


def test_the_interval_of_one_to_five_is_the_one_of_the_textbook():
    # mean 3, s = sqrt(2.5), t(0.975, 4) = 2.776445: 3 -+ 2.776445 * sqrt(2.5 / 5)
    assert mean_interval([1, 2, 3, 4, 5]) == pytest.approx((3, 1.036757, 4.963243), abs=1e-6)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_the_interval_is_that_of_scipys_t_test(n, level):
    values = np.random.RandomState(n).normal(0.9, 0.02, n)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(level)
    assert mean_interval(values, level) == pytest.approx((values.mean(), low, high))


def test_95_of_100_intervals_hold_the_true_mean():
    random = np.random.RandomState(0)
    intervals = [mean_interval(random.normal(1, 3, 5)) for _ in range(4000)]
    share = np.mean([interval.low <= 1 <= interval.high for interval in intervals])
    assert share == pytest.approx(0.95, abs=0.01)  # three standard errors of a share of 4000


def test_equal_values_have_an_interval_of_no_width():
    assert mean_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)


def test_one_value_has_no_interval_and_none_has_no_mean():
    one, none = mean_interval([0.5]), mean_interval([])
    assert one.mean == 0.5
    assert np.isnan([one.low, one.high, *none]).all()


@pytest.mark.parametrize(("values", "level"), [([[1.0, 2.0]], 0.95), ([1.0, 2.0], 1.0), ([1.0, 2.0], 0.0)])
def test_another_shape_or_an_impossible_level_is_refused(values, level):
    with pytest.raises(ValueError, match="expected values of shape"):
        mean_interval(values, level)


def test_the_geometric_mean_treats_a_ratio_and_its_inverse_alike():
    assert geometric_mean([8, 1 / 8]) == pytest.approx(1)
    assert geometric_mean([1, 10, 100]) == pytest.approx(stats.gmean([1, 10, 100]))
    assert geometric_mean([0.0, 4.0]) == 0
    assert np.isnan(geometric_mean([]))


@pytest.mark.parametrize(
    ("a", "b", "met"),
    [((1, 3), (2, 4), True), ((1, 4), (2, 3), True), ((1, 2), (2, 3), True), ((1, 2), (2.1, 3), False)],
)
def test_intervals_overlap_if_they_share_a_point_whichever_comes_first(a, b, met):
    a, b = Interval(0, *a), Interval(0, *b)
    assert overlap(a, b) is overlap(b, a) is met


def test_nobody_knows_whether_an_unknown_interval_overlaps():
    assert overlap(mean_interval([1.0]), mean_interval([1.0, 2.0])) is None
