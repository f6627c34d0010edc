"""Is a network worth it? Each cell against the best of the simple methods, by the rules of the verdicts on depth.

The method is chosen by its validation score, so that the test examples judge it as they judge the networks. The family
is all depths of one entry under one matching.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from howdeep.results.answers import NO_ANSWERS, Answers, single_scores
from howdeep.results.measures import margin_of, measure
from howdeep.results.sample_error import (
    NO_OVERLAP,
    added_by_splits,
    crossed,
    is_known,
    is_whole,
    resampled,
    with_sample_error,
)
from howdeep.results.scores import SERIES, baselines_of, judged, plain
from howdeep.results.statistics import against_shallow
from howdeep.results.verdict import decide, ends, score_by_depth

COLUMNS = (
    *(
        "score",
        "higher_is_better",
        "on",
        "method",
        "method_score",
        "verdict",
        "difference",
        "low",
        "high",
        "margin",
    ),
    *("test", "p", "p_holm", "pairs", "failed", "sample_error"),
)
MEASURED = ("method_score", "difference", "low", "high", "margin", "p", "p_holm", "sample_error")


def against_baselines(
    scores: pd.DataFrame,
    baselines: Mapping[str, Any],
    margins: Mapping[str, float],
    answers: Answers = NO_ANSWERS,
    in_time: Collection[str] = (),
    overlap: Mapping[str, float] = NO_OVERLAP,
) -> pd.DataFrame:
    """A row a cell whose data set has a simple method: `difference` is the network's score minus the method's.

    A method has no seeds: the interval is that of the runs' mean, with the test sample's error where the scores of
    single examples are known of both. Where each seed drew test examples of its own, the method was scored on the same
    split as the network, and the differences are paired by seed.

    Args:
        scores: a row a run, see `scores.scores`.
        baselines: the content of results/test.json under that name.
        margins, answers, in_time, overlap: see `verdict.verdicts`.
    """
    column = judged(scores)
    rows = [
        row
        for _, runs in scores.groupby(SERIES)
        for row in _line(runs, column, baselines, margins, answers, in_time, overlap)
    ]
    frame = pd.DataFrame(rows, columns=[*SERIES, "depth", *COLUMNS])
    return plain(frame.astype(dict.fromkeys(MEASURED, float)))


def _line(
    runs: pd.DataFrame,
    column: str,
    baselines: Mapping[str, Any],
    margins: Mapping[str, float],
    answers: Answers,
    in_time: Collection[str],
    overlap: Mapping[str, float],
) -> list[dict[str, Any]]:
    line = {name: runs[name].iloc[0] for name in SERIES}
    score, higher = runs["score"].iloc[0], bool(runs["higher_is_better"].iloc[0])
    methods = baselines_of(baselines, line["data"], score)
    if not methods:
        return []
    sign = 1 if higher else -1
    method = max(methods, key=lambda name: sign * methods[name][0])
    reached = methods[method][0 if column == "val_score" else 1]
    table, keys = score_by_depth(runs, column), score_by_depth(runs, "key").to_numpy()
    values = table.to_numpy(dtype=np.float64)  # (depths, seeds)
    collapsed = score_by_depth(runs, "collapsed").to_numpy(dtype=bool).sum(axis=1) > 0
    share = overlap.get(line["entry"], 0.0) if column == "test_score" else 0.0
    splits = baselines[line["data"]][method].get("splits", {}) if share else {}
    own = [splits[str(seed)]["test"][score] if splits else reached for seed in table.columns]
    found = against_shallow(sign * np.array(own), sign * values, collapsed=collapsed)
    known = answers.get("/".join((line["data"], line["task"], method, "score")))
    errors = np.full(len(found), np.nan)
    for place, pair in enumerate(found):
        single = None
        if share:
            errors[place] = added_by_splits(pair.spread, share)
        elif column == "test_score" and known is not None and is_whole(pair):
            single = single_scores(answers, line["entry"], keys[place].tolist())
        if single is not None and known is not None and single.shape[1:] == known.shape:
            errors[place] = crossed(single - known, in_time=line["entry"] in in_time).added
    found = resampled(found, share) if share else with_sample_error(found, errors)
    margin, rows = margin_of(score, margins), []
    for depth, pair, error in zip(table.index, found, errors, strict=True):
        low, high = ends(pair.difference, sign, measure(score).reach)
        rows.append(
            {
                **line,
                **{"depth": depth, "score": score, "higher_is_better": higher},
                **{"on": column.removesuffix("_score"), "method": method, "method_score": reached},
                **{"verdict": decide(pair, margin, seeds=values.shape[1]), "margin": margin},
                **{"difference": sign * pair.difference.mean, "low": low, "high": high, "test": pair.test},
                **{"p": pair.p, "p_holm": pair.adjusted, "pairs": pair.pairs, "failed": pair.failed},
                "sample_error": error if is_known(pair, error) else np.nan,
            }
        )
    return rows
