"""Where classifiers err: which classes they miss, for which others they take them, and whether they know it.

Made of what each run answered to each test example (results/answers.safetensors). Pure functions of arrays, then the
table and the pictures of a study.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import ListedColormap

from howdeep.figures.figure import (  # fmt: skip
    FAINT,
    INK,
    MARKERS,
    PANEL,
    boards,
    depth_colours,
    legend,
    panels,
    spread,
    styled,
    svg,
)
from howdeep.figures.pictures import Drawing, one
from howdeep.results.answers import Answers, labels, predicted, right
from howdeep.results.measures import within
from howdeep.results.scores import CELL, SERIES, rows_of, select
from howdeep.results.statistics import Interval, mean_interval
from howdeep.results.tables import Table, Text
from howdeep.results.wording import MISSING, brackets, listing, number, series, signed

Classes = Mapping[str, Sequence[str]]  # the names of the classes of each entry
BINS = 15
FEWEST = 10  # answers of a bin that is drawn
MOST_DEPTHS, MOST_CLASSES = 5, 12
SIDE = PANEL[0] / 2 - 0.45  # inches of a confusion matrix
# Seen on white and on black; what is never confused stays empty.
SHARES = ListedColormap(colormaps["YlOrBr"](np.linspace(0.25, 0.85, 24)))
COLUMNS = [
    *("runs", "accuracy", "worst_class", "worst_recall", "worst_recall_low", "worst_recall_high"),
    *("best_class", "best_recall", "taken", "taken_for", "taken_share"),
    *("calibration_error", "calibration_error_low", "calibration_error_high", "overconfidence"),
]


def confusion(label: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """How often each class was taken for each other.

    Args:
        label, predicted: (n,) classes, counted from 0.

    Returns:
        (classes, classes) counts, right answers in the rows.
    """
    pairs = label.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def recalls(counts: np.ndarray) -> np.ndarray:
    """The share of each class that was recognised, (classes,); NaN of a class without examples."""
    with np.errstate(invalid="ignore"):
        return counts.diagonal() / counts.sum(1)


def reliability(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Confidence and accuracy of the answers, put into 15 bins of equal width by their confidence.

    Args:
        confidence: (n,) the probability of the class that was chosen.
        right: (n,) whether it was the right one.

    Returns:
        (bins, 3): the number of answers, their mean confidence, and the share of them that is right.
    """
    bins = np.clip(np.ceil(confidence.astype(np.float64) * BINS).astype(int) - 1, 0, BINS - 1)
    n, sure, correct = (
        np.bincount(bins, weights, BINS)
        for weights in (None, confidence.astype(np.float64), right.astype(float))
    )
    with np.errstate(invalid="ignore"):
        return np.stack([n, sure / n, correct / n], axis=1)


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """By how much confidence and accuracy differ, the mean over answers of the difference in their bin.

    0 where of the answers that are given with 80 % confidence 80 % are right, and so on. With few examples it is above
    0 for the best of networks too.

    Source: Naeini et al. (2015); Guo et al., "On calibration of modern neural networks" (2017).
    """
    n, sure, correct = reliability(confidence, right).T
    return float(np.nansum(n * np.abs(sure - correct)) / n.sum())


@dataclass
class Mistakes:
    """What the classifiers of a study got wrong.

    Args:
        cells: a row a cell, see `mistakes`.
        lines: by (data, name) of each architecture on a data set and by depth the `Pooled` answers of its runs.
    """

    cells: pd.DataFrame
    lines: Mapping[tuple[str, str], Mapping[int, "Pooled"]]
    drawn: int

    @cached_property
    def drawing(self) -> Drawing:
        """Pictures by kind, one for each architecture on a data set."""
        lines = list(self.lines.items())[: self.drawn]
        kinds = {"recalls": _recalls, "confusion": _confusions, "calibration": _calibration}
        return Drawing(
            [
                partial(one, kind, draw, f"{data}, {line}", by_depth)
                for kind, draw in kinds.items()
                for (data, line), by_depth in lines
            ]
        )

    @property
    def pictures(self) -> dict[str, list[str]]:
        """SVG texts by kind."""
        return self.drawing.pictures


@dataclass
class Pooled:
    """The answers of all runs of a cell.

    Args:
        names: of the classes.
        recalls: (runs, classes).
        counts: (classes, classes), the sum of the confusion matrices.
        bins: (bins, 3), see `reliability`, of all answers together.
    """

    names: Sequence[str]
    recalls: np.ndarray
    counts: np.ndarray
    bins: np.ndarray


