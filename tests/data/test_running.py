"""Statistics of examples that come in blocks, against those of all at once and against exact ones."""

from fractions import Fraction

import numpy as np
import pytest

from howdeep.data.running import Statistics
from howdeep.data.splits import moments
from howdeep.encoding.scale import standardise

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(101, 5)) * 10.0 ** np.arange(-2, 3) + np.arange(5)
X[:, 3] = 0.1  # constant


def statistics(x: np.ndarray, size: int) -> Statistics:
    found = Statistics(x.shape[1])
    for first in range(0, len(x), size):
        found.add(x[first : first + size])
    return found


@pytest.mark.parametrize("width", [1, 5])
def test_one_block_has_the_moments_of_all_at_once_to_the_bit(width):
    x = X[:, :width]
    for ours, theirs in zip(statistics(x, len(x)).moments(), moments(x, 0), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_blocks_of_any_size_have_the_same_moments(size):
    for ours, theirs in zip(statistics(X, size).moments(), moments(X, 0), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_small_deviations_far_from_zero_are_not_lost():
    x = 1e9 + RANDOM.normal(size=(2000, 1))
    _, (std,) = statistics(x, 100).moments()
    exact = [Fraction(value) for value in x[:, 0]]
    mean = sum(exact) / len(exact)
    variance = float(sum((value - mean) ** 2 for value in exact) / len(exact))
    assert std == pytest.approx(variance**0.5, rel=1e-7)  # of sums of squares nothing would be left


@pytest.mark.parametrize("size", [13, 1000])
def test_what_is_missing_is_the_mean_of_what_is_there(size):
    x = X.copy()
    x[RANDOM.random(x.shape) < 0.3] = np.nan
    x[:40, 1] = np.nan  # whole blocks of it
    filled = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    found = statistics(x, size)
    mean, std = found.moments()
    np.testing.assert_allclose(mean, filled.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std[[0, 1, 2, 4]], filled.std(axis=0)[[0, 1, 2, 4]], rtol=1e-12)
    assert (mean[3], std[3]) == (0.1, 1.0)
    low, high = found.extremes
    np.testing.assert_array_equal(low, np.nanmin(x, axis=0))
    np.testing.assert_array_equal(high, np.nanmax(x, axis=0))


def test_a_feature_that_is_always_missing_is_zero_without_a_scale():
    x = np.column_stack([X[:, 0], np.full(len(X), np.nan)])
    for size in (10, 1000):
        mean, std = statistics(x, size).moments()
        assert (mean[1], std[1]) == (0.0, 1.0)


def test_the_card_knows_the_range_of_what_is_standardised_before_it_is():
    found = statistics(X, 10)
    card, x = found.card({"train": 101, "test": 3}), standardise(X, *found.moments())
    assert card["range"] == {
        "raw": [X.min(), X.max()],
        "standardised": [float(x.min()), float(x.max())],
    }
    assert (card["shape"], card["examples"]) == ([5], {"train": 101, "test": 3})
