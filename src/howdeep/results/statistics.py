"""Estimates from a handful of runs: pure functions of arrays, which know nothing of records or tables.

Differences are between runs of the same seed, so that what the seeds share cancels. A missing value (NaN) stands for
a run that failed.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import (  # of scipy.stats, which takes long to import, only what is needed
    gammaln,
    ndtr,
    ndtri,
    stdtr,
    stdtrit,
)

from howdeep.results.ranks import (
    failures_last,
    improvement,
    improvement_interval,
    least_rank_sum,
    least_wilcoxon,
    rank_sum,
    sign_test,
    signed_rank_sign,
    wilcoxon,
)

LEVEL = 0.95
POWER = 0.8
MOST_SEEDS = 10_000  # beyond which nobody would repeat a training
BY_RANK = ("signed rank", "rank sum")  # tests of comparisons with a run that failed or collapsed


class Interval(NamedTuple):
    """A mean and its confidence interval, in the unit of the values."""

    mean: float
    low: float
    high: float


UNKNOWN = Interval(np.nan, np.nan, np.nan)


def mean_interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> Interval:
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
        return UNKNOWN
    mean = float(values.mean())
    if len(values) == 1:
        return Interval(mean, np.nan, np.nan)
    half = stdtrit(len(values) - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(len(values))
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


# --- one comparison: the differences of paired runs -----------------------------------------------------------


def without_spread(differences: np.ndarray) -> bool:
    """Whether all differences are the same but for rounding, so that no t-test can be made of them."""
    return len(differences) > 0 and bool(np.ptp(differences) <= 1e-9 * max(1.0, np.abs(differences).max()))


def t_test(differences: np.ndarray) -> float:
    """Two-sided p of Student's paired t-test; NaN for fewer than two pairs, or pairs without any spread."""
    if len(differences) < 2 or without_spread(differences):
        return np.nan
    t = differences.mean() / differences.std(ddof=1) * np.sqrt(len(differences))
    return float(2 * stdtr(len(differences) - 1, -abs(t)))


def effect_size(differences: np.ndarray) -> float:
    """Paired d: the mean difference in its standard deviations, corrected for small samples.

    d = J m / s with J = Γ(f / 2) / (sqrt(f / 2) Γ((f - 1) / 2)), f = n - 1. NaN for fewer than three pairs (J needs
    f > 1) or no spread.

    Source: Hedges, "Distribution theory for Glass's estimator of effect size" (1981).
    """
    free = len(differences) - 1
    if free < 2 or without_spread(differences):
        return np.nan
    correction = np.exp(gammaln(free / 2) - gammaln((free - 1) / 2)) / np.sqrt(free / 2)
    return float(correction * differences.mean() / differences.std(ddof=1))


