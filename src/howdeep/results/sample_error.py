"""The test sample's own error beside that of the seeds: other test examples would have given other scores.

Pure functions of arrays, as in `statistics`.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from howdeep.results.statistics import BY_RANK, LEVEL, Interval, Paired, agreeing, holm


def accuracy_error(accuracy: float, examples: int) -> float:
    """Standard error of an accuracy through the choice of the test examples: sqrt(p (1 - p) / n), the binomial's."""
    return float(np.sqrt(accuracy * (1 - accuracy) / examples))


def accuracy_difference_error(first: float, second: float, examples: int) -> float:
    """The largest standard error that two accuracies on the same n examples allow their difference.

    Its variance is (q - (p1 - p2)²) / n, q the share of examples that exactly one of the two gets right. Without the
    answers to each example q is unknown; it is largest where they never err, or are never right, on the same ones:
    q = min(2 - p1 - p2, p1 + p2). Nets that err on the same examples differ more surely than this says.

    Source: McNemar (1947).
    """
    disagreement = min(2 - first - second, first + second)
    return float(np.sqrt(max(disagreement - (first - second) ** 2, 0.0) / examples))


NO_OVERLAP: Mapping[str, float] = {}  # all runs of all entries share their test examples


class Crossed(NamedTuple):
    """Standard errors of a mean over seeds and test examples; see `crossed`."""

    seeds: float  # through the seeds, on these test examples
    examples: float  # through the test examples, with these seeds
    both: float  # of other seeds on other test examples

    @property
    def added(self) -> float:
        """What the test examples add to the error through the seeds: both² = seeds² + added²."""
        return float(np.sqrt(self.both**2 - self.seeds**2))


def crossed(values: np.ndarray, *, in_time: bool = False) -> Crossed:
    """The errors of a mean to which every seed gives a value for every test example: two crossed random effects.

    x = m + a(seed) + b(example) + c(seed, example) with the variances A, B, C. The mean of S seeds and N examples has
    the variance A / S + B / N + C / SN. The mean squares of the two-way table are C + N A, C + S B and C on average, so
    that these are without bias:

        seeds² = M_seeds / SN    examples² = M_examples / SN    both² = (M_seeds + M_examples - M_rest) / SN

    `seeds` is the error of Student's paired t, `examples` that of a paired t over the examples (McNemar's, for one
    seed). What both hold, C / SN, counts once. As no variance is negative, `both` is at least the larger of the two.

    Args:
        values: (seeds, examples), such as right answers of the deeper network minus right answers of the shallow one.

    Where examples follow one another, neighbours err alike, and so many tell less than as many independent ones: there
    `examples` and M_examples come from the `long_run_variance`.

    Returns:
        The three errors; NaN where there is only one seed or one example.

    Source: Cornfield, Tukey, "Average values of mean squares in factorials" (1956); Owen, "The pigeonhole bootstrap"
    (2007), of the same variance; for one seed McNemar (1947), Dietterich (1998).
    """
    values = np.asarray(values, dtype=np.float64)
    seeds, examples = values.shape
    if not seeds or not examples:
        return Crossed(np.nan, np.nan, np.nan)
    mean, of_seed, of_example = values.mean(), values.mean(axis=1), values.mean(axis=0)
    squares = np.array(
        [
            examples * ((of_seed - mean) ** 2).sum(),
            seeds * ((of_example - mean) ** 2).sum(),
            ((values - of_seed[:, None] - of_example + mean) ** 2).sum(),
        ]
    )
    free = np.array([seeds - 1, examples - 1, (seeds - 1) * (examples - 1)])
    by_seed, by_example, rest = np.divide(squares, free, out=np.full(3, np.nan), where=free > 0) / values.size
    if in_time and examples > 1:
        by_example = max(by_example, long_run_variance(of_example) / examples)
    both = np.maximum(np.maximum(by_seed, by_example), by_seed + by_example - rest)
    return Crossed(*(float(np.sqrt(variance)) for variance in (by_seed, by_example, both)))


