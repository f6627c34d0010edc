"""Estimates from a handful of runs: pure functions of one array."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean and its confidence interval, in the unit of the values."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval:
    """The mean of independent runs with Student's interval: m ± t * s / sqrt(n), n - 1 degrees of freedom.

    Exact for normally distributed values, and a good approximation for the few seeds of a cell; it knows no
    bounds, so that the interval of accuracies near 1 may reach beyond 1.

    Args:
        values: (runs,) one finite number a run.
        level: the share of such intervals that hold the true mean.

    Returns:
        The mean and both ends. One value has no interval, no value has no mean either: those are NaN.

    Raises:
        ValueError: the level is not between 0 and 1, or values have another shape.

    Source: Student, "The probable error of a mean" (1908).
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not 0 < level < 1:
        raise ValueError(
            f"expected values of shape (runs,) and 0 < level < 1, got {values.shape} and {level}"
        )
    if len(values) == 0:
        return Interval(np.nan, np.nan, np.nan)
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, np.nan, np.nan)
    half = stats.t.ppf((1 + level) / 2, df=len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return Interval(mean, mean - float(half), mean + float(half))


def geometric_mean(values: Sequence[float] | np.ndarray) -> float:
    """exp(mean(log x)), the mean that treats a ratio of 2 and one of 1/2 alike; NaN for no value.

    Args:
        values: (runs,) numbers of at least 0; one zero makes the mean 0.
    """
    values = np.asarray(values, dtype=np.float64)
    if len(values) == 0:
        return np.nan
    with np.errstate(divide="ignore"):
        return float(np.exp(np.log(values).mean()))


def overlap(a: Interval, b: Interval) -> bool | None:
    """Whether two intervals share a point; None if either is unknown."""
    if np.isnan([a.low, a.high, b.low, b.high]).any():
        return None
    return a.low <= b.high and b.low <= a.high