# --- a family of comparisons ----------------------------------------------------------------------------------


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Holm's adjusted p: those below alpha may be rejected together with at most alpha of any false rejection.

    A test that could not be made (NaN) stays in the family, which was declared before, and counts as p = 1.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")  # NaN last
    scaled = np.arange(len(p), 0, -1) * np.where(np.isnan(p), 1.0, p)[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return np.where(np.isnan(p), np.nan, adjusted)


def benjamini_hochberg(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Benjamini and Hochberg's adjusted p: of those below alpha, at most the share alpha are false on average.

    For a whole study, beside Holm's within a family: it controls the share of false findings, not that of families
    with one. A test that could not be made (NaN) counts as p = 1.

    Source: Benjamini, Hochberg, "Controlling the false discovery rate" (1995).
    """
    p = np.asarray(p, dtype=np.float64)
    order = np.argsort(p, kind="stable")[::-1]  # NaN first
    scaled = np.where(np.isnan(p), 1.0, p)[order] * len(p) / np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return np.where(np.isnan(p), np.nan, adjusted)


def simultaneous(differences: np.ndarray, family: int, level: float = LEVEL) -> Interval:
    """The interval of a mean difference which, with those of the whole family, holds all true ones at once.

    Bonferroni's: each of the family's m intervals has the level 1 - (1 - level) / m.
    No interval without spread: equal differences of a few runs are a coincidence, not a certainty.
    """
    if len(differences) and without_spread(differences):
        return Interval(float(differences.mean()), np.nan, np.nan)
    return mean_interval(differences, 1 - (1 - level) / family)


def agreeing(interval: Interval, adjusted: float, level: float = LEVEL) -> Interval:
    """The interval cut at zero where Holm's test, which is a little sharper, excludes zero and the interval does not.

    Sharper tests and bounded intervals of every depth cannot have one common error rate (Strassburger, Bretz, 2008).
    What holds: Holm's tests err in at most 5 % of families, Bonferroni's intervals in at most 5 %, so that the
    two together err in at most 10 %, and in at most 5 % where all depths equal depth 1 or all clearly differ.
    """
    mean, low, high = interval
    if not adjusted <= 1 - level:
        return interval
    return Interval(mean, max(low, 0.0) if mean > 0 else low, min(high, 0.0) if mean < 0 else high)


class Paired(NamedTuple):
    """A deeper network against the shallow one. Above 0 (and above 1/2 of `improvement`) the deeper is better."""

    pairs: int  # seeds for which both finished
    failed: int  # runs of the deeper network that failed
    failed_shallow: int
    difference: Interval  # of the mean, simultaneous over the family
    typical: float  # the median difference
    spread: float  # standard deviation of the differences
    p: float
    adjusted: float  # p after Holm
    test: str  # "t"; "signed rank" or "rank sum" where a run failed or collapsed; "sign" where there is no spread
    least: float  # the smallest p that so many runs can reach in this test
    sign: int  # which of the two is ahead in the test: 1 the deeper, -1 the shallow one, 0 neither
    wilcoxon: float
    least_wilcoxon: float
    effect: float
    improvement: float
    improvement_low: float
    improvement_high: float


def against_shallow(
    shallow: np.ndarray,
    deeper: np.ndarray,
    level: float = LEVEL,
    *,
    collapsed: Sequence[bool] | np.ndarray | None = None,
) -> list[Paired]:
    """Every deeper network against the shallow one, the family being all of them.

    The test is Student's paired t. Where a run of either failed, a mean difference would leave out the worst
    outcome: there it is an exact rank test in which failed runs come last, the signed-rank test of the pairs, or, where
    so few pairs could never decide, the `rank_sum` test of all runs. Where the differences have no spread it is the
    sign test. Then there is no interval either.

    Where a run of either collapsed, the differences are a mixture of two kinds of runs. Student's interval holds their
    mean as often as it says, once a collapse is seen; but his test finds nothing: one collapse of ten hides that all
    ten pairs are worse. So the test is a rank test there too, in which a collapsed run comes last by its own score,
    as one that failed does, and what is ahead in ranks must also be ahead on average. `benchmarks.coverage`
    compares it with others.

    Args:
        shallow: (seeds,) the larger the better; NaN for a run that failed.
        deeper: (depths, seeds) the same seeds in the same order.
        collapsed: (depths,) whether any run of the depth or of the shallow network did; None for nowhere.
        level: of the intervals together, and 1 - level the error rate of the tests together.

    Returns:
        One `Paired` for each row of `deeper`.

    Raises:
        ValueError: the arrays have other shapes.
    """
    shallow, deeper = np.asarray(shallow, dtype=np.float64), np.asarray(deeper, dtype=np.float64)
    if shallow.ndim != 1 or deeper.ndim != 2 or deeper.shape[1] != len(shallow):
        raise ValueError(f"expected shapes (seeds,) and (depths, seeds), got {shallow.shape}, {deeper.shape}")
    mixed = np.zeros(len(deeper), dtype=bool) if collapsed is None else collapsed
    found = [
        _paired(shallow, deep, len(deeper), level, mixed=bool(of))
        for deep, of in zip(deeper, mixed, strict=True)
    ]
    adjusted = holm([pair.p for pair in found])
    return [
        pair._replace(
            adjusted=float(p),
            difference=pair.difference if pair.test in BY_RANK else agreeing(pair.difference, p, level),
        )
        for pair, p in zip(found, adjusted, strict=True)
    ]


def _paired(shallow: np.ndarray, deep: np.ndarray, family: int, level: float, *, mixed: bool) -> Paired:
    lost, lost_shallow = np.isnan(deep), np.isnan(shallow)
    differences = (deep - shallow)[~lost & ~lost_shallow]
    ahead, runs = improvement(shallow, deep), len(deep)
    interval = simultaneous(differences, family, level)
    failed = bool((lost | lost_shallow).any())
    if (failed or mixed) and family * least_wilcoxon(runs) <= 1 - level:
        ranked = failures_last(shallow, deep)
        test, p, least = "signed rank", wilcoxon(ranked), least_wilcoxon(runs)
        sign = signed_rank_sign(ranked)
    elif failed or mixed:
        test, p, least = "rank sum", rank_sum(shallow, deep), least_rank_sum(runs, runs)
        sign = float(np.nan_to_num(ahead - 0.5))
    elif without_spread(differences):
        wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
        test, p, least, sign = "sign", sign_test(wins, losses), least_wilcoxon(runs), float(wins - losses)
    else:
        test, p, least, sign = "t", t_test(differences), 0.0, float(np.nan_to_num(interval.mean))
    if mixed and not failed and sign * interval.mean < 0:
        sign = 0.0
    low, high = improvement_interval(ahead, runs, runs, level)
    return Paired(
        pairs=len(differences),
        failed=int(lost.sum()),
        failed_shallow=int(lost_shallow.sum()),
        difference=Interval(interval.mean, np.nan, np.nan) if failed or test == "sign" else interval,
        typical=float(np.median(differences)) if len(differences) else np.nan,
        spread=float(differences.std(ddof=1)) if len(differences) > 1 else np.nan,
        p=p,
        adjusted=np.nan,
        test=test,
        least=least,
        sign=int(np.sign(sign)),
        wilcoxon=wilcoxon(differences),
        least_wilcoxon=least_wilcoxon(len(differences)),
        effect=effect_size(differences),
        improvement=ahead,
        improvement_low=low,
        improvement_high=high,
    )


def seeds_to_decide(
    mean: float,
    spread: float,
    margin: float,
    family: int,
    level: float = LEVEL,
    *,
    beside: float = 0.0,
    overlap: float = 0.0,
) -> int | None:
    """How many seeds would probably decide: find a difference, or show that there is none within the margin.

    If the mean difference m and its standard deviation s stay as they are, an interval of half width h excludes zero
    for h < |m| and lies within the margin for h < margin - |m|. The smallest n for which
    (t(1 - alpha / 2 family) + t(0.8)) s / sqrt(n) is below the larger of the two: four of five such studies decide.
    An estimate from few seeds is rough; it plans the next study, and tells nothing of this one.

    Args:
        beside: the half width that another source of error has, which more seeds do not make smaller.
        overlap: where splits overlap, by how much their variance exceeds s² / n; see `sample_error.resampled`.

    Returns:
        The number, at least 2, or None where it would be above 10,000 or nothing is known.
    """
    aim = max(abs(mean), margin - abs(mean))
    if not np.isfinite([mean, spread]).all() or aim <= 0 or spread <= 0:
        return None
    enough = np.flatnonzero(np.hypot(_half_widths(family, level, overlap) * spread, beside) <= aim)
    return int(enough[0]) + 2 if len(enough) else None


@cache
def _half_widths(family: int, level: float, overlap: float) -> np.ndarray:
    """What four of five studies need from n = 2, 3, ... seeds, in standard deviations; the same for a whole study."""
    counts = np.arange(2, MOST_SEEDS + 1)
    tail = 1 - (1 - level) / (2 * family)
    return (stdtrit(counts - 1, tail) + stdtrit(counts - 1, POWER)) * np.sqrt(1 / counts + overlap)


def chance_to_repeat(p: float, level: float = LEVEL) -> float:
    """How likely a test that found a difference finds it again, in the same direction, when all is drawn anew.

    An estimate z of a difference (in standard errors) lies around the true one as that of a second study will: the
    second is z give or take the square root of 2, and finds it above z(1 - alpha / 2). A p at the level itself has a
    chance of one half, .005 one of .73, .0005 one of .86. A difference that was chosen for being found is likely to be
    smaller than it looks, so that the chance is an upper guess.

    Args:
        p: two-sided, corrected as the level asks.

    Source: Goodman, "A comment on replication, p-values and evidence" (1992).
    """
    z = -ndtri(np.maximum(p, np.finfo(float).tiny) / 2)
    return float(ndtr((z + ndtri((1 - level) / 2)) / np.sqrt(2)))
