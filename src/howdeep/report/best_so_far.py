"""How far tuning comes with fewer trials: the best validation loss of n of those tried, whatever their order.

The trials of a run are a fixed set of points without an order, so that the curve of one order would say little. All
orders are equally likely instead, and the best of the first n of N is the least of n drawn without replacement: with
losses sorted, P(the k-th is the least) = C(N - k, n - 1) / C(N, n). Its mean is the "expected maximum" of Dodge et al.
(2019, "Show Your Work"), in the unbiased form of Tang et al. (2020); the band holds eight of ten orders. Losses are
those after the first share of the epochs, which all trials get. A depth's curve is the mean over its runs.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from howdeep.figures.figure import INK, Board, boards, depth_colours, log_values, styled, svg
from howdeep.records.trials import TrialRow
from howdeep.results.wording import number
from howdeep.study.tuning import by_run

ALL = "all"  # optimizers: their trials together
LOW, HIGH = 10, 90  # percent: the ends of the band
COLUMNS = ("entry", "matching", "depth", "optimizer", "trials", "expected", "low", "high")
WIDTH, HEIGHT, AROUND, ACROSS = (
    3.3,
    1.95,
    0.6,
    3,
)  # inches: of all axes of a row, of a row, of what is around them
SHOWN = 3  # a mean above the worst end by more than so many times that end is cut off: it would flatten all others


class Best(NamedTuple):
    """The best loss of n trials over all orders: its mean and the ends of its band, infinite where a trial diverged."""

    expected: float
    low: float
    high: float


def best_of(losses: Sequence[float | None], n: int) -> Best:
    """The least of n of these losses, drawn without replacement; None, a diverged trial, is above all others.

    Raises:
        ValueError: n is not among 1, ..., len(losses).
    """
    if not 1 <= n <= len(losses):
        raise ValueError(f"expected from 1 to {len(losses)} trials, got {n}")
    ordered = sorted(math.inf if loss is None else loss for loss in losses)
    draws, total = math.comb(len(ordered), n), len(ordered)
    expected = sum(
        loss * math.comb(total - k, n - 1) / draws for k, loss in enumerate(ordered[: total - n + 1], start=1)
    )
    return Best(expected, *(_quantile(ordered, n, percent) for percent in (LOW, HIGH)))


def _quantile(ordered: Sequence[float], n: int, percent: int) -> float:
    """The lowest loss that the least of n does not pass in `percent` of all draws."""
    total = len(ordered)
    draws = math.comb(total, n)  # of which C(total - k, n) have none of the first k
    within = (100 * (draws - math.comb(total - k, n)) >= percent * draws for k in range(1, total + 1))
    return next(loss for loss, reached in zip(ordered, within, strict=True) if reached)


def curve(rows: Sequence[TrialRow]) -> list[Best]:
    """The best of 1, 2, ... of the trials of a run, mean over the runs."""
    runs = [[row.val_loss for row in own] for own in by_run(rows).values()]
    fewest = min(map(len, runs), default=0)
    each = [[best_of(losses, n) for losses in runs] for n in range(1, fewest + 1)]
    return [Best(*(sum(of) / len(of) for of in zip(*bests, strict=True))) for bests in each]


def optimizers(own: Sequence[TrialRow]) -> list[str]:
    """Each optimizer, and first all of them together where there are several."""
    names = list(dict.fromkeys(row.optimizer for row in own))
    return [ALL, *names] if len(names) > 1 else names


def select(own: Sequence[TrialRow], depth: int, optimizer: str) -> list[TrialRow]:
    return [row for row in own if row.depth == depth and optimizer in (ALL, row.optimizer)]


def frame(trials: Mapping[str, Sequence[TrialRow]]) -> pd.DataFrame:
    """A row a number of trials of each depth and optimizer of each entry; an infinite loss is a missing value."""
    rows = [
        (entry, matching, depth, optimizer, n, *best)
        for entry, rows in trials.items()
        for matching in dict.fromkeys(row.matching for row in rows)
        for own in [[row for row in rows if row.matching == matching]]
        for optimizer in optimizers(own)
        for depth in sorted({row.depth for row in own})
        for n, best in enumerate(curve(select(own, depth, optimizer)), start=1)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).replace(math.inf, math.nan)


@styled
def picture(title: str, own: Sequence[TrialRow]) -> str:
    """Expected best validation loss against the number of trials, a line a depth with its band, an axis an optimizer.

    Args:
        own: the trials of one entry and matching.
    """
    names, depths = optimizers(own), sorted({row.depth for row in own})
    curves = {name: {depth: curve(select(own, depth, name)) for depth in depths} for name in names}
    rows = math.ceil(len(names) / ACROSS)
    each = WIDTH / min(len(names), ACROSS)
    note = "mean of the best so far; band: eight of ten orders"
    figure, (board,) = boards([title], note, AROUND + HEIGHT * rows)
    limits = _limits([best for of in curves.values() for best in of.values()])
    for rank, name in enumerate(names):
        row, column = divmod(rank, ACROSS)
        bottom = 0.62 + (rows - 1 - row) * HEIGHT
        axis = board.axes(0.55 + column * each, bottom, each - 0.12, HEIGHT - 0.65)
        axis.set_ylim(limits)
        for depth, colour in depth_colours(depths).items():
            _draw(axis, curves[name][depth], colour, f"depth {depth}" if depth == depths[0] else str(depth))
        log_values(axis, limits)
        axis.set_title(name, fontsize=8.5)
        axis.set_xlabel("trials", labelpad=1)
        axis.set_xlim(0.5, max(map(len, curves[name].values())) + 0.5)
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axis.tick_params(labelleft=not column)
        if not column:
            axis.set_ylabel("validation loss")
    _legend(board, depths)
    return svg(figure, _told(title, curves[names[0]]))


def _limits(curves: Sequence[Sequence[Best]]) -> tuple[float, float]:
    """What all axes show: the end of every curve, and of their beginnings what does not flatten the rest."""
    bests = [best for curve in curves for best in curve]
    low = min(best.low for best in bests)
    ends = [loss for curve in curves if math.isfinite(loss := curve[-1].expected)]
    means = [best.expected for best in bests if math.isfinite(best.expected)]
    if not ends or not math.isfinite(low):
        return 0.0, 1.0  # nothing to see
    high = min(max(means), max(ends) + SHOWN * abs(max(ends)))
    return (
        (low / 1.1, high * 1.1) if low > 0 else (low - (high - low or 1) / 20, high + (high - low or 1) / 20)
    )


def _draw(axis: Axes, bests: Sequence[Best], colour: str, label: str) -> None:
    """A line where the mean is finite, and its band, open above where a diverged trial is its upper end."""
    trials = range(1, len(bests) + 1)
    top = 1e3 * axis.get_ylim()[1]
    low, high = (
        [min(value, top) for value in ends] for ends in zip(*(best[1:] for best in bests), strict=True)
    )
    axis.fill_between(trials, low, high, color=colour, alpha=0.15, linewidth=0)
    means = [best.expected if math.isfinite(best.expected) else math.nan for best in bests]
    axis.plot(trials, means, color=colour, label=label)


def _legend(board: Board, depths: Sequence[int]) -> None:
    """The colours of all axes, between them and the note."""
    lines = board.figure.axes[0].get_lines()
    board.figure.legend(
        lines, [str(line.get_label()) for line in lines], loc="lower center", ncols=min(len(depths), 8),
        bbox_to_anchor=(0.5, (board.bottom + 0.02) / board.figure.get_size_inches()[1]), borderpad=0,
        handlelength=1.2, handletextpad=0.5, columnspacing=0.9, labelcolor=INK, frameon=False, fontsize=8.5,
    )  # fmt: skip


def _told(title: str, curves: Mapping[int, Sequence[Best]]) -> str:
    """In words, from a quarter of the trials on: depth 4: 0.213 after 2 of 8, 0.101 after 8."""
    told = []
    for depth, bests in curves.items():
        early = max(1, len(bests) // 4)
        told.append(
            f"depth {depth}: {_spoken(bests[early - 1])} after {early}, {_spoken(bests[-1])} after {len(bests)}"
        )
    return f"{title}: expected best validation loss by number of trials. {'; '.join(told)}."


def _spoken(best: Best) -> str:
    return number(best.expected) if math.isfinite(best.expected) else "diverged"
