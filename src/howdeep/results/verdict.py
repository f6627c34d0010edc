"""Does depth pay? For each depth of each entry a verdict against the shallow network, and what it rests on.

The family is the deeper networks of one entry under one matching, declared by params.yaml before anything is
trained; so is the margin, the smallest difference in a score that matters.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from howdeep.results.answers import NO_ANSWERS, Answers, right
from howdeep.results.sample_error import accuracy_difference_error, crossed, with_sample_error
from howdeep.results.scores import SERIES, judged, plain
from howdeep.results.statistics import LEVEL, Interval, Paired, against_shallow, seeds_to_decide

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
    scores: pd.DataFrame,
    margins: Mapping[str, float],
    examples: Mapping[str, int] | None = None,
    answers: Answers = NO_ANSWERS,
) -> pd.DataFrame:
    """A row for each cell that is deeper than the shallowest of its line, sorted as `summary` is.

    `difference` is deep minus shallow in the unit of the score, whichever direction is good, with the ends `low` and
    `high` of the interval over seeds (simultaneous in the family), on which the `verdict` rests, as params.yaml
    declared. Beside it stands what the same rule says of other test examples like these: `verdict_all` with `low_all`,
    `high_all` and Holm's `p_all`, from the errors through seeds and test examples together; `beyond` tells whether
    better, worse or no difference holds there too ('yes', 'no', '' where it is not known). `sample_error` is the
    standard error that the test examples add, known `sample_from` "answers", paired on the examples; from a "bound",
    the largest that two accuracies allow, where no answers were kept; else not at all: of other scores, and where a
    run diverged or the differences have no spread. `effect` and `improvement` are above 0 and above 1/2 where the
    deeper network is better. `seeds_needed` is for the inconclusive ones.

    Args:
        scores: a row a run, see `scores.scores`.
        margins: of each score; a score without one has the margin 0.
        examples: the number of test examples of each entry.
        answers: what `evaluate` kept of classifiers.

    Raises:
        UserError: the answers lack a finished run.
    """
    column = judged(scores)
    rows = [
        row
        for _, runs in scores.groupby(SERIES)
        for row in _family(runs, column, margins, examples or {}, answers)
    ]
    frame = pd.DataFrame(rows, columns=[*SERIES, "depth", *COLUMNS])
    return plain(frame.astype({name: float for name in MEASURED} | {"seeds_needed": "Int64"}))


MEASURED = (
    *("difference", "low", "high", "low_all", "high_all", "p_all", "sample_error", "margin"),
    *("p", "p_holm", "wilcoxon_p", "wilcoxon_least_p", "effect", "improvement"),
)
COLUMNS = (
    *("against", "score", "higher_is_better", "on", "pairs", "failed", "failed_shallow"),
    *("verdict", "difference", "low", "high", "verdict_all", "low_all", "high_all", "p_all", "beyond"),
    *("sample_error", "sample_from", "margin", "test", "p", "p_holm", "wilcoxon_p", "wilcoxon_least_p"),
    *("effect", "improvement", "seeds_needed"),
)


def _family(
    runs: pd.DataFrame,
    column: str,
    margins: Mapping[str, float],
    examples: Mapping[str, int],
    answers: Answers,
) -> list[dict[str, Any]]:
    """The rows of one line (architecture on a data set, under one matching)."""
    line = {name: runs[name].iloc[0] for name in SERIES}
    score, higher = runs["score"].iloc[0], bool(runs["higher_is_better"].iloc[0])
    sign = 1 if higher else -1
    table = score_by_depth(runs, column)  # (depths, seeds)
    depths, values = table.index.tolist(), table.to_numpy(dtype=np.float64)
    found = against_shallow(sign * values[0], sign * values[1:])
    origin, errors = "", np.full(len(found), np.nan)
    if score == "accuracy" and column == "test_score":
        keys = score_by_depth(runs, "key").to_numpy()
        origin, errors = _sample_errors(found, values, keys, line["entry"], examples, answers)
    margin = float(margins.get(score, 0))
    rows = []
    for depth, pair, whole in zip(depths[1:], found, with_sample_error(found, errors), strict=True):
        verdict = decide(pair, margin, seeds=values.shape[1])
        known = not np.isnan(whole.difference.low)
        verdict_all = decide(whole, margin, seeds=values.shape[1]) if known else ""
        (low, high), (low_all, high_all) = ends(pair.difference, sign), ends(whole.difference, sign)
        rows.append(
            {
                **line,
                **{"depth": depth, "against": depths[0], "score": score, "higher_is_better": higher},
                **{"on": column.removesuffix("_score"), "pairs": pair.pairs},
                **{"failed": pair.failed, "failed_shallow": pair.failed_shallow, "verdict": verdict},
                **{"difference": sign * pair.difference.mean, "low": low, "high": high},
                **{"verdict_all": verdict_all, "low_all": low_all, "high_all": high_all},
                **{"p_all": whole.adjusted, "beyond": _beyond(verdict, verdict_all)},
                **{"sample_error": errors[len(rows)] if known else np.nan},
                **{"sample_from": origin if known else ""},
                **{"margin": margin, "test": pair.test, "p": pair.p, "p_holm": pair.adjusted},
                **{"wilcoxon_p": pair.wilcoxon, "wilcoxon_least_p": pair.least_wilcoxon},
                **{"effect": pair.effect, "improvement": pair.improvement},
                "seeds_needed": _needed(pair, margin, len(found)) if verdict == OPEN else None,
            }
        )
    return rows


def score_by_depth(runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """Scores by depth and seed, of the seeds that every depth was run with; a run that diverged has none (NaN)."""
    # By arrays: a pivot takes a hundred times as long, and a study has hundreds of families.
    depths, rows = np.unique(runs["depth"].to_numpy(), return_inverse=True)
    seeds, columns = np.unique(runs["seed"].to_numpy(), return_inverse=True)
    place = np.full((len(depths), len(seeds)), -1)
    place[rows, columns] = np.arange(len(runs))
    everywhere = (place >= 0).all(axis=0)
    values = runs[column].to_numpy()[place[:, everywhere]]
    return pd.DataFrame(values, index=depths, columns=seeds[everywhere])


def ends(interval: Interval, sign: int) -> tuple[float, float]:
    low, high = sorted([sign * interval.low, sign * interval.high])
    return low + 0.0, high + 0.0  # no -0


def _needed(pair: Paired, margin: float, family: int) -> int | None:
    return seeds_to_decide(pair.difference.mean, pair.spread, margin, family) if pair.test == "t" else None


def _sample_errors(
    found: Sequence[Paired],
    values: np.ndarray,
    keys: np.ndarray,
    entry: str,
    examples: Mapping[str, int],
    answers: Answers,
) -> tuple[str, np.ndarray]:
    """Where the test sample's errors are known from, and what each adds to that through the seeds; NaN: not known.

    Args:
        values, keys: (depths, seeds) accuracies and run keys, the shallowest depth first.
    """
    errors = np.full(len(found), np.nan)
    # Where a run of either depth failed, or there is no spread, it is another test, which knows no error.
    by_t = [place for place, pair in enumerate(found) if pair.test == "t" and pair.pairs > 1]
    if f"{entry}/label" in answers:
        shallow = right(answers, entry, keys[0]).astype(np.float64) if by_t else np.empty(0)
        for place in by_t:
            errors[place] = crossed(right(answers, entry, keys[1 + place]) - shallow).added
        return "answers", errors
    if entry in examples:
        accuracy = values.mean(axis=1)
        for place in by_t:
            errors[place] = accuracy_difference_error(accuracy[0], accuracy[1 + place], examples[entry])
        return "bound", errors
    return "", errors


def _beyond(verdict: str, verdict_all: str) -> str:
    """Whether a finding also holds for other test examples like these: 'yes', 'no', or '' if nobody knows."""
    if verdict not in (BETTER, WORSE, SAME) or not verdict_all:
        return ""
    return "yes" if verdict == verdict_all else "no"
