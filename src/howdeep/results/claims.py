"""Verdicts of the ledger: does an experiment support a sentence, refute it, or leave it open? Functions of numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit

from howdeep.results.statistics import LEVEL, POWER, Interval, holm, mean_interval, without_spread

SUPPORTED, REFUTED = "SUPPORTED", "REFUTED"
NO_POWER, NO_COVERAGE = "INCONCLUSIVE (power)", "INCONCLUSIVE (coverage)"
STALE, FAILED = "STALE", "FAILED"
COVERAGE = 0.8  # of the seeds that must be there in every cell of the contrast

Ends = tuple[float, float]


class Judged(NamedTuple):
    """What the contrast of a claim says.

    Args:
        verdict: of the claim by itself.
        interval: of the contrast, 95 %, over seeds.
        n: seeds that it rests on.
        p_supports, p_refutes: two-sided, that the mean lies in the region.
        detectable: the smallest effect that so many seeds find in four of five studies, by the pilot's spread.
    """

    verdict: str
    interval: Interval
    n: int
    p_supports: float
    p_refutes: float
    detectable: float


def contrast(plus: Sequence[Sequence[float]], minus: Sequence[Sequence[float]]) -> np.ndarray:
    """The sum of some cells minus the sum of others, seed by seed: (cells, seeds) each -> (seeds,).

    A seed of which any cell has no value (NaN) has none.
    """
    found = np.sum(np.asarray(plus, dtype=np.float64), axis=0)
    return found - np.sum(np.asarray(minus, dtype=np.float64), axis=0) if len(minus) else found


def detectable(spread: float, n: int) -> float:
    """The smallest distance from a bound that n seeds show in four of five studies: (t(.975) + t(.8)) s / sqrt(n).

    Args:
        spread: standard deviation of the contrast over seeds.
        n: seeds, at least 2.
    """
    if n < 2:
        return math.inf
    return float((stdtrit(n - 1, (1 + LEVEL) / 2) + stdtrit(n - 1, POWER)) * spread / math.sqrt(n))


def judge(values: Sequence[float], supports: Ends, refutes: Ends, *, spread: float, effect: float) -> Judged:
    """The verdict of a claim by itself.

    The sentence is supported if the 95 % interval of the mean contrast lies in the region that supports it, and refuted
    if it lies in the one that refutes it. Where the contrast is the same in all seeds there is no interval: then the
    sign test decides. Where fewer than 80 % of the seeds have a value, or so few seeds were run that an effect as
    large as the declared one would be missed more often than once in five times, there is no verdict.

    Args:
        values: (seeds,) the contrast; NaN where a run failed.
        supports, refutes: both ends of each region, which do not overlap.
        spread, effect: of the pilot, see `study.claim.Power`.
    """
    all_ = np.asarray(values, dtype=np.float64)
    there = all_[np.isfinite(all_)]
    interval = mean_interval(there)
    for_, against = (probability_within(there, region) for region in (supports, refutes))
    smallest = detectable(spread, len(there))
    if len(there) < max(2, COVERAGE * len(values)):
        verdict = NO_COVERAGE
    elif smallest > effect:
        verdict = NO_POWER
    else:
        verdict = _decided(for_, against)
    return Judged(verdict, interval, len(there), for_, against, smallest)


def _decided(for_: float, against: float) -> str:
    if for_ <= 1 - LEVEL:
        return SUPPORTED
    return REFUTED if against <= 1 - LEVEL else NO_POWER


def probability_within(values: np.ndarray, region: Ends) -> float:
    """Twice the one-sided p of the hypothesis that the mean lies outside a region; of a region with two ends the larger
    of both sides (Schuirmann, 1987, "two one-sided tests"). At most .05 exactly if the 95 % interval lies within.

    NaN for fewer than two values.
    """
    if len(values) < 2:
        return math.nan
    low, high = region
    found = []
    for distances in (
        [] if low == -math.inf else [values - low],
        [] if high == math.inf else [high - values],
    ):
        found += [_one_sided(of) for of in distances]
    return min(1.0, 2 * max(found))


def _one_sided(distances: np.ndarray) -> float:
    """p of a mean of at most 0."""
    n, mean = len(distances), distances.mean()
    if without_spread(distances):
        return 0.5**n if mean > 0 else 1.0
    return float(stdtr(n - 1, -mean / distances.std(ddof=1) * math.sqrt(n)))


def over_the_ledger(found: Mapping[str, Judged]) -> dict[str, tuple[str, float]]:
    """The verdict of each claim if at most one ledger in twenty shall hold any false one, and its adjusted p (Holm)."""
    p = [np.nanmin([of.p_supports, of.p_refutes, 1.0]) for of in found.values()]
    adjusted = dict(zip(found, holm(p), strict=True))
    return {
        name: (_together(of.verdict, adjusted[name]), float(adjusted[name])) for name, of in found.items()
    }


def _together(verdict: str, adjusted: float) -> str:
    return NO_POWER if verdict in (SUPPORTED, REFUTED) and adjusted > 1 - LEVEL else verdict


def permuted(values: Sequence[float], seed: int) -> np.ndarray:
    """The contrast (seeds,) after the labels of its two sides were exchanged in half of the seeds, drawn at random.

    What is left of it says nothing: no claim may be supported by it.
    """
    signs = np.resize([1.0, -1.0], len(values))
    return np.asarray(values, dtype=np.float64) * np.random.RandomState(seed).permutation(signs)
