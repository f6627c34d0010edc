"""Every verdict of a study as a cell of a map: a row an architecture on a data set, a column a depth."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from howdeep.records.cell import MATCHINGS
from howdeep.results.scores import cells_of, held, rows_of, select
from howdeep.results.tables import anchor
from howdeep.results.wording import Cell, in_words, series
from howdeep.results.wording import Row as Judged

# Verdicts on a network against the best simple method, of which one at some depth is enough to be worth its training.
WORTH_IT = "better"


class Place(NamedTuple):
    """A cell of the map."""

    depth: int
    verdict: str
    words: str  # "2.8 points better"
    trained: bool  # not so where half of the runs diverged or collapsed at least
    link: str  # to its runs in the page


class Row(NamedTuple):
    """A row of the map: an architecture on a data set."""

    data: str
    name: str
    plain: bool  # another recipe of an architecture that has a row of its own
    beats_simple: bool | None  # whether any depth beats the best simple method; None where none was tried
    places: list[Place]


def verdict_map(cells: pd.DataFrame, verdicts: pd.DataFrame, baselines: pd.DataFrame) -> dict[str, list[Row]]:
    """The rows of each matching that was looked at, in the order in which tables have them.

    Args:
        cells: the rows of `summary`.
        verdicts: those of `verdicts`.
        baselines: those of `against_baselines`.
    """
    found: dict[str, list[Row]] = {}
    for matching in MATCHINGS:
        seen: set[tuple[str, str]] = set()
        for data, name, line in series(select(cells, matching=matching)):
            judged = rows_of(cells_of(verdicts, line))
            if not judged:
                continue
            trained = {cell["depth"]: did_train(cell) for cell in rows_of(line)}
            kind = (data, line["model"].iloc[0])
            row = Row(
                data,
                name.removesuffix(f", equal {held(matching)}"),
                kind in seen,
                _beats_simple(cells_of(baselines, line)) if len(baselines) else None,
                [_place(of, trained[of["depth"]]) for of in judged],
            )
            seen.add(kind)
            found.setdefault(matching, []).append(row)
    return found


def _beats_simple(found: pd.DataFrame) -> bool | None:
    return WORTH_IT in set(found["verdict"]) if len(found) else None


def did_train(cell: Cell) -> bool:
    """Whether most runs of a cell neither diverged nor collapsed towards chance."""
    return 2 * (cell["diverged"] + cell["collapsed"]) < cell["runs"]


def _place(row: Judged, trained: bool) -> Place:
    link = anchor(row["entry"], row["matching"], row["depth"])
    return Place(row["depth"], row["verdict"], outcome(row), trained, link)


def outcome(row: Judged) -> str:
    """A comparison in words: '2.8 points better', '0.6 points better, undecided', 'no run finished'."""
    if row["verdict"] == "failed" or np.isnan(row["difference"]):
        return "no run finished" if row["verdict"] == "failed" else row["verdict"]
    ahead = row["difference"] if row["higher_is_better"] else -row["difference"]
    size = f"{in_words(row['score'], row['difference'])} {'better' if ahead >= 0 else 'worse'}"
    return {"inconclusive": f"{size}, undecided", "no difference": f"{size}, about equal"}.get(
        row["verdict"], size
    )
