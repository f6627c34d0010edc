"""Does depth pay? For each depth of each entry a verdict against the shallow network, and what it rests on.

The family is the deeper networks of one entry under one matching, declared by params.yaml before anything is
trained; so is the margin, the smallest difference in a score that matters.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from howdeep.results.answers import NO_ANSWERS, Answers, single_scores
from howdeep.results.measures import margin_of, measure
from howdeep.results.sample_error import (
    NO_OVERLAP,
    accuracy_difference_error,
    added_by_splits,
    crossed,
    is_known,
    is_whole,
    resampled,
    with_sample_error,
)
from howdeep.results.scores import SERIES, judged, plain
from howdeep.results.statistics import (
    BY_RANK,
    LEVEL,
    Interval,
    Paired,
    against_shallow,
    benjamini_hochberg,
    chance_to_repeat,
    seeds_to_decide,
)

BETTER, WORSE, SAME, OPEN, FAILED = "better", "worse", "no difference", "inconclusive", "failed"
LEAST_SEEDS = 3


def decide(found: Paired, margin: float, *, seeds: int, level: float = LEVEL) -> str:
    """The verdict on a deeper network.

    - failed: none of its runs finished. An observation, for which no test is needed.
    - no difference: the whole interval lies within the margin, whether or not it holds zero. Never where a run failed
      or collapsed: that is a difference.
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
    if found.test not in BY_RANK and -margin <= found.difference.low and found.difference.high <= margin:
        return SAME
    if found.adjusted <= 1 - level and found.sign:
        return BETTER if found.sign > 0 else WORSE
    return OPEN


def verdicts(
    scores: pd.DataFrame,
    margins: Mapping[str, float],
    examples: Mapping[str, int] | None = None,
    answers: Answers = NO_ANSWERS,
    in_time: Collection[str] = (),
    overlap: Mapping[str, float] = NO_OVERLAP,
    reference: Mapping[tuple, int] | None = None,
) -> pd.DataFrame:
    """A row for each cell that is deeper than the shallowest of its line, sorted as `summary` is.

    `difference` is deep minus shallow in the unit of the score, whichever direction is good, with the ends `low` and
    `high` of its interval (simultaneous in the family), on which the `verdict` rests; `p` is that of the test, `p_holm`
    Holm's in the family, `p_study` Benjamini and Hochberg's in the whole study. All of them hold the errors through the
    seeds and through the test examples together, as far as the latter is known: `sample_error` is the standard error
    that the test examples add, known `sample_from` "answers", paired on the examples; from a "bound", the largest that
    two accuracies allow, where no answers were kept; from "splits", where each seed drew test examples of its own; else
    not at all: of a score that no single example has, and where a run diverged. `verdict_seeds`, `low_seeds`,
    `high_seeds` and `p_seeds` are what the same rules say of the seeds alone: of these very test examples, or of other
    splits of these very data. `least_p` is the smallest p that the test could have reached with so many runs.
    `effect` is above 0, and `improvement` (with its interval) above 1/2, where the deeper network is better.
    `seeds_needed` is for the inconclusive ones, `chance_to_repeat` for better and worse: that a study with all drawn
    anew says the same. `collapsed` and `collapsed_shallow` count the runs that did; where any
    did, a rank test decides, and `typical`, the median difference, stands beside the mean and its interval.

    Args:
        scores: a row a run, see `scores.scores`.
        margins: of each score.
        examples: the number of test examples of each entry.
        answers: what `evaluate` kept of each test example.
        in_time: the entries whose test examples follow one another.
        overlap: of the entries whose seeds drew test examples of their own, see `sample_error.resampled`.
        reference: by line (the columns SERIES), the depth that all others are compared with in place of the shallowest.

    Raises:
        UserError: a score has no margin, or the answers lack a finished run.
    """
    column = judged(scores)
    rows = [
        row
        for line, runs in scores.groupby(SERIES)
        for row in _family(
            runs,
            column,
            margins,
            examples or {},
            answers,
            in_time,
            overlap,
            (reference or {}).get(line),  # type: ignore[arg-type]
        )
    ]
    for row, p in zip(rows, benjamini_hochberg([row["p"] for row in rows]), strict=True):
        row["p_study"] = p
    frame = pd.DataFrame(rows, columns=[*SERIES, "depth", *COLUMNS])
    return plain(frame.astype({name: float for name in MEASURED} | {"seeds_needed": "Int64"}))


MEASURED = (
    *("difference", "typical", "low", "high", "low_seeds", "high_seeds", "p_seeds", "sample_error", "margin"),
    *("p", "p_holm", "p_study", "least_p", "wilcoxon_p", "wilcoxon_least_p", "effect"),
    *("improvement", "improvement_low", "improvement_high", "chance_to_repeat"),
)
COLUMNS = (
    *("against", "score", "higher_is_better", "on", "pairs", "failed", "failed_shallow"),
    *("collapsed", "collapsed_shallow"),
    *(
        "verdict",
        "difference",
        "typical",
        "low",
        "high",
        "margin",
        "test",
        "p",
        "p_holm",
        "p_study",
        "least_p",
    ),
    *("verdict_seeds", "low_seeds", "high_seeds", "p_seeds", "sample_error", "sample_from"),
    *("wilcoxon_p", "wilcoxon_least_p", "effect", "improvement", "improvement_low", "improvement_high"),
    *("chance_to_repeat", "seeds_needed"),
)


