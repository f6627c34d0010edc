"""What ranks alone tell of two depths: exact tests in which failed runs come last, and the probability of improvement.

Pure functions of arrays, as in `statistics`; a missing value (NaN) stands for a run that failed.
"""

from collections.abc import Callable
from math import comb
from typing import Any

import numpy as np
from scipy.special import ndtri

MOST_EXACT = 50  # pairs of the signed-rank test


def sign_test(wins: int, losses: int) -> float:
    """Two-sided p of the exact sign test; NaN if nothing was decided. Source: Arbuthnott (1710); Dixon, Mood (1946)."""
    if not wins + losses:
        return np.nan
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses).pvalue)


def wilcoxon(differences: np.ndarray) -> float:
    """Two-sided p of the signed-rank test; differences of zero are dropped, and NaN is told if all are.

    Exact up to 50 pairs, over all signs of the ranks, with ties too (a few accuracies tie often, and the normal
    approximation then claims more than so few pairs can show); the approximation beyond.

    Source: Wilcoxon, "Individual comparisons by ranking methods" (1945).
    """
    moved = differences[np.abs(differences) > 1e-12]
    if not len(moved):
        return np.nan
    moved = moved.round(12)  # equal but for rounding is a tie
    if len(moved) > MOST_EXACT:
        from scipy import stats

        found: Any = stats.wilcoxon(moved, method="approx")
        return float(found.pvalue)
    ranks = _twice_ranks(np.abs(moved))
    sums = np.ones(1)  # the share of all signs that give each sum of positive ranks, one rank after the other
    for rank in ranks:
        none = np.zeros(rank)
        sums = (np.concatenate([sums, none]) + np.concatenate([none, sums])) / 2
    positive = int(ranks[moved > 0].sum())
    return float(min(1.0, 2 * sums[: min(positive, ranks.sum() - positive) + 1].sum()))


def signed_rank_sign(differences: np.ndarray) -> int:
    """Whose ranks sum up to more in `wilcoxon`: 1 those of positive differences, -1 of negative ones, 0 of neither."""
    moved = differences[np.abs(differences) > 1e-12].round(12)
    return int(np.sign(np.sign(moved) @ _twice_ranks(np.abs(moved)))) if len(moved) else 0


def _twice_ranks(values: np.ndarray) -> np.ndarray:
    """Twice the ranks, 1 for the smallest: those of ties are the means of theirs, and so are whole too."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (2 * sizes.cumsum() - sizes + 1)[group]


def failures_last(shallow: np.ndarray, deep: np.ndarray) -> np.ndarray:
    """The differences of pairs with a failed run: larger than any other one, or none where both failed."""
    worst = np.where(np.isnan(deep), -np.inf, np.where(np.isnan(shallow), np.inf, deep - shallow))
    return np.where(np.isnan(deep) & np.isnan(shallow), 0.0, worst)


def rank_sum(shallow: np.ndarray, deep: np.ndarray) -> float:
    """Two-sided p of the exact rank-sum test: all runs of both depths, whatever their seeds, ranked; failed ones last.

    Every way of telling which runs are the deep ones is as likely under the null hypothesis; p is twice the share of
    those whose ranks sum up to as little, or as much, as those of the deep runs do. Ties, and failed runs (NaN), share
    the mean of their ranks. With five runs a depth it can go down to 2 / 252 = .008, where no test of five pairs can
    go below 2 / 32 = .062.

    Args:
        shallow, deep: (runs,) the larger the better; NaN for a run that failed.

    Returns:
        p; NaN where one of both has no run.

    Source: Wilcoxon (1945); Mann, Whitney (1947).
    """
    values = np.concatenate([deep, shallow])
    values = np.where(np.isnan(values), -np.inf, values).round(12)
    if not len(deep) or not len(shallow):
        return np.nan
    ranks = _twice_ranks(values)
    # ways[k, s]: how many choices of k runs have ranks that sum up to s
    ways = np.zeros((len(deep) + 1, int(ranks.sum()) + 1))
    ways[0, 0] = 1.0
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    shares, place = ways[-1] / ways[-1].sum(), int(ranks[: len(deep)].sum())
    return float(min(1.0, 2 * min(shares[: place + 1].sum(), shares[place:].sum())))


def least_rank_sum(shallow: int, deep: int) -> float:
    """The smallest p that so many runs can reach in the rank-sum test, without ties: 2 / (n + m choose n)."""
    return min(1.0, 2 / comb(shallow + deep, deep)) if shallow and deep else np.nan


def least_wilcoxon(pairs: int) -> float:
    """The smallest p that n pairs can reach in the signed-rank test, all of one sign: 2 / 2^n; .0625 for five."""
    return min(1.0, 2.0 ** (1 - pairs))


def improvement_interval(share: float, shallow: int, deep: int, level: float = 0.95) -> tuple[float, float]:
    """The confidence interval of `improvement`: all probabilities from which the share does not differ too much.

    |share - p| <= z sqrt(V(p)) with V(p) = p (1 - p) (1 + (N - 1) ((1 - p) / (2 - p) + p / (1 + p))) / nm and
    N = (n + m) / 2. It stays between 0 and 1, and has a width where every deep run beats every shallow one.

    Args:
        share: of all pairs of runs, as `improvement` gives it.
        shallow, deep: how many runs there are.

    Returns:
        Both ends; NaN where there is no share.

    Source: Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney statistic. Part 2"
    (2006), method 5, with the variance of Hanley and McNeil (1982).
    """
    if np.isnan(share):
        return np.nan, np.nan
    z, mean_runs = ndtri((1 + level) / 2), (shallow + deep) / 2

    def beyond(p: float) -> float:
        spread = 1 + (mean_runs - 1) * ((1 - p) / (2 - p) + p / (1 + p))
        return abs(share - p) - z * np.sqrt(p * (1 - p) * spread / (shallow * deep))

    return _root(beyond, 0.0, share), _root(beyond, 1.0, share)


def _root(beyond: Callable[[float], float], outside: float, inside: float) -> float:
    """Where a function that is at most 0 inside becomes positive, found by halving."""
    if beyond(outside) <= 0:
        return outside
    for _ in range(60):
        middle = (outside + inside) / 2
        outside, inside = (middle, inside) if beyond(middle) > 0 else (outside, middle)
    return inside


def improvement(shallow: np.ndarray, deep: np.ndarray) -> float:
    """The probability that a deep run beats a shallow one, ties halved: all pairs of runs, whatever their seeds.

    Args:
        shallow, deep: (runs,) the larger the better; a failed run (NaN) loses against any that finished.

    Source: Mann, Whitney (1947); Agarwal et al., "Deep RL at the edge of the statistical precipice" (2021).
    """
    a, b = (np.nan_to_num(runs, nan=-np.inf) for runs in (shallow, deep))
    if not len(a) or not len(b):
        return np.nan
    return float((np.greater.outer(b, a) + 0.5 * np.equal.outer(b, a)).mean())
