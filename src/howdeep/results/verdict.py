"""Does depth pay? For each depth of each entry a verdict against the shallow network, and what it rests on.

The family is the deeper networks of one entry under one matching, declared by params.yaml before anything is
trained; so is the margin, the smallest difference in a score that matters.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from howdeep.results.scores import SERIES, judged
from howdeep.results.statistics import (
    LEVEL,
    Interval,
    Paired,
    accuracy_difference_error,
    against_shallow,
    seeds_to_decide,
    widened,
)

BETTER, WORSE, SAME, OPEN, FAILED = "better", "worse", "no difference", "inconclusive", "failed"
LEAST_SEEDS = 3


def decide(found: Paired, margin: float, *, seeds: int, level: float = LEVEL) -> str:
    """The verdict on a deeper network.

    - failed: none of its runs finished. An observation, for which no test is needed.
    - no difference: the whole interval lies within the margin, whether or not it holds zero.
    - better, worse: Holm's test finds a difference.
    - inconclusive: neither, or fewer than three seeds, whose spread is a guess. It does not say that the depths are
      equal.

    Args:
        margin: the smallest difference that matters, in the unit of the score; with 0 nothing is ever "no difference".
        seeds: how many runs of the deeper network there were.
    """
    if seeds and found.failed == seeds:
        return FAILED
    if seeds < LEAST_SEEDS:
        return OPEN
    if -margin <= found.difference.low and found.difference.high <= margin:
        return SAME
    if found.adjusted <= 1 - level and found.sign:
        return BETTER if found.sign > 0 else WORSE
    return OPEN


def verdicts(
    scores: pd.DataFrame, margins: Mapping[str, float], examples: Mapping[str, int] | None = None
) -> pd.DataFrame:
    """A row for each cell that is deeper than the shallowest of its line, sorted as `summary` is.

    `difference` is deep minus shallow in the unit of the score, whichever direction is good, with the ends `low` and
    `high` of the interval over seeds (simultaneous in the family), `low_all` and `high_all` of one that adds the test
    sample's own error, and `beyond`: whether better or worse also holds for that one. `effect` and `improvement` are
    above 0 and above 1/2 where the deeper network is better. `seeds_needed` is for the inconclusive ones.

    Args:
        scores: a row a run, see `scores.scores`.
        margins: of each score; a score without one has the margin 0.
        examples: the number of test examples of each entry.
    """
    column = judged(scores)
    rows = [
        row for _, runs in scores.groupby(SERIES) for row in _family(runs, column, margins, examples or {})
    ]
    frame = pd.DataFrame(rows, columns=[*SERIES, "depth", *COLUMNS])
    return frame.astype({name: float for name in MEASURED} | {"seeds_needed": "Int64"})


MEASURED = (
    *("difference", "low", "high", "low_all", "high_all", "margin"),
    *("p", "p_holm", "wilcoxon_p", "wilcoxon_least_p", "effect", "improvement"),
)
COLUMNS = (
    *("against", "score", "higher_is_better", "on", "pairs", "failed", "failed_shallow"),
    *("verdict", "difference", "low", "high", "low_all", "high_all", "beyond", "margin"),
    *("test", "p", "p_holm", "wilcoxon_p", "wilcoxon_least_p", "effect", "improvement", "seeds_needed"),
)


def _family(
    runs: pd.DataFrame, column: str, margins: Mapping[str, float], examples: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The rows of one line (architecture on a data set, under one matching)."""
    line = {name: runs[name].iloc[0] for name in SERIES}
    score, higher = runs["score"].iloc[0], bool(runs["higher_is_better"].iloc[0])
    sign = 1 if higher else -1
    table = score_by_depth(runs, column)  # (depths, seeds)
    depths, values = table.index.tolist(), table.to_numpy(dtype=np.float64)
    found = against_shallow(sign * values[0], sign * values[1:])
    margin = float(margins.get(score, 0))
    rows = []
    for depth, deep, pair in zip(depths[1:], values[1:], found, strict=True):
        verdict = decide(pair, margin, seeds=values.shape[1])
        error = _sample_error(score, column, values[0], deep, examples.get(line["entry"]))
        everything = widened(pair.difference, error, len(found))
        (low, high), (low_all, high_all) = ends(pair.difference, sign), ends(everything, sign)
        rows.append(
            {
                **line,
                **{"depth": depth, "against": depths[0], "score": score, "higher_is_better": higher},
                **{"on": column.removesuffix("_score"), "pairs": pair.pairs},
                **{"failed": pair.failed, "failed_shallow": pair.failed_shallow, "verdict": verdict},
                **{"difference": sign * pair.difference.mean, "low": low, "high": high},
                **{"low_all": low_all, "high_all": high_all, "beyond": _beyond(verdict, everything)},
                **{"margin": margin, "test": pair.test, "p": pair.p, "p_holm": pair.adjusted},
                **{"wilcoxon_p": pair.wilcoxon, "wilcoxon_least_p": pair.least_wilcoxon},
                **{"effect": pair.effect, "improvement": pair.improvement},
                "seeds_needed": _needed(pair, margin, len(found)) if verdict == OPEN else None,
            }
        )
    return rows


def score_by_depth(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Scores by depth and seed, of the seeds that every depth was run with; a run that diverged has none (NaN)."""
    table = runs.pivot(index="depth", columns="seed", values=column)
    everywhere = set.intersection(*(set(of["seed"]) for _, of in runs.groupby("depth")))
    return table.reindex(columns=sorted(everywhere))


def ends(interval: Interval, sign: int) -> tuple[float, float]:
    low, high = sorted([sign * interval.low, sign * interval.high])
    return low + 0.0, high + 0.0  # no -0


def _needed(pair: Paired, margin: float, family: int) -> int | None:
    return seeds_to_decide(pair.difference.mean, pair.spread, margin, family) if pair.test == "t" else None


def _sample_error(
    score: str, column: str, shallow: np.ndarray, deep: np.ndarray, examples: int | None
) -> float:
    """Standard error of the difference through the test examples: at most this for an accuracy, else not known."""
    if score != "accuracy" or column != "test_score" or examples is None:
        return np.nan
    if np.isnan(shallow).all() or np.isnan(deep).all():
        return np.nan
    return accuracy_difference_error(float(np.nanmean(shallow)), float(np.nanmean(deep)), examples)


def _beyond(verdict: str, everything: Interval) -> str:
    """Whether better or worse also holds for other test examples like these: 'yes', 'no', or '' if nobody knows."""
    if verdict not in (BETTER, WORSE) or np.isnan(everything.low):
        return ""
    return "yes" if (everything.low > 0 if verdict == BETTER else everything.high < 0) else "no"