def long_run_variance(values: np.ndarray) -> float:
    """The variance of a mean of consecutive values times their number: the sum of all autocovariances.

    Bartlett's weights fall to zero over 1.3 sqrt(n) neighbours.

    Args:
        values: (n,) in the order of time.

    Source: Newey, West (1987); the number of neighbours of Lazarus, Lewis, Stock, Watson, "HAR inference" (2018).
    """
    n = len(values)
    centred = values - values.mean()
    lags = min(math.ceil(1.3 * math.sqrt(n)), n - 1)
    weights = 1 - np.arange(1, lags + 1) / (lags + 1)
    ahead = [centred[lag:] @ centred[:-lag] for lag in range(1, lags + 1)]
    return float((centred @ centred + 2 * weights @ np.array(ahead)) / (n - 1))


def at_moments(values: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Scores of the examples of several series as one for each moment, with the same mean.

    Series that rise and fall together err together: what they add to each other is not the mean's precision. A moment
    at which more series have an example weighs more.

    Args:
        values: (n,) a score for each example.
        moments: (n,) when each example is, a number that grows.

    Returns:
        (moments,), in the order of time, to which `crossed` and `long_run_variance` apply.

    Source: Driscoll, Kraay, "Consistent covariance matrix estimation with spatially dependent panel data" (1998).
    """
    found, place = np.unique(moments, return_inverse=True)
    return np.bincount(place, weights=values) * (len(found) / len(values))


def widened(interval: Interval, error: float, family: int = 1, level: float = LEVEL) -> Interval:
    """The interval with another, independent source of error: the half widths add in squares.

    It is never narrower than the interval that it widens, and a little wider than it needs to be where both sources
    are as large: the t of a few seeds then stands for the sum.

    Args:
        error: standard error of the other source; NaN where it is not known, and then nothing is.
        family: as in `simultaneous`.

    Source: Howe (1974); Zou, Donner, "Construction of confidence limits about effect measures" (2008).
    """
    other = ndtri(1 - (1 - level) / (2 * family)) * error
    low, high = (float(np.hypot(interval.mean - end, other)) for end in (interval.low, interval.high))
    return Interval(interval.mean, interval.mean - low, interval.mean + high)


def widened_p(mean: float, error: float, free: int, other: float) -> float:
    """Two-sided p of a mean whose `widened` interval of the level 1 - p ends at zero; NaN where an error is not known.

    Args:
        error: standard error of the mean, of `free` degrees of freedom.
        other: standard error of the other, independent source.
    """
    if not np.isfinite([mean, error, other]).all() or free < 1 or error + other == 0:
        return np.nan

    if error == 0:
        return float(2 * ndtr(-abs(mean) / other))

    def beyond(log_p: float) -> float:
        tail = math.exp(log_p) / 2
        return math.hypot(stdtrit(free, tail) * error, ndtri(tail) * other) - abs(mean)

    low, high = math.log(1e-300), 0.0
    if mean == 0 or beyond(low) < 0:
        return 1.0 if mean == 0 else 0.0
    while (
        high - low > 1e-12
    ):  # halved; scipy.optimize would take longer to import than a study has roots to find
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > 0 else (low, middle)
    return math.exp(high)


def widened_rank_p(p: float, typical: float, other: float) -> float:
    """Two-sided p of a rank test with another, independent source of error, added in squares as in `widened`.

    The p is read as that of a normal estimate: |typical| / z, with z from p, is its standard error.

    Args:
        p: of the test; NaN, as it comes without any difference, stays.
        typical: the median difference.
        other: standard error of the other source.
    """
    if np.isnan(p) or other == 0:
        return p
    z = -float(ndtri(p / 2))
    if typical == 0 or z <= 0:
        return 1.0
    return float(2 * ndtr(-1 / math.hypot(1 / z, other / typical)))


def with_sample_error(
    found: Sequence[Paired], errors: Sequence[float] | np.ndarray, level: float = LEVEL
) -> list[Paired]:
    """The comparisons of a family as they are with the test sample's own error: `difference`, `p` and `adjusted`.

    Tests and intervals follow the same rules, with `widened` intervals in place of Student's. In a rank test, where a
    run collapsed, the error is held against the typical difference (`widened_rank_p`). A comparison whose error is not
    known, or in which a run failed, keeps its own p and interval; Holm's p is that of the whole family.

    Args:
        errors: of each comparison, the standard error that the test examples add to that through the seeds; NaN where
            it is not known.
    """
    family, told = len(found), []
    p = [_p(pair, error) for pair, error in zip(found, errors, strict=True)]
    for pair, error, own, adjusted in zip(found, errors, p, holm(p), strict=True):
        pair = pair._replace(p=own, adjusted=float(adjusted))
        if is_known(pair, error) or np.isfinite(pair.difference.low):
            mean, other = pair.difference.mean, error if is_known(pair, error) else 0.0
            tail = 1 - (1 - level) / (2 * family)
            half = stdtrit(pair.pairs - 1, tail) * _width(pair) if pair.pairs > 1 else np.nan
            interval = widened(Interval(mean, mean - half, mean + half), other, family, level)
            by_rank = pair.test in BY_RANK
            pair = pair._replace(
                difference=interval if by_rank else agreeing(interval, float(adjusted), level)
            )
        told.append(pair)
    return told


def resampled(found: Sequence[Paired], overlap: float, level: float = LEVEL) -> list[Paired]:
    """The comparisons of a family whose every seed drew training and test examples of its own from the same data.

    The spread of the differences then holds the error of the test sample: nothing is added from single examples. But
    the splits share examples, so that their differences are correlated, and s² / n is too small a variance of their
    mean. Nadeau and Bengio's is

        s² (1 / n + n_test / n_train)

    and Student's t keeps its n - 1 degrees of freedom. More splits never outweigh the second part: the data stay the
    same. It is a rule of thumb, since no estimate of the variance is without bias; simulated, false findings fall from
    up to 27 % to 2 to 5 %. Tests of another kind (where a run failed, or the differences have no spread) keep their own
    p, and take the splits for independent.

    Args:
        found: of the seeds alone, whose p and intervals are those of other splits of these very data.
        overlap: n_test / n_train, of each split.

    Source: Nadeau, Bengio, "Inference for the generalization error" (2003).
    """
    family = len(found)
    errors = [
        np.sqrt(_width(of) ** 2 + added_by_splits(of.spread, overlap) ** 2) if of.test == "t" else np.nan
        for of in found
    ]
    p = [
        of.p if np.isnan(error) else float(2 * stdtr(of.pairs - 1, -abs(of.difference.mean) / error))
        for of, error in zip(found, errors, strict=True)
    ]
    told = []
    for of, error, own, adjusted in zip(found, errors, p, holm(p), strict=True):
        of = of._replace(p=own, adjusted=float(adjusted))
        if not np.isnan(error):
            mean = of.difference.mean
            half = float(stdtrit(of.pairs - 1, 1 - (1 - level) / (2 * family)) * error)
            interval = Interval(mean, mean - half, mean + half)
            of = of._replace(difference=agreeing(interval, of.adjusted, level))
        told.append(of)
    return told


def added_by_splits(spread: float, overlap: float) -> float:
    """The standard error that a mean over overlapping splits has beyond s / sqrt(n); see `resampled`."""
    return float(spread * np.sqrt(overlap))


def is_known(pair: Paired, error: float) -> bool:
    """Whether the test sample's error is part of a comparison; a run that failed has no score on any example."""
    return is_whole(pair) and bool(np.isfinite(error))


def is_whole(pair: Paired) -> bool:
    """Whether every run of both depths has a score, and there are enough for an error."""
    return not pair.failed and not pair.failed_shallow and pair.pairs > 1


def _p(pair: Paired, error: float) -> float:
    if not is_known(pair, error):
        return pair.p
    if error == 0 and pair.test == "sign":  # nobody ever differed
        return pair.p
    if pair.test in BY_RANK:
        return widened_rank_p(pair.p, pair.typical, error)
    return widened_p(pair.difference.mean, _width(pair), pair.pairs - 1, error)


def _width(pair: Paired) -> float:
    """The standard error through the seeds; none where the differences have no spread but for rounding."""
    return 0.0 if pair.test == "sign" else pair.spread / np.sqrt(pair.pairs)
