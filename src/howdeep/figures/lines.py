"""Lines over depth, a panel a data set: what the plots of scores, gaps and gradients have in common."""

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from howdeep.figures.cut_axis import OFF, Points
from howdeep.figures.figure import (
    FAINT,
    SMALL,
    Look,
    depth_axis,
    head,
    legend,
    looks,
    panels,
)
from howdeep.results import wording
from howdeep.results.scores import cells_of, held, judged, known, rows_of, select
from howdeep.results.wording import brackets, estimate, number

DASHED = (0, (3, 1.5))
MOST_DOTS = 30  # runs of a cell
WIDEST = 46  # characters of a line above a panel


class Line(NamedTuple):
    """One line of a panel: the rows of `summary` of one architecture on a data set, and the column it shows."""

    name: str
    rows: pd.DataFrame
    column: str


def part(table: pd.DataFrame) -> str:
    return {"val": "validation"}.get(table["on"].iloc[0], "test")


def score_name(cells: pd.DataFrame) -> str:
    part = "test" if judged(cells) == "test_score" else "validation"
    return f"{part} {wording.spoken(cells['score'].iloc[0])}"


def score_label(cells: pd.DataFrame) -> str:
    return f"{score_name(cells)}\n({'higher' if cells['higher_is_better'].iloc[0] else 'lower'} is better)"


def by_data(cells: pd.DataFrame, column: str) -> dict[str, list[Line]]:
    """The lines of each panel by its title: the data set, and what was held equal where any line tells it."""
    found: dict[tuple[str, str], list[Line]] = {}
    told: set[tuple[str, str]] = set()
    for data, name, rows in wording.series(cells):
        panel = data, f", equal {held(rows['matching'].iloc[0])}"
        if name.endswith(panel[1]):
            told.add(panel)
        found.setdefault(panel, []).append(Line(name.removesuffix(panel[1]), rows, column))
    return {f"{panel[0]}{panel[1] if panel in told else ''}": lines for panel, lines in found.items()}


def data_panels(data: Mapping[str, Sequence[Line]], note: str) -> tuple[Figure, list[Axes]]:
    """A panel a data set, with as much more room as the longest legend needs."""
    rows = max(math.ceil(len(lines) / columns(lines)) if len(lines) > 1 else 0 for lines in data.values())
    return panels([title(*item) for item in data.items()], note, rows)


def columns(lines: Sequence[Line]) -> int:
    """How many names stand side by side in a legend: more would not fit on a phone."""
    return 3 if max(len(line.name) for line in lines) < 12 else 2


def title(data: str, lines: Sequence[Line]) -> str:
    return f"{data}, {lines[0].name}" if len(lines) == 1 else data


def line_looks(lines: Sequence[Line]) -> list[Look]:
    return looks([line.rows["model"].iloc[0] for line in lines])


def score_lines(axis: Axes, lines: Sequence[Line], runs: pd.DataFrame) -> None:
    for look, line in zip(line_looks(lines), lines, strict=True):
        intervals(axis, look, line)
        draw(axis, look, line, runs)
        for cell in rows_of(line.rows):
            if cell["diverged"]:
                _failed(axis, look, cell)


def intervals(axis: Axes, look: Look, line: Line) -> None:
    low, high = f"{line.column}_low", f"{line.column}_high"
    rows = line.rows[line.rows[low].notna()]  # a single run has a mean without an interval
    axis.vlines(look.x(rows["depth"]), rows[low], rows[high], color=look.colour)


def _failed(axis: Axes, look: Look, cell: Mapping[str, Any]) -> None:
    """At the foot of the panel, how many runs of a cell its mean does not hold."""
    place = (look.x(cell["depth"]), 0.02)
    said = f"{cell['diverged']} of {cell['runs']}\ndiverged"
    axis.annotate(
        said, place, xycoords=axis.get_xaxis_transform(), ha="center", fontsize=SMALL, color=look.colour
    )


def draw(axis: Axes, look: Look, line: Line, runs: pd.DataFrame) -> None:
    """The means as a line, and beside each of them a dot a run, of many runs the first ones."""
    finished = select(cells_of(runs, line.rows), state="finished").groupby("depth").head(MOST_DOTS)
    beside = look.x(finished["depth"]) * 0.955  # or the interval would cover them
    axis.plot(
        beside, finished[line.column], "o", color=look.colour, markersize=3.2, alpha=0.45, markeredgewidth=0
    )
    x = look.x(line.rows["depth"])
    axis.plot(x, line.rows[line.column], color=look.colour, label=line.name, **look.style)


def points(lines: Sequence[Line]) -> list[Points]:
    """The points of each line, against depth."""
    return [
        (look, look.x(line.rows["depth"].to_numpy()), values(line))
        for look, line in zip(line_looks(lines), lines, strict=True)
    ]


def values(line: Line) -> np.ndarray:
    return line.rows[line.column].to_numpy(dtype=np.float64)


def ends(lines: Sequence[Line]) -> np.ndarray:
    """The ends of all intervals."""
    return np.concatenate(
        [known(line.rows, f"{line.column}_{end}") for line in lines for end in ("low", "high")]
    )


def draw_baselines(axis: Axes, title: str, methods: Mapping[str, float], *, cut: bool) -> None:
    """A dotted line a method; one that is far from all scores would flatten them, so it is only named.

    The names stand below the title, where no line can cross them.
    """
    low, high = axis.get_ylim()
    margin = 0 if cut or axis.get_yscale() == "log" else 0.6 * (high - low)
    places: dict[str, list[str]] = {}
    for method, value in methods.items():
        place = "below" if value < low - margin else "above" if value > high + margin else "dotted"
        places.setdefault(place, []).append(f"{method} {number(value)}")
        if place == "dotted":
            axis.axhline(value, color=FAINT, linewidth=1.2, linestyle=(0, (1, 1.5)))
    told = [
        line
        for place in sorted(places, reverse=True)
        for line in wrap(f"{place}: {', '.join(places[place])}", WIDEST)
    ]
    head(axis, title, [*told, *([OFF] if cut else [])])


def finish(axis: Axes, lines: Sequence[Line]) -> None:
    depth_axis(axis, sorted({int(depth) for line in lines for depth in line.rows["depth"]}))
    if len(lines) > 1:
        legend(axis, columns=columns(lines))


def alt(what: str, data: Mapping[str, Sequence[Line]]) -> str:
    """The picture in words: every mean that it shows."""
    told = [f"{name}, {line.name}: {_means(line)}" for name, lines in data.items() for line in lines]
    return f"{what} against depth. {'. '.join(told)}."


def _means(line: Line) -> str:
    column = line.column
    return "; ".join(
        f"depth {cell['depth']}: {number(cell[column])}"
        + (f" {brackets(estimate(cell, column))}" if f"{column}_low" in cell else "")
        for cell in rows_of(line.rows)
    )