def mistakes(
    cells: pd.DataFrame, runs: pd.DataFrame, answers: Answers, classes: Classes, *, drawn: int
) -> Mistakes:
    """What went wrong in each cell of classifiers that have answered.

    The worst class is that with the lowest mean recall over the seeds, its interval is over seeds. `taken` for
    `taken_for` is the confusion that took the largest share of a class. Overconfidence is mean confidence less
    accuracy.

    Args:
        cells: the rows of `summary`.
        runs: the rows of `scores`.
        answers: what `evaluate` kept; empty for a study that is not tested.
        classes: the names of the classes of each entry.
        drawn: how many architectures on a data set have pictures.

    Raises:
        UserError: a finished run has no answers.
    """
    rows: list[dict[str, Any]] = []
    lines: dict[tuple[str, str], dict[int, Pooled]] = {}
    for data, name, line in series(select(cells, task="classification") if answers else cells.iloc[:0]):
        own = select(runs, **{column: line[column].iloc[0] for column in SERIES}, state="finished")
        for cell in rows_of(line):
            keys = own.loc[own["depth"] == cell["depth"], "key"].tolist()
            if keys:
                row, pooled = _cell(keys, cell["entry"], answers, classes[cell["entry"]])
                rows.append({column: cell[column] for column in CELL} | row)
                lines.setdefault((data, name), {})[cell["depth"]] = pooled
    return Mistakes(pd.DataFrame(rows, columns=[*CELL, *COLUMNS]), lines, drawn)


def _cell(
    keys: Sequence[str], entry: str, answers: Answers, names: Sequence[str]
) -> tuple[dict[str, Any], Pooled]:
    said = [predicted(answers, entry, key) for key in keys]
    asked = [labels(answers, entry, key) for key in keys]
    of_runs = [confusion(label, answer, len(names)) for label, answer in zip(asked, said, strict=True)]
    counts, shares = np.sum(of_runs, axis=0), np.stack([recalls(counts) for counts in of_runs])
    rights, confidences = right(answers, entry, keys), [answers[f"{key}/confidence"] for key in keys]
    sure, correct = np.concatenate(confidences), rights.ravel()
    errors = within(mean_interval(list(map(calibration_error, confidences, rights))), 0, 1)
    means = shares.mean(0)
    worst, best = int(np.nanargmin(means)), int(np.nanargmax(means))
    low = within(mean_interval(shares[:, worst]), 0, 1)
    with np.errstate(invalid="ignore"):
        confused = counts / counts.sum(1, keepdims=True)
    np.fill_diagonal(confused, -1)
    taken, taken_for = np.unravel_index(int(np.nanargmax(confused)), confused.shape)
    values = (
        *(len(keys), correct.mean(), names[worst], *low, names[best], means[best]),
        *(names[int(taken)], names[int(taken_for)], confused[taken, taken_for]),
        *(*errors, sure.mean(dtype=np.float64) - correct.mean()),
    )
    return dict(zip(COLUMNS, values, strict=True)), Pooled(names, shares, counts, reliability(sure, correct))


def table(cells: pd.DataFrame, names: Mapping[tuple[str, str], str]) -> Table:
    """A row a cell.

    Args:
        names: what to call a line, by (entry, matching).
    """
    headings = [
        *(
            "data",
            "architecture",
            "depth",
            "accuracy",
            "worst class",
            "its recall",
            "recall of the best class",
        ),
        *("most common confusion", "calibration error", "overconfidence"),
    ]
    return Table(headings, 2, [_row(row, names[row["entry"], row["matching"]]) for row in rows_of(cells)])


def _row(row: Mapping[str, Any], name: str) -> list[Text]:
    low, error = (
        Interval(row[column], row[f"{column}_low"], row[f"{column}_high"])
        for column in ("worst_recall", "calibration_error")
    )
    share = row["taken_share"]
    confused = f"{row['taken']} for {row['taken_for']}, {100 * share:.1f} %" if share > 0 else MISSING
    return [
        Text(row["data"], row["data"]),
        Text(name, name),
        Text(str(row["depth"]), row["depth"]),
        Text(number(row["accuracy"]), row["accuracy"]),
        Text(row["worst_class"], row["worst_class"]),
        Text(f"{number(low.mean)} {brackets(low)}".rstrip(), low.mean),
        Text(number(row["best_recall"]), row["best_recall"]),
        Text(confused, share),
        Text(f"{number(error.mean)} {brackets(error)}".rstrip(), error.mean),
        Text(signed(row["overconfidence"]), row["overconfidence"]),
    ]


def _depths(by_depth: Mapping[int, Pooled]) -> list[int]:
    return spread(sorted(by_depth), MOST_DEPTHS)


