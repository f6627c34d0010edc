"""Depth across data sets: one architecture with the same settings on several of them.

Scores of different tasks are made comparable as skill: 0 for the method that knows nothing of the input, 1 for a
perfect score. A failed run has no skill: 0.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from howdeep.results.gaps import chance_score
from howdeep.results.scores import judged, known, select
from howdeep.results.skill import skill
from howdeep.results.statistics import LEVEL, UNKNOWN, Interval

LEAST_BLOCKS = 6  # data sets below which Friedman's chi-square approximation says nothing

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


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the middle half along the last axis, which no single run can carry away.

    Source: Agarwal et al., "Deep RL at the edge of the statistical precipice" (2021).
    """
    outer = values.shape[-1] // 4
    ordered = np.partition(values, (outer, values.shape[-1] - outer - 1), axis=-1)
    return ordered[..., outer : values.shape[-1] - outer].mean(axis=-1)


def stratified_bootstrap(
    groups: Sequence[np.ndarray],
    statistic: Callable[[np.ndarray], np.ndarray] = interquartile_mean,
    *,
    seed: int = 0,
    repetitions: int = 2000,
    level: float = LEVEL,
) -> Interval:
    """A statistic (along the last axis) of all values, with its percentile interval.

    Runs are drawn again within their own data set: it tells how other seeds on these data sets would vary, never how
    other data sets would. With the few seeds of a cell its coverage falls short (73 to 83 % at 3 to 5 seeds), so that
    no verdict rests on it.

    Args:
        groups: one array (runs,) for each data set.
        seed: of the draws; the same seed gives the same interval.

    Source: Efron (1979); Agarwal et al. (2021).
    """
    if not groups or any(not len(group) for group in groups):
        return UNKNOWN
    random = np.random.default_rng(seed)
    drawn = np.concatenate(
        [group[random.integers(len(group), size=(repetitions, len(group)))] for group in groups], axis=1
    )  # (repetitions, runs of all groups)
    low, high = np.quantile(statistic(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(statistic(np.concatenate(groups))), float(low), float(high))


class Ranking(NamedTuple):
    """Friedman's test of treatments over blocks, with Nemenyi's comparisons of all pairs."""

    p: float
    ranks: np.ndarray  # (treatments,) mean ranks, 1 for the best
    nemenyi: np.ndarray  # (treatments, treatments) p of each pair


def friedman(scores: np.ndarray) -> Ranking | None:
    """Whether depths differ in rank over data sets; None below six data sets or three depths.

    Args:
        scores: (data sets, depths) the larger the better.

    Source: Friedman (1937); Nemenyi (1963); Demsar, "Statistical comparisons of classifiers" (2006).
    """
    blocks, treatments = scores.shape
    if blocks < LEAST_BLOCKS or treatments < 3:
        return None
    from scikit_posthocs import posthoc_nemenyi_friedman  # a second of imports, needed by large studies only
    from scipy import stats

    ranks = stats.rankdata(-scores, axis=1).mean(axis=0)
    p = float(stats.friedmanchisquare(*scores.T).pvalue)
    return Ranking(p, ranks, posthoc_nemenyi_friedman(scores).to_numpy())
