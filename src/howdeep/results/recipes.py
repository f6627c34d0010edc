"""Best shallow against best deep: does depth pay where each depth has the recipe that suits it?

A plain network that fails when it is deep says as much of its recipe as of depth, and so does a normalised one that
does not beat a plain shallow one. So every seed of every depth takes the recipe that did best on its validation
examples, and what is then compared on test examples is the whole procedure: choice of the recipe and training. As each
seed chooses for itself, how lucky its choice was is in the interval, and as the test examples have no say, they judge
the chosen network as they judge any other.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from howdeep.records.cell import MATCHINGS
from howdeep.results.answers import NO_ANSWERS, Answers
from howdeep.results.sample_error import NO_OVERLAP
from howdeep.results.scores import CELL, SERIES, judge, judged, rows_of, select, summary
from howdeep.results.verdict import verdicts

Groups = Mapping[str, Sequence[str]]  # of entries that differ in their recipe alone; see `study.recipes`
NO_GROUPS: Groups = {}


class BestOfRecipes(NamedTuple):
    """What the best recipes come to. `entry` is the first of its group; see `best_of_recipes`."""

    cells: pd.DataFrame  # a row a depth of a group, as `scores.judge` gives it
    verdicts: pd.DataFrame  # a row a deeper depth of a group, as `verdict.verdicts` gives it


def best_of_recipes(
    runs: pd.DataFrame,
    groups: Groups,
    margins: Mapping[str, float],
    examples: Mapping[str, int] | None = None,
    answers: Answers = NO_ANSWERS,
    in_time: Collection[str] = (),
    overlap: Mapping[str, float] = NO_OVERLAP,
) -> BestOfRecipes:
    """The verdicts on depth of each group of recipes and matching, by the very rules of any entry.

    A matching counts where two recipes of a group have it at least: plain networks of equal width say nothing of equal
    parameters. Both tables have the columns `recipes`, the entries that were to be had, and `chosen`, how many seeds
    took which ("digits-cnn 8, digits-cnn-plain 2"); `verdicts` also `chosen_shallow`. Its `p_study` is of these
    comparisons alone. Without test scores both are empty: the validation scores chose, and cannot judge.

    Args:
        runs: a row a run, see `scores.scores`.
        groups: entries that are not among the runs are left out.
        margins, examples, answers, in_time, overlap: see `verdict.verdicts`.
    """
    found = [
        best_runs(own, entries).assign(entry=name)
        for name, entries in groups.items()
        for matching in MATCHINGS
        if len(set((own := _of(runs, entries, matching))["entry"])) > 1
    ]
    found = [best for best in found if len(best)]
    if not found or judged(runs) != "test_score":
        return BestOfRecipes(pd.DataFrame(columns=CELL), pd.DataFrame(columns=CELL))
    best = pd.concat(found, ignore_index=True)
    compared = verdicts(best, margins, examples, answers, in_time, overlap)
    cells = judge(summary(best, examples, answers, in_time, overlap), compared)
    choices = {tuple(run[name] for name in CELL): run["recipes"] for run in rows_of(best)}
    chosen = {cell: _tally(select(best, **dict(zip(CELL, cell, strict=True)))) for cell in choices}
    for table in (cells, compared):
        places = [tuple(row[name] for name in CELL) for row in rows_of(table)]
        table["recipes"] = [choices[place] for place in places]
        table["chosen"] = [chosen[place] for place in places]
    compared["chosen_shallow"] = [
        chosen[*(row[name] for name in SERIES), row["against"]] for row in rows_of(compared)
    ]
    return BestOfRecipes(cells, compared)


def _of(runs: pd.DataFrame, entries: Sequence[str], matching: str) -> pd.DataFrame:
    matched = select(runs, matching=matching)
    return matched.loc[[entry in entries for entry in matched["entry"]]]


def best_runs(runs: pd.DataFrame, entries: Sequence[str]) -> pd.DataFrame:
    """For each depth and seed that all its recipes were run with, the run of the recipe that validated best.

    Of equal validation scores the lower validation loss decides, then the order of `entries`. A run that diverged is
    taken only where all did. The columns `recipe` and `recipes` name the entry that was taken and all there were.

    Args:
        runs: of one matching, a row a run.
        entries: of one group.
    """
    there = [entry for entry in entries if entry in set(runs["entry"])]
    sign = -1 if runs["higher_is_better"].iloc[0] else 1
    ranked = runs.assign(
        recipe=runs["entry"],
        recipes=", ".join(there),
        loses=sign * runs["val_score"],
        place=runs["entry"].map(there.index),
    ).sort_values(["depth", "seed", "loses", "val_loss", "place"], na_position="last")
    everywhere = ranked.groupby(["depth", "seed"])["entry"].transform("size") == len(there)
    first = ~ranked.duplicated(["depth", "seed"])
    return ranked.loc[everywhere & first].drop(columns=["loses", "place"])


def _tally(runs: pd.DataFrame) -> str:
    """'digits-cnn 8, digits-cnn-plain 2' of the runs of a cell, in the order of the recipes; nothing of failed ones."""
    taken = Counter(select(runs, state="finished")["recipe"].tolist())
    counts = {name: taken[name] for name in runs["recipes"].iloc[0].split(", ")}
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)