def _family(
    runs: pd.DataFrame,
    column: str,
    margins: Mapping[str, float],
    examples: Mapping[str, int],
    answers: Answers,
    in_time: Collection[str],
    overlap: Mapping[str, float],
    reference: int | None,
) -> list[dict[str, Any]]:
    """The rows of one line (architecture on a data set, under one matching)."""
    line = {name: runs[name].iloc[0] for name in SERIES}
    score, higher = runs["score"].iloc[0], bool(runs["higher_is_better"].iloc[0])
    sign = 1 if higher else -1
    table, fell = (_first(score_by_depth(runs, name), reference) for name in (column, "collapsed"))
    depths, values = table.index.tolist(), table.to_numpy(dtype=np.float64)
    collapsed = fell.to_numpy(dtype=bool).sum(axis=1)
    mixed = collapsed[1:] + collapsed[0] > 0
    alone = against_shallow(sign * values[0], sign * values[1:], collapsed=mixed)
    origin, errors = "", np.full(len(alone), np.nan)
    share = overlap.get(line["entry"], 0.0) if column == "test_score" else 0.0
    if share:
        origin, errors = "splits", np.array([added_by_splits(of.spread, share) for of in alone])
    elif column == "test_score":
        keys = _first(score_by_depth(runs, "key"), reference).to_numpy()
        known = examples if score == "accuracy" else {}
        origin, errors = _sample_errors(
            alone, values, keys, line["entry"], known, answers, in_time=line["entry"] in in_time
        )
    found = resampled(alone, share) if share else with_sample_error(alone, errors)
    margin, reach = margin_of(score, margins), measure(score).reach
    rows = []
    for depth, of_depth, seeds, pair, error in zip(
        depths[1:], collapsed[1:], alone, found, errors, strict=True
    ):
        verdict, verdict_seeds = (decide(of, margin, seeds=values.shape[1]) for of in (pair, seeds))
        known = is_known(pair, error)
        (low, high), (low_seeds, high_seeds) = (ends(of.difference, sign, reach) for of in (pair, seeds))
        rows.append(
            {
                **line,
                **{"depth": depth, "against": depths[0], "score": score, "higher_is_better": higher},
                **{"on": column.removesuffix("_score"), "pairs": pair.pairs},
                **{"failed": pair.failed, "failed_shallow": pair.failed_shallow, "verdict": verdict},
                **{"collapsed": of_depth, "collapsed_shallow": collapsed[0]},
                **{"typical": sign * pair.typical},
                **{"difference": sign * pair.difference.mean, "low": low, "high": high, "margin": margin},
                **{"test": pair.test, "p": pair.p, "p_holm": pair.adjusted, "least_p": pair.least},
                **{"verdict_seeds": verdict_seeds, "low_seeds": low_seeds, "high_seeds": high_seeds},
                **{"p_seeds": seeds.adjusted, "sample_error": error if known else np.nan},
                **{"sample_from": origin if known else ""},
                **{"wilcoxon_p": pair.wilcoxon, "wilcoxon_least_p": pair.least_wilcoxon},
                **{"effect": pair.effect, "improvement": pair.improvement},
                **{"improvement_low": pair.improvement_low, "improvement_high": pair.improvement_high},
                "chance_to_repeat": chance_to_repeat(pair.adjusted) if verdict in (BETTER, WORSE) else np.nan,
                "seeds_needed": _needed(pair, margin, len(alone), error, share) if verdict == OPEN else None,
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


def _first(table: pd.DataFrame, depth: int | None) -> pd.DataFrame:
    """The same (depths, seeds) with one depth before all others; in order without one."""
    return table if depth is None else table.loc[[depth, *(of for of in table.index if of != depth)]]


def ends(interval: Interval, sign: int, reach: float) -> tuple[float, float]:
    """Both ends of a difference in the unit of its score, none farther from 0 than two scores can lie apart."""
    low, high = sorted([sign * interval.low, sign * interval.high])
    return max(low, -reach) + 0.0, min(high, reach) + 0.0  # no -0


def _needed(pair: Paired, margin: float, family: int, error: float, overlap: float) -> int | None:
    """Seeds that would probably decide; None where no number of seeds would, since the test examples are too few."""
    if pair.test != "t":
        return None
    if overlap:
        return seeds_to_decide(pair.difference.mean, pair.spread, margin, family, overlap=overlap)
    widest = ndtri(1 - (1 - LEVEL) / (2 * family)) * np.nan_to_num(error)
    aim = max(abs(pair.difference.mean), margin - abs(pair.difference.mean))
    if widest >= aim:
        return None
    return seeds_to_decide(pair.difference.mean, pair.spread, margin, family, beside=float(widest))


def _sample_errors(
    found: Sequence[Paired],
    values: np.ndarray,
    keys: np.ndarray,
    entry: str,
    examples: Mapping[str, int],
    answers: Answers,
    *,
    in_time: bool,
) -> tuple[str, np.ndarray]:
    """Where the test sample's errors are known from, and what each adds to that through the seeds; NaN: not known.

    Args:
        values, keys: (depths, seeds) scores and run keys, the shallowest depth first.
        examples: the number of test examples of entries that are scored by accuracy.
    """
    errors = np.full(len(found), np.nan)
    # Where a run of either depth failed it is another test, which knows no error.
    places = [place for place, pair in enumerate(found) if is_whole(pair)]
    if not places:
        return "", errors
    shallow = single_scores(answers, entry, keys[0].tolist())
    if shallow is not None:
        for place in places:
            deep = single_scores(answers, entry, keys[1 + place].tolist())
            assert deep is not None
            errors[place] = crossed(deep - shallow, in_time=in_time).added
        return "answers", errors
    if entry in examples:
        accuracy = values.mean(axis=1)
        for place in places:
            errors[place] = accuracy_difference_error(accuracy[0], accuracy[1 + place], examples[entry])
        return "bound", errors
    return "", errors
