"""Depth across data sets: one architecture with the same settings on several of them.

Scores of different tasks are made comparable as skill: 0 for the method that knows nothing of the input, 1 for a
perfect score. A failed run has no skill: 0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from howdeep.results.gaps import chance_score
from howdeep.results.scores import judged, known, select
from howdeep.results.skill import skill
from howdeep.results.statistics import LEAST_BLOCKS, friedman, stratified_bootstrap

COLUMNS = (
    *("variant", "matching", "depth", "data_sets", "runs", "iqm", "low", "high"),
    *("rank", "friedman_p", "nemenyi_p"),
)


def across(scores: pd.DataFrame, baselines: Mapping[str, Any]) -> pd.DataFrame:
    """A row for each depth of each variant (an entry's name without its data set) that has at least two data sets.

    `iqm` is the interquartile mean of the skill over the runs, as many of each data set (those of the lowest seeds,
    where some have more), with its stratified bootstrap interval. From six data
    sets on, `rank` is the mean rank of the depth, `friedman_p` says whether ranks differ at all, `nemenyi_p` whether
    this depth's differs from the shallowest; before that they are missing values.
    """
    table = _skills(scores, baselines)
    rows = [row for _, runs in table.groupby(["variant", "matching"]) for row in _variant(runs)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def why_no_ranks(table: pd.DataFrame) -> str:
    """Why depths were not ranked over data sets, or nothing if they were somewhere."""
    if known(table, "rank").size:
        return ""
    most = max(table["data_sets"].tolist(), default=1)
    return (
        f"Depths were not ranked over data sets (Friedman, Nemenyi): that takes {LEAST_BLOCKS} of them, "
        f"and no architecture has more than {most}."
    )


def _skills(scores: pd.DataFrame, baselines: Mapping[str, Any]) -> pd.DataFrame:
    column = judged(scores)
    part = column.removesuffix("_score")
    lines = scores[["data", "score", "higher_is_better"]].drop_duplicates()
    chance = {
        (data, score): chance_score(score, baselines.get(data, {}), part)
        for data, score in zip(lines["data"], lines["score"], strict=True)
    }
    of_run = zip(
        scores["data"],
        scores["score"],
        scores["higher_is_better"],
        scores[column],
        scores["state"],
        strict=True,
    )
    values = [
        skill(value, chance[data, score], higher_is_better=higher) if state == "finished" else 0.0
        for data, score, higher, value, state in of_run
    ]
    variant = [
        entry.removeprefix(f"{data}-") for entry, data in zip(scores["entry"], scores["data"], strict=True)
    ]
    return scores[["data", "matching", "depth", "seed"]].assign(variant=variant, skill=values).dropna()


def _variant(runs: pd.DataFrame) -> list[dict[str, Any]]:
    if len(set(runs["data"])) < 2:
        return []
    of_cell = runs.sort_values("seed").groupby(["data", "depth"])
    runs = of_cell.head(min(of_cell.size().tolist()))  # or a data set with more seeds would count for more
    means = runs.pivot_table(index="data", columns="depth", values="skill").dropna()
    ranking = friedman(means.to_numpy())
    rows = []
    for place, depth in enumerate(means.columns):
        groups = [of["skill"].to_numpy() for _, of in select(runs, depth=depth).groupby("data")]
        iqm = stratified_bootstrap(groups)
        rows.append(
            {
                **{"variant": runs["variant"].iloc[0], "matching": runs["matching"].iloc[0]},
                **{"depth": depth, "data_sets": len(means), "runs": sum(map(len, groups))},
                **{"iqm": iqm.mean, "low": iqm.low, "high": iqm.high},
                **{"rank": ranking.ranks[place] if ranking else np.nan},
                **{"friedman_p": ranking.p if ranking else np.nan},
                **{"nemenyi_p": ranking.nemenyi[0, place] if ranking and place else np.nan},
            }
        )
    return rows
