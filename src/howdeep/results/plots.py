"""The four pictures of a task, each from tables to SVG text: score, loss curves, overfitting gap, gradient ratio.

A panel a data set: scores of different data sets do not share an axis, and neither do those of different tasks.
Each function draws whatever rows it is given, so that the report can ask for a single panel.
"""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from howdeep.results import wording
from howdeep.results.figure import (
    FAINT,
    MARKERS,
    SERIES,
    depth_axis,
    depth_colours,
    head,
    legend,
    log_values,
    panels,
    styled,
    svg,
)
from howdeep.results.scores import baselines_of, cells_of, rows_of, select
from howdeep.results.wording import brackets, estimate, number

Lines = list[tuple[str, pd.DataFrame]]  # (name, the rows of `summary` of one architecture on a data set)

DASHED = (0, (3, 1.5))
LEGEND_COLUMNS = 3  # of names; more would not fit on a phone


@styled
def score(cells: pd.DataFrame, runs: pd.DataFrame, baselines: Mapping[str, Any]) -> str:
    """Validation score against depth: means with 95 % intervals, single runs as dots, baselines as lines."""
    name, better = cells["score"].iloc[0], "higher" if cells["higher_is_better"].iloc[0] else "lower"
    data = _by_data(cells)
    note = "mean with 95 % interval, dots: single runs"
    figure, axes = panels([_title(*item) for item in data.items()], note, _names(data))
    for axis, (data_name, lines) in zip(axes, data.items(), strict=True):
        _score_lines(axis, lines, runs)
        methods = baselines_of(baselines, data_name, name)
        _baselines(axis, _title(data_name, lines), {method: val for method, (val, _) in methods.items()})
        axis.set_ylabel(f"validation {name}\n({better} is better)")
        _finish(axis, lines)
    return svg(figure, _alt(f"Mean validation {name}", cells, "val_score"))


@styled
def curves(cells: pd.DataFrame, epochs: pd.DataFrame) -> str:
    """Loss against epoch, a colour a depth: validation as a line, running training loss dashed."""
    lines = wording.series(cells)
    titles = [f"{data}, {name}" for data, name, _ in lines]
    figure, axes = panels(titles, "means over the seeds; solid: validation, dashed: training")
    for axis, (_, _, rows) in zip(axes, lines, strict=True):
        for rank, (depth, colour) in enumerate(depth_colours(rows["depth"].tolist()).items()):
            curve = select(cells_of(epochs, rows), depth=depth)
            label = str(depth) if rank else f"depth {depth}"
            axis.plot(curve["epoch"] + 1, curve["val_loss"], color=colour, label=label)
            axis.plot(curve["epoch"] + 1, curve["train_loss"], color=colour, linestyle=DASHED, linewidth=1.1)
        log_values(axis)
        axis.set_xlabel("epoch")
        axis.set_ylabel("loss")
        legend(axis, columns=8)
    return svg(figure, f"Loss against epoch by depth: {', '.join(titles)}.")