@styled
def _recalls(title: str, by_depth: Mapping[int, Pooled]) -> str:
    """The recall of each class by depth: a row of marks a class, lines over the range of the seeds."""
    depths, names = _depths(by_depth), next(iter(by_depth.values())).names
    colours = depth_colours(depths)
    figure, [axis] = panels(
        [title], "mean over seeds; line: from the lowest to the highest seed", legend_rows=1
    )
    classes = spread(range(len(names)), MOST_CLASSES)
    for rank, depth in enumerate(depths):
        shares = by_depth[depth].recalls[:, classes]
        y = np.arange(len(classes)) + 0.16 * (rank - (len(depths) - 1) / 2)
        axis.hlines(y, shares.min(0), shares.max(0), color=colours[depth], linewidth=1)
        axis.plot(
            shares.mean(0), y, MARKERS[rank], color=colours[depth], markersize=4, label=f"depth {depth}"
        )
    axis.set_yticks(np.arange(len(classes)), [names[place] for place in classes])
    axis.set(xlabel="recall", ylabel="class", ylim=(len(classes) - 0.5, -0.5))
    axis.grid(axis="y", color=FAINT, linewidth=0.3)
    legend(axis, len(depths))
    told = "; ".join(f"depth {d}: lowest {_worst(by_depth[d])}" for d in depths)
    return svg(figure, f"{title}: recall of each class. {told}.")


def _worst(pooled: Pooled) -> str:
    means = pooled.recalls.mean(0)
    worst = int(np.nanargmin(means))
    return f"{pooled.names[worst]}, {number(float(means[worst]))}"


@styled
def _confusions(title: str, by_depth: Mapping[int, Pooled]) -> str:
    """Confusion matrices of the shallowest and the deepest network side by side, right answers left out."""
    depths = sorted({min(by_depth), max(by_depth)})
    height = SIDE + 1.0
    figure, [board] = boards([title], "share of the class, all seeds; the darker, the more", height)
    shares = {depth: _off(by_depth[depth].counts) for depth in depths}
    top = max(0.01, *(float(np.nanmax(share)) for share in shares.values()))
    for rank, depth in enumerate(depths):
        axis = board.axes(0.5 + rank * (SIDE + 0.3), 0.42, SIDE, SIDE)
        names = by_depth[depth].names
        axis.imshow(np.ma.masked_equal(shares[depth], 0), cmap=SHARES, vmin=0, vmax=top, interpolation="none")
        places = spread(range(len(names)), MOST_CLASSES)
        short = [names[place][:9] for place in places]
        axis.set_xticks(places, short, fontsize=8.5)
        axis.set_yticks(
            places,
            short if rank == 0 else [],
            fontsize=8.5,
            rotation=90 if len(names) < 4 else 0,
            va="center",
        )
        axis.set_title(f"depth {depth}, up to {100 * float(np.nanmax(shares[depth])):.1f} %", fontsize=8.5)
        axis.set_xlabel("answer", fontsize=8.5, labelpad=1)
    told = "; ".join(f"depth {depth}: {_confused(by_depth[depth])}" for depth in depths)
    return svg(figure, f"{title}: which class was taken for which, most often. {told}.")


def _off(counts: np.ndarray) -> np.ndarray:
    """Shares of each class, the diagonal empty."""
    with np.errstate(invalid="ignore"):
        shares = counts / counts.sum(1, keepdims=True)
    np.fill_diagonal(shares, 0)
    return shares


def _confused(pooled: Pooled) -> str:
    shares = _off(pooled.counts)
    row, column = np.unravel_index(int(np.nanargmax(shares)), shares.shape)
    if not shares[row, column] > 0:
        return "none"
    return f"{pooled.names[int(row)]} for {pooled.names[int(column)]}, {100 * shares[row, column]:.1f} %"


@styled
def _calibration(title: str, by_depth: Mapping[int, Pooled]) -> str:
    """Accuracy against confidence, a line a depth; on the dotted line a network is as right as it is sure."""
    depths = _depths(by_depth)
    colours = depth_colours(depths)
    figure, [axis] = panels([title], f"all seeds, bins of {FEWEST} answers or more", legend_rows=1)
    low = 1.0
    for rank, depth in enumerate(depths):
        n, sure, right = by_depth[depth].bins.T
        kept = n >= FEWEST
        axis.plot(
            sure[kept],
            right[kept],
            marker=MARKERS[rank],
            markersize=4,
            color=colours[depth],
            label=f"depth {depth}",
        )
        low = min([low, *sure[kept], *right[kept]])
    axis.plot([low, 1], [low, 1], color=INK, linestyle=":", linewidth=1)
    axis.set(xlabel="confidence", ylabel="share of right answers")
    legend(axis, len(depths))
    told = listing([f"{_error(by_depth[depth].bins):.3f} at depth {depth}" for depth in depths])
    return svg(
        figure, f"{title}: share of right answers against confidence. Calibration error of all seeds {told}."
    )


def _error(bins: np.ndarray) -> float:
    n, sure, right = bins.T
    return float(np.nansum(n * np.abs(sure - right)) / n.sum()) if n.sum() else math.nan
