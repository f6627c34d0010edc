"""The gradient of every hidden layer over the training: heat maps of layer by epoch, one for each depth."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.ticker import (
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullLocator,
)

from howdeep.figures.figure import DEPTH, SMALL, Board, boards, spread, styled, svg
from howdeep.results import wording
from howdeep.results.histories import LAYER
from howdeep.results.scores import cells_of, known, select
from howdeep.results.wording import listing, number

DEPTHS, EPOCHS = 6, 12  # as many as can be told apart side by side
DECADES = 8  # a gradient further below the largest has vanished; its size would only stretch the scale
WIDTH, HEIGHT, GAP = 2.75, 2.5, 0.08  # inches: of all maps together, of a board, between maps
COLOURS = ListedColormap(list(DEPTH))


@styled
def layers(cells: pd.DataFrame, gradients: pd.DataFrame) -> str:
    """||dL/da|| by hidden layer and epoch: a heat map a depth, side by side, with one colour scale.

    The scale is logarithmic, and common to all entries of an architecture on a data set, so that a network without
    normalisation can be held beside one with it.
    """
    lines = [
        (wording.joined(f"{data}, {name}", part), rows, select(of_line, part=part))
        for data, name, rows in wording.series(cells)
        for of_line in [cells_of(gradients, rows)]
        for part in sorted(set(of_line["part"]))
    ]
    if not lines:
        return ""
    note = "norm of the loss gradient, geometric mean over the seeds"
    figure, found = boards([title for title, _, _ in lines], note, HEIGHT, columns=1)  # a phone shows one
    for board, (_, rows, of_part) in zip(found, lines, strict=True):
        _board(board, of_part, _scale(gradients, rows))
    told = ". ".join(f"{title}: {_told(of_part)}" for title, _, of_part in lines)
    return svg(figure, f"Gradient norm by hidden layer and epoch, at the last epoch. {told}.")


def _scale(gradients: pd.DataFrame, rows: pd.DataFrame) -> LogNorm:
    same = select(gradients, **{name: rows[name].iloc[0] for name in ("task", "data", "model")})
    norms = known(same, "activation_gradient")
    norms = norms[norms > 0]
    if not norms.size:
        return LogNorm(0.1, 1)
    low, high = float(norms.min()), 1.001 * float(norms.max())
    return LogNorm(max(min(low, high / 2), high / 10**DECADES), high, clip=True)


def _board(board: Board, flow: pd.DataFrame, scale: LogNorm) -> None:
    """The maps share their axes, which take most of the time of a picture; a map with its gap is one wide."""
    depths = spread(sorted(set(flow["depth"])), DEPTHS)
    gap = GAP * len(depths) / WIDTH
    axis = board.axes(0.5, 0.45, WIDTH - GAP, HEIGHT - 1)
    of_depth = {depth: select(flow, depth=depth) for depth in depths}
    ticks = [
        tick
        for rank, of in enumerate(of_depth.values())
        for tick in _map(axis, of, scale, rank, rank + 1 - gap)
    ]
    for rank, depth in enumerate(depths):
        middle = rank + (1 - gap) / 2
        axis.annotate(
            f"depth {depth}", (middle, 1), xycoords=axis.get_xaxis_transform(), xytext=(0, 6),
            textcoords="offset points", ha="center", fontsize=SMALL,
        )  # fmt: skip
    axis.set_xlim(0, len(depths) - gap)
    axis.set_ylim(0.5, max(flow["layer"].tolist()) + 0.5)  # an autoencoder of depth 4 has 8
    axis.xaxis.set_major_locator(FixedLocator([place for place, _ in ticks]))
    axis.xaxis.set_major_formatter(FixedFormatter([str(epoch) for _, epoch in ticks]))
    axis.yaxis.set_major_locator(MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axis.spines[:].set_visible(False)
    axis.set_ylabel("layer")
    board.figure.text(*_below(board), "epoch", ha="center", va="bottom")
    _bar(board.axes(0.5 + WIDTH, 0.45, 0.1, HEIGHT - 1), scale)


def _below(board: Board) -> tuple[float, float]:
    """Below the middle of the maps, as a share of the figure."""
    across, up = board.figure.get_size_inches()
    return (board.left + 0.46 + WIDTH / 2) / across, (board.bottom + 0.03) / up


def _map(
    axis: Axes, flow: pd.DataFrame, scale: LogNorm, left: float, right: float
) -> list[tuple[float, int]]:
    """One heat map, the first layer at the bottom, a column for each epoch that was looked at.

    Returns:
        Where the first and the last epoch are, and which they are, counted from 1.
    """
    table = flow.pivot(index="layer", columns="epoch", values="activation_gradient")
    epochs = spread(table.columns.tolist(), EPOCHS)
    norms = np.ma.masked_invalid(table[epochs].to_numpy(dtype=np.float64))  # (layers, epochs)
    norms = np.ma.maximum(norms, np.float64(scale.vmin or 0))  # zero has no logarithm
    x, y = np.linspace(left, right, len(epochs) + 1), np.arange(len(table) + 1) + 0.5
    axis.pcolormesh(x, y, norms, cmap=COLOURS, norm=scale)
    return [(float(x[place : place + 2].mean()), epochs[place] + 1) for place in sorted({0, len(epochs) - 1})]


def _bar(axis: Axes, scale: LogNorm) -> None:
    """The scale, on the right of the maps."""
    low, high = float(scale.vmin), float(scale.vmax)  # type: ignore[arg-type]
    edges = np.geomspace(low, high, COLOURS.N + 1)
    axis.pcolormesh([0, 1], edges, np.arange(COLOURS.N)[:, None], cmap=COLOURS)
    axis.set(yscale="log", ylim=(low, high))
    axis.yaxis.tick_right()
    axis.xaxis.set_visible(False)
    axis.yaxis.set_major_locator(LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5), numticks=9))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.spines[:].set_visible(False)


def _told(flow: pd.DataFrame) -> str:
    """The last epoch's norms in words: depth 4: 0.064 at layer 1, 0.031 at layer 4."""
    last = flow.sort_values(LAYER).groupby(["depth", "layer"], as_index=False).last()
    return "; ".join(_ends(depth, select(last, depth=depth)) for depth in sorted(set(flow["depth"])))


def _ends(depth: int, layers: pd.DataFrame) -> str:
    ends = layers.iloc[sorted({0, len(layers) - 1})]
    norms = zip(ends["layer"], ends["activation_gradient"], strict=True)
    return f"depth {depth}: " + listing([f"{number(norm)} at layer {layer}" for layer, norm in norms])
