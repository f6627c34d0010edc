"""The picture of a claim: what was measured, against depth, a line an arm; and what is judged."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from howdeep.figures.figure import (
    DASHES,
    FAINT,
    INK,
    MARKERS,
    PANEL,
    SERIES,
    SMALL,
    Look,
    depth_axis,
    legend,
    panels,
    styled,
    svg,
)
from howdeep.results.claims import Ends
from howdeep.results.statistics import Interval, mean_interval
from howdeep.results.wording import number

Values = Mapping[str, Mapping[int, Sequence[float]]]  # by arm and depth, of each seed
NOTE = "mean with 95 % interval, dots: single runs"
SUPPORTS, REFUTES = "#007a5a", "#d55e00"


def look(rank: int, of: int) -> Look:
    """A colour and a marker for an arm."""
    style = {"marker": MARKERS[rank % len(MARKERS)], "linestyle": DASHES[rank // len(SERIES) % len(DASHES)]}
    return Look(list(SERIES)[rank % len(SERIES)], style, 2 ** (0.05 * (rank - (of - 1) / 2)))


@styled
def measured(title: str, unit: str, values: Values) -> str:
    """The means of each arm against depth, with 95 % intervals over seeds, single runs as dots.

    Args:
        title: of the panel.
        unit: of what was measured.
        values: NaN where a run failed.
    """
    depths = sorted({depth for of in values.values() for depth in of})
    if len(depths) == 1:
        return _by_arm(title, unit, {arm: of[depths[0]] for arm, of in values.items()})
    rows = math.ceil(len(values) / 2)
    figure, [axis] = panels([title], NOTE, rows)
    figure.set_size_inches(PANEL[0], PANEL[1] + 0.18 * rows)
    for rank, (arm, by_depth) in enumerate(values.items()):
        own = look(rank, len(values))
        found = {
            depth: mean_interval([value for value in of if not math.isnan(value)])
            for depth, of in by_depth.items()
        }
        x = np.array([own.x(depth) for depth in found])
        for place, of in zip(x, by_depth.values(), strict=True):
            axis.plot(
                [place] * len(of), of, linestyle="none", marker=".", markersize=3, color=own.colour, alpha=0.5
            )
        mean, low, high = np.array(list(found.values())).T
        axis.plot(x, mean, color=own.colour, markersize=5, label=arm, **own.style)
        axis.vlines(x, low, high, color=own.colour)
    depth_axis(axis, depths)
    axis.set_ylabel(unit)
    legend(axis, 2)
    told = "; ".join(
        f"{arm}: "
        + ", ".join(
            f"depth {depth}: {number(float(np.nanmean(of)))}"
            for depth, of in by_depth.items()
            if np.isfinite(of).any()
        )
        for arm, by_depth in values.items()
    )
    return svg(figure, f"{title}. {told}.")


def _by_arm(title: str, unit: str, values: Mapping[str, Sequence[float]]) -> str:
    """The same at one depth alone: a line an arm."""
    figure, [axis] = panels([title], NOTE)
    figure.set_size_inches(PANEL[0], 1.2 + 0.24 * len(values))
    for place, of in enumerate(values.values()):
        known = [value for value in of if not math.isnan(value)]
        mean, low, high = mean_interval(known)
        axis.plot(known, [place] * len(known), linestyle="none", marker=".", markersize=3, color=FAINT)
        axis.plot([mean], [place], "o", markersize=5, color=INK)
        axis.hlines([place], low, high, color=INK)
    axis.set_yticks(range(len(values)), list(values))
    axis.set_ylim(len(values) - 0.5, -0.5)
    axis.set_xlabel(unit)
    told = "; ".join(f"{arm}: {number(float(np.nanmean(of)))}" for arm, of in values.items())
    return svg(figure, f"{title}. {told}.")


@styled
def scatter(title: str, x: str, y: str, points: Mapping[str, Mapping[int, tuple[float, float]]]) -> str:
    """Means of one measure, where less is better, against another, where more is; a line an arm, the depth at each
    point. Rings: no cell is better in one and as good in the other.

    Args:
        title: of the panel.
        x, y: what they are, with units.
        points: by arm and depth.
    """
    rows = math.ceil(len(points) / 2)
    figure, [axis] = panels([title], "ring: none cheaper is as good; number: depth", rows)
    figure.set_size_inches(PANEL[0], PANEL[1] + 0.18 * rows)
    for rank, (arm, by_depth) in enumerate(points.items()):
        own = look(rank, len(points))
        axis.plot(*zip(*by_depth.values(), strict=True), color=own.colour, label=arm, **own.style)
        for depth, place in by_depth.items():
            axis.annotate(
                str(depth), place, xytext=(0, 5), textcoords="offset points", fontsize=SMALL, ha="center",
                color=own.colour,
            )  # fmt: skip
    best = front([place for by_depth in points.values() for place in by_depth.values()])
    ring = {"markersize": 11, "markerfacecolor": "none", "markeredgewidth": 1.1}
    axis.plot(*zip(*best, strict=True), "o", color=INK, **ring)
    axis.margins(y=0.12)  # for the numbers above the highest
    axis.set_xscale("log")
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    legend(axis, 2)
    told = "; ".join(
        f"{arm} at depth {depth}: {number(place[1])} for {number(place[0])}"
        for arm, by_depth in points.items()
        for depth, place in by_depth.items()
        if place in best
    )
    return svg(figure, f"{title}. The front: {told}.")


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points (cost, score) whose score none of at most the same cost equals or passes, the cheapest first."""
    found: list[tuple[float, float]] = []
    for place in sorted(points, key=lambda place: (place[0], -place[1])):
        if not found or place[1] > found[-1][1]:
            found.append(place)
    return found


@styled
def judged(unit: str, contrast: Interval, supports: Ends, refutes: Ends) -> str:
    """The contrast with its interval, on the ground of both regions.

    Args:
        unit: of what was measured.
        supports, refutes: both ends of each region.
    """
    figure, [axis] = panels(["what is judged"], "mean with 95 % interval over seeds")
    known = [value for value in (*contrast, *supports, *refutes, 0.0) if math.isfinite(value)]
    reach = (max(known) - min(known)) or 1.0
    low, high = min(known) - 0.25 * reach, max(known) + 0.25 * reach
    axis.set_xlim(low, high)
    axis.set_ylim(0, 1)
    for (left, right), colour, word in ((supports, SUPPORTS, "supports"), (refutes, REFUTES, "refutes")):
        left, right = max(left, low), min(right, high)
        axis.axvspan(left, right, 0, 0.8, color=colour, alpha=0.14, linewidth=0)
        axis.annotate(word, ((left + right) / 2, 0.72), ha="center", fontsize=SMALL, color=colour)
    if math.isfinite(contrast.mean):
        axis.plot([contrast.mean], [0.4], marker="o", markersize=7, color=INK)
    if math.isfinite(contrast.low):
        axis.hlines([0.4], contrast.low, contrast.high, color=INK, linewidth=2)
    axis.axvline(0, color=FAINT, linewidth=0.8)
    axis.set_yticks([])
    axis.xaxis.set_major_locator(MaxNLocator(5))
    axis.spines["left"].set_visible(False)
    axis.set_xlabel(f"difference in {unit}")
    return svg(figure, f"The contrast is {number(contrast.mean)}.")
