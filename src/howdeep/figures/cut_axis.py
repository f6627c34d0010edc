"""Axes on which a few values far out would flatten all others: cut down to the others, or logarithmic."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from howdeep.figures.figure import SMALL, Look, log_values
from howdeep.results.wording import MINUS, number

WIDE = 20  # a score's largest value over its smallest, from which a linear axis hides the small ones
FEWEST = 8  # values among which some can be called far out
FAR_OUT = 3  # interquartile ranges beyond the quartiles (Tukey, "Exploratory data analysis", 1977)
WORTH = 4  # an axis is cut only where that leaves so many times as much room for the rest
LABEL = 0.25  # of the width of a panel, that a number takes
OFF = "arrow: off the axis, with its value"

Points = tuple[Look, np.ndarray, np.ndarray]  # of a line: how it looks, and where its points are


def bulk(values: np.ndarray) -> tuple[float, float] | None:
    """Where most values lie, lowest and highest, if some few are so far out that an axis of all would flatten them.

    Far out: more than three interquartile ranges beyond the quartiles. None where no value is, where the axis would
    not gain four times the room, and where values are too few to say.
    """
    if values.size < FEWEST:
        return None
    lower, upper = np.quantile(values, [0.25, 0.75])
    fence = FAR_OUT * (upper - lower)
    kept = values[(values >= lower - fence) & (values <= upper + fence)]
    low, high = float(kept.min()), float(kept.max())
    return (low, high) if 0 < WORTH * (high - low) < values.max() - values.min() else None


def cut_down(
    axis: Axes, points: Sequence[Points], ends: Sequence[float] | np.ndarray = (), room: float = 0.5
) -> bool:
    """Cuts an axis down to where most points lie, with an arrow and its value for each of the others; whether it did.

    The ends of lines beside the points get room too, up to so many times the height of the points on either side.
    """
    values = np.concatenate([y for _, _, y in points])
    found = bulk(values[~np.isnan(values)])
    if found is None:
        return False
    height = found[1] - found[0]
    near = np.clip([*found, *ends], found[0] - room * height, found[1] + room * height)
    low, high = float(near.min()) - 0.1 * height, float(near.max()) + 0.1 * height
    axis.set_ylim(low, high)
    off = sorted(
        (float(at), float(value), look)
        for look, x, y in points
        for at, value in zip(x, y, strict=True)
        if value < low or value > high
    )
    beside = LABEL * np.ptp(np.log(np.concatenate([x for _, x, _ in points])))
    for rank, (at, value, look) in enumerate(off):
        crowd = [
            x for x, other, _ in off[:rank] if (other > high) == (value > high) and math.log(at / x) < beside
        ]
        _off(axis, look, at, value, above=value > high, rank=len(crowd))
    return True


def _off(axis: Axes, look: Look, x: float, value: float, *, above: bool, rank: int) -> None:
    """An arrow at the edge of the panel with the value that it leads to; one beside another moves inwards."""
    inwards = 0.03 + 0.08 * rank
    place = (x, 1 - inwards if above else inwards)
    axis.plot(
        *place, "^" if above else "v", color=look.colour, markersize=6, transform=axis.get_xaxis_transform()
    )
    axis.annotate(
        number(value).replace("-", MINUS), place,
        xycoords=axis.get_xaxis_transform(), xytext=(-6, 0), textcoords="offset points",
        ha="right", va="center", fontsize=SMALL, color=look.colour,
    )  # fmt: skip


def widen(axis: Axes, values: np.ndarray) -> None:
    """A logarithmic axis where one collapse would press everything else onto the floor of a linear one."""
    if values.size and values.min() > 0 and values.max() > WIDE * values.min():
        axis.set_ylim(
            values.min() / 1.3, values.max() * 1.3
        )  # intervals know no bounds, and may reach below 0
        log_values(axis, values)
