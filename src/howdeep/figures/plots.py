"""Pictures of a task, each from tables to SVG text: score, differences, cost, loss curves, gap, gradient ratio.

A panel a data set: scores of different data sets do not share an axis, and neither do those of different tasks.
Each function draws whatever rows it is given, so that the report can ask for a single panel.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from howdeep.figures.cut_axis import FAR_OUT, OFF, bulk, cut_down, widen
from howdeep.figures.figure import (
    FAINT,
    INK,
    PANEL,
    SMALL,
    depth_colours,
    epoch_axis,
    head,
    legend,
    log_values,
    panels,
    styled,
    svg,
)
from howdeep.figures.lines import (
    DASHED,
    Line,
    alt,
    by_data,
    columns,
    data_panels,
    draw,
    draw_baselines,
    ends,
    finish,
    line_looks,
    part,
    points,
    score_label,
    score_lines,
    score_name,
    title,
    values,
)
from howdeep.results import wording
from howdeep.results.scores import baselines_of, cells_of, judged, known, rows_of, select
from howdeep.results.wording import number

# Colours that the colour-blind can tell apart, and markers for those who see none.
VERDICT_LOOKS = {
    "better": ("#007a5a", "^"),
    "worse": ("#d55e00", "v"),
    "no difference": ("#0072b2", "s"),
    "inconclusive": ("#5f6b76", "o"),
    "failed": ("#d55e00", "X"),
}


@styled
def score(cells: pd.DataFrame, runs: pd.DataFrame, baselines: Mapping[str, Any]) -> str:
    """Test score against depth: means with 95 % intervals, single runs as dots, baselines as lines."""
    name, column = cells["score"].iloc[0], judged(cells)
    data = by_data(cells, column)
    figure, axes = data_panels(data, "mean with 95 % interval, dots: single runs")
    for axis, (data_name, lines) in zip(axes, data.items(), strict=True):
        score_lines(axis, lines, runs)
        cut = cut_down(axis, points(lines), ends(lines))
        if not cut:
            widen(axis, np.concatenate([known(cells_of(runs, line.rows), column) for line in lines]))
        methods = baselines_of(baselines, lines[0].rows["data"].iloc[0], name)
        place = 0 if column == "val_score" else 1
        values = {method: both[place] for method, both in methods.items()}
        draw_baselines(axis, title(data_name, lines), values, cut=cut)
        axis.set_ylabel(score_label(cells))
        finish(axis, lines)
    return svg(figure, alt(f"Mean {score_name(cells)}", data))


@styled
def forest(cells: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """Deep minus shallow, a row a depth: means with simultaneous intervals, the margin shaded, better to the right.

    The thick part of a line is the interval over seeds alone, where the test sample's own error is known too.

    Args:
        cells: the rows of `summary` of one data set.
        verdicts: the rows of `verdicts` of the same data set and task.
    """
    lines = [(name, cells_of(verdicts, rows)) for _, name, rows in wording.series(cells)]
    lines = [(name, rows) for name, rows in lines if len(rows)]
    if not lines:
        return ""
    score, higher = verdicts["score"].iloc[0], bool(verdicts["higher_is_better"].iloc[0])
    count = sum(len(rows) + 1 for _, rows in lines)
    sampled = bool(set(verdicts["sample_from"]) - {""})
    figure, [axis] = panels(
        [cells["data"].iloc[0]],
        "thick: over seeds; thin: and other test examples"
        if sampled
        else "simultaneous 95 % intervals over seeds",
    )
    figure.set_size_inches(PANEL[0], 1.35 + 0.19 * count)
    margin, reach = float(verdicts["margin"].iloc[0]), _reach(verdicts)
    axis.set_xlim((-reach, reach) if higher else (reach, -reach))
    axis.axvspan(-margin, margin, color=FAINT, alpha=0.18, linewidth=0)
    axis.axvline(0, color=FAINT, linewidth=0.8)
    place, ticks = 0, []
    for name, rows in lines:
        axis.annotate(
            name, (0, place), xycoords=axis.get_yaxis_transform(), fontsize=SMALL, fontweight="bold", va="center",
            color=INK,
        )  # fmt: skip
        for row in rows_of(rows):
            place += 1
            ticks.append((place, f"depth {row['depth']}"))
            _difference(axis, place, row, reach)
        place += 1
    axis.set_yticks([at for at, _ in ticks], [label for _, label in ticks], fontsize=SMALL)
    axis.set_ylim(place - 0.3, -0.7)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}".replace("-", wording.MINUS)))
    if len(known(verdicts, "difference")) and np.abs(known(verdicts, "difference")).max() > reach:
        head(axis, cells["data"].iloc[0], [OFF])
    directions = "\N{LEFTWARDS ARROW} deeper is worse | deeper is better \N{RIGHTWARDS ARROW}"
    axis.set_xlabel(f"difference in {part(verdicts)} {wording.spoken(score)}\n{directions}")
    told = ". ".join(
        f"{name}: " + "; ".join(wording.difference(row) for row in rows_of(rows)) for name, rows in lines
    )
    return svg(figure, f"Deep minus shallow on {cells['data'].iloc[0]}. {told}.")


def _difference(axis: Axes, place: int, row: Mapping[str, Any], reach: float) -> None:
    """One interval; the verdict alone where there is none, and an arrow where it lies beyond the reach of the axis."""
    colour, marker = VERDICT_LOOKS[row["verdict"]]
    if math.isnan(row["difference"]):
        axis.annotate(
            row["verdict"], (0.5, place), xycoords=axis.get_yaxis_transform(), fontsize=SMALL, va="center", color=colour
        )  # fmt: skip
        return
    axis.hlines(place, row["low_seeds"], row["high_seeds"], color=colour, linewidth=2)
    if row["sample_from"]:
        axis.hlines(place, row["low"], row["high"], color=colour, linewidth=0.9)
    if abs(row["difference"]) > reach:
        right = (row["difference"] > 0) == (axis.get_xlim()[1] > 0)
        place_of = {"xycoords": axis.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
        axis.plot(
            0.985 if right else 0.015, place, ">" if right else "<", color=colour, markersize=5.5,
            transform=axis.get_yaxis_transform(),
        )  # fmt: skip
        axis.annotate(
            wording.signed(row["difference"]), (0.985 if right else 0.015, place), xytext=(-6 if right else 6, 0),
            ha="right" if right else "left", fontsize=SMALL, color=colour, **place_of,
        )  # fmt: skip
        return
    fill = "none" if row["verdict"] == "inconclusive" else colour
    axis.plot(row["difference"], place, marker, color=colour, markersize=5.5, markerfacecolor=fill)


def _reach(verdicts: pd.DataFrame) -> float:
    """How far an axis of differences reaches to either side: one collapse must not press the others onto zero."""
    ends = [
        np.abs(verdicts[name].to_numpy(dtype=np.float64))
        for name in ("low_seeds", "high_seeds", "low", "high", "difference")
    ]
    farthest = np.fmax.reduce(ends)  # of each row
    farthest = farthest[np.isfinite(farthest)]
    reach = 1.2 * float(verdicts["margin"].iloc[0])
    if farthest.size:
        most, usual = float(farthest.max()), FAR_OUT * float(np.quantile(farthest, 0.75))
        reach = max(reach, 1.1 * (usual if most > 2 * usual > 0 else most))
    return reach or 1.0


@styled
def pareto(cells: pd.DataFrame) -> str:
    """Score against training FLOPs on one data set; rings mark the cells that no cheaper one equals or beats."""
    column, higher = judged(cells), bool(cells["higher_is_better"].iloc[0])
    [(title_, lines)] = by_data(cells, column).items()
    figure, [axis] = panels([title_], "ring: no cheaper network is as good; number: depth",
                            math.ceil(len(lines) / columns(lines)))  # fmt: skip
    for look, line in zip(line_looks(lines), lines, strict=True):
        axis.plot(
            line.rows["training_flops"], line.rows[column], color=look.colour, label=line.name, **look.style
        )
        for row in rows_of(line.rows.dropna(subset=[column])):
            axis.annotate(
                str(row["depth"]), (row["training_flops"], row[column]), xytext=(0, 5), textcoords="offset points",
                fontsize=SMALL, ha="center", color=look.colour,
            )  # fmt: skip
    front = front_of(cells, column, higher_is_better=higher)
    ring = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.1}
    axis.plot(
        [cell["training_flops"] for cell in front], [cell[column] for cell in front], "o", color=INK, **ring
    )
    at = [Line(line.name, line.rows, "training_flops") for line in lines]
    points = [
        (look, values(cost), values(line))
        for look, cost, line in zip(line_looks(lines), at, lines, strict=True)
    ]
    if cut_down(axis, points):
        head(axis, title_, [OFF])
    else:
        axis.margins(y=0.12)  # for the numbers above the highest
        widen(axis, known(cells, column))
    axis.set_xscale("log")
    axis.set_xlabel("training FLOPs of an example")
    axis.set_ylabel(score_label(cells))
    cost = known(cells, "training_flops")
    steps = (1.0,) if cost.max() > 30 * cost.min() else (1.0, 2.0, 5.0)
    axis.xaxis.set_major_locator(LogLocator(subs=steps, numticks=6))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: wording.amount(value).replace(".00 ", " ").replace(".0 ", " "))
    )
    legend(axis, columns=columns(lines))
    told = "; ".join(
        f"{row['name']} at depth {row['depth']}: {number(row[column])} for {wording.amount(row['training_flops'])}"
        for row in front
    )
    return svg(figure, f"{score_name(cells).capitalize()} against training FLOPs. The front: {told}.")


def front_of(cells: pd.DataFrame, column: str, *, higher_is_better: bool) -> list[dict[str, Any]]:
    """The cells that no cheaper one equals or beats, the cheapest first."""
    sign = 1 if higher_is_better else -1
    front: list[dict[str, Any]] = []
    known_cells = [cell for cell in rows_of(cells) if not math.isnan(cell[column])]
    for cell in sorted(known_cells, key=lambda cell: (cell["training_flops"], -sign * cell[column])):
        if sign * cell[column] > max((sign * cheaper[column] for cheaper in front), default=-math.inf):
            front.append(cell)
    return front


@styled
def curves(cells: pd.DataFrame, epochs: pd.DataFrame) -> str:
    """Loss against epoch, a colour a depth: validation as a line, running training loss dashed."""
    lines = wording.series(cells)
    titles = [f"{data}, {name}" for data, name, _ in lines]
    figure, axes = panels(titles, "means over the seeds; solid: validation, dashed: training")
    for axis, (_, _, rows) in zip(axes, lines, strict=True):
        of_line = cells_of(epochs, rows)
        for rank, (depth, colour) in enumerate(depth_colours(rows["depth"].tolist()).items()):
            curve = select(of_line, depth=depth)
            label = str(depth) if rank else f"depth {depth}"
            axis.plot(curve["epoch"] + 1, curve["val_loss"], color=colour, label=label)
            axis.plot(curve["epoch"] + 1, curve["train_loss"], color=colour, linestyle=DASHED, linewidth=1.1)
        log_values(axis, [*of_line["val_loss"], *of_line["train_loss"]])
        epoch_axis(axis)
        axis.set_ylabel("loss")
        legend(axis, columns=8)
    return svg(figure, f"Loss against epoch by depth: {', '.join(titles)}.")


@styled
def gap(cells: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Validation minus training loss against depth, at the best epoch; a stem leads to the gap at the last one."""
    data = by_data(cells, "gap_loss")
    figure, axes = data_panels(data, "mean at the best epoch, dots: runs, stem: to the last epoch")
    for axis, (name, lines) in zip(axes, data.items(), strict=True):
        axis.axhline(0, color=FAINT, linewidth=0.8)
        for look, line in zip(line_looks(lines), lines, strict=True):
            draw(axis, look, line, runs)
            x, last = look.x(line.rows["depth"]), line.rows["gap_loss_last"]
            axis.vlines(x, line.rows["gap_loss"], last, color=look.colour, linewidth=1.1)
            axis.plot(x, last, "_", color=look.colour, markersize=9)
        last = np.concatenate([known(line.rows, "gap_loss_last") for line in lines])
        low, high = bulk(last) or (-math.inf, math.inf)
        if cut_down(axis, points(lines), [0.0, *last[(last >= low) & (last <= high)]], room=math.inf):
            head(axis, title(name, lines), [OFF])
        axis.set_ylabel("validation - training loss")
        finish(axis, lines)
    return svg(figure, alt("Mean overfitting gap in loss", data))


@styled
def gradient(cells: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Gradient norm at the first hidden layer over that at the last, against depth; a line for each network."""
    data = {
        name: [
            Line(wording.joined(line.name, part), line.rows, column)
            for line in lines
            for part, column in wording.parts(line.rows).items()
        ]
        for name, lines in by_data(cells, "").items()
    }
    figure, axes = data_panels(data, "geometric mean at the end of training, dots: single runs")
    for axis, lines in zip(axes, data.values(), strict=True):
        axis.axhline(1, color=FAINT, linewidth=0.8)
        for look, line in zip(line_looks(lines), lines, strict=True):
            draw(axis, look, line, runs)
        log_values(axis, [ratio for line in lines for ratio in cells_of(runs, line.rows)[line.column]])
        axis.set_ylabel("first / last gradient norm")
        finish(axis, lines)
    return svg(figure, alt("Geometric mean of the gradient ratio", data))