@styled
def gap(cells: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Validation minus training loss against depth: with the best weights, and dashed with the last ones."""
    data = _by_data(cells)
    note = "means; solid, dots: best epoch, dashed: last epoch"
    figure, axes = panels([_title(*item) for item in data.items()], note, _names(data))
    for axis, lines in zip(axes, data.values(), strict=True):
        axis.axhline(0, color=FAINT, linewidth=0.8)
        for look, (name, rows) in zip(_looks(lines), lines, strict=True):
            _dots(axis, look, cells_of(runs, rows), "gap_loss")
            _line(axis, look, rows, "gap_loss", name)
            axis.plot(look.x(rows["depth"]), rows["gap_loss_last"], color=look.colour, linestyle=DASHED)
        axis.set_ylabel("validation - training loss")
        _finish(axis, lines)
    return svg(figure, _alt("Mean overfitting gap in loss", cells, "gap_loss"))


@styled
def gradient(cells: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Gradient norm at the first hidden layer over that at the last, against depth."""
    data = _by_data(cells)
    note = "geometric mean at the end of training, dots: single runs"
    figure, axes = panels([_title(*item) for item in data.items()], note, _names(data))
    for axis, lines in zip(axes, data.values(), strict=True):
        axis.axhline(1, color=FAINT, linewidth=0.8)
        for look, (name, rows) in zip(_looks(lines), lines, strict=True):
            _dots(axis, look, cells_of(runs, rows), "gradient_ratio")
            _line(axis, look, rows, "gradient_ratio", name)
        log_values(axis)
        axis.set_ylabel("first / last gradient norm")
        _finish(axis, lines)
    return svg(figure, _alt("Geometric mean of the gradient ratio", cells, "gradient_ratio"))


class _Look:
    """How one of several lines is told from the others: colour, marker and a small shift along the axis."""

    def __init__(self, rank: int, of: int) -> None:
        self.colour = list(SERIES)[rank % len(SERIES)]
        self.marker = MARKERS[rank % len(MARKERS)]
        self.shift = 2 ** (0.07 * (rank - (of - 1) / 2))

    def x(self, depth: Any) -> Any:
        return depth * self.shift


def _looks(lines: Lines) -> list[_Look]:
    return [_Look(rank, len(lines)) for rank in range(len(lines))]


def _by_data(cells: pd.DataFrame) -> dict[str, Lines]:
    data: dict[str, Lines] = {}
    for name, line, rows in wording.series(cells):
        data.setdefault(name, []).append((line, rows))
    return data


def _names(data: dict[str, Lines]) -> int:
    """How many rows of names the legends need."""
    most = max(len(lines) for lines in data.values())
    return math.ceil(most / LEGEND_COLUMNS) if most > 1 else 0


def _title(data: str, lines: Lines) -> str:
    return f"{data}, {lines[0][0]}" if len(lines) == 1 else data


def _score_lines(axis: Axes, lines: Lines, runs: pd.DataFrame) -> None:
    for look, (name, rows) in zip(_looks(lines), lines, strict=True):
        _dots(axis, look, cells_of(runs, rows), "val_score")
        known = rows[rows["val_score_low"].notna()]  # a single run has a mean without an interval
        axis.vlines(
            look.x(known["depth"]), known["val_score_low"], known["val_score_high"], color=look.colour
        )
        _line(axis, look, rows, "val_score", name)
        for cell in rows_of(rows):
            if cell["diverged"]:
                _failed(axis, look, cell)


def _failed(axis: Axes, look: _Look, cell: Mapping[str, Any]) -> None:
    """At the foot of the panel, how many runs of a cell its mean does not hold."""
    place = (look.x(cell["depth"]), 0.02)
    said = f"{cell['diverged']} of {cell['runs']}\ndiverged"
    axis.annotate(
        said, place, xycoords=axis.get_xaxis_transform(), ha="center", fontsize=7.5, color=look.colour
    )


def _line(axis: Axes, look: _Look, rows: pd.DataFrame, column: str, name: str) -> None:
    x = look.x(rows["depth"])
    axis.plot(x, rows[column], look.marker, color=look.colour, linestyle="-", label=name)


def _dots(axis: Axes, look: _Look, runs: pd.DataFrame, name: str) -> None:
    finished = select(runs, state="finished")
    beside = look.x(finished["depth"]) * 0.955  # or the interval would cover them
    axis.plot(beside, finished[name], "o", color=look.colour, markersize=3.2, alpha=0.45, markeredgewidth=0)


def _baselines(axis: Axes, title: str, methods: Mapping[str, float]) -> None:
    """A dotted line a method; one that is far from all scores would flatten them, so it is only named.

    The names stand below the title, where no line can cross them.
    """
    low, high = axis.get_ylim()
    room = 0.6 * (high - low)
    places: dict[str, list[str]] = {}
    for method, value in methods.items():
        place = "below" if value < low - room else "above" if value > high + room else "dotted"
        places.setdefault(place, []).append(f"{method} {number(value)}")
        if place == "dotted":
            axis.axhline(value, color=FAINT, linewidth=1.2, linestyle=(0, (1, 1.5)))
    head(axis, title, [f"{place}: {', '.join(places[place])}" for place in sorted(places, reverse=True)])


def _finish(axis: Axes, lines: Lines) -> None:
    depth_axis(axis, sorted({int(depth) for _, rows in lines for depth in rows["depth"]}))
    if len(lines) > 1:
        legend(axis, columns=LEGEND_COLUMNS)


def _alt(what: str, cells: pd.DataFrame, name: str) -> str:
    """The picture in words: every mean that it shows."""
    told = []
    for data, line, rows in wording.series(cells):
        means = [
            f"depth {cell['depth']}: {number(cell[name])}"
            + (f" {brackets(estimate(cell, name))}" if f"{name}_low" in cell else "")
            for cell in rows_of(rows)
        ]
        told.append(f"{data}, {line}: {'; '.join(means)}")
    return f"{what} against depth. {'. '.join(told)}."
