"""What trained networks make, by depth: reconstructed and invented images, a latent plane, written text.

Runs leave small arrays and texts behind (`Task.artifacts`); the names say what they are. Images are (n, channels,
height, width) with 1 or 3 channels: `originals` with their `reconstructions`, or `samples`. `latent` is (n, 2),
`labels` (n,) its classes. Any text is shown as it is. Of each cell the finished run with the lowest seed is shown,
not the prettiest.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from howdeep.figures.figure import FAINT, PANEL, SERIES, SMALL, boards, spread, styled, svg
from howdeep.results import wording
from howdeep.results.scores import cells_of, rows_of, select
from howdeep.results.wording import listing

Artifacts = Mapping[str, Mapping[str, Any]]  # run key -> name -> array or text
NONE: Artifacts = {}
IMAGES = ("reconstructions", "samples")
IMAGE, SQUARE = 0.62, PANEL[0] / 2  # inches
MOST = {"depths": 6, "points": 150}
COLUMNS = 5  # images side by side: a digit is recognised
LINES = {"reconstructions": 1, "samples": 2}  # of images, of each depth


class Shown(NamedTuple):
    """What one line of a study made, at each depth that has something to show."""

    title: str
    by_depth: Mapping[int, Mapping[str, Any]]


def shown(cells: pd.DataFrame, runs: pd.DataFrame, artifacts: Artifacts) -> list[Shown]:
    """The artifacts of each line (architecture on a data set) that has any."""
    found = [
        Shown(f"{data}, {name}", _by_depth(cells_of(runs, rows), artifacts))
        for data, name, rows in wording.series(cells)
    ]
    return [line for line in found if line.by_depth]


def _by_depth(runs: pd.DataFrame, artifacts: Artifacts) -> dict[int, Mapping[str, Any]]:
    finished = select(runs, state="finished").sort_values(["depth", "seed"]).drop_duplicates("depth")
    made = {run["depth"]: artifacts.get(run["key"]) for run in rows_of(finished)}
    return {depth: found for depth, found in made.items() if found}


def having(lines: Sequence[Shown], name: str, axes: int) -> list[Shown]:
    """The same lines with only the depths that made an array of this name, with so many axes."""
    kept = [
        Shown(
            line.title, {d: made for d, made in line.by_depth.items() if np.ndim(made.get(name, 0)) == axes}
        )
        for line in lines
    ]
    return [line for line in kept if line.by_depth]


def drawn(lines: Sequence[Shown]) -> dict[str, str]:
    """Every picture that can be made of the artifacts, by its name: 'samples', 'reconstructions', 'latent'."""
    pictures = {name: images(of, name) for name in IMAGES if (of := having(lines, name, 4))}
    return pictures | ({"latent": latent(of)} if (of := having(lines, "latent", 2)) else {})


@styled
def images(lines: Sequence[Shown], name: str) -> str:
    """A row of images a depth; above them, where there are any, the originals."""
    rows, room = max(len(_rows(line, name)) for line in lines), IMAGE * LINES[name] + 0.08
    height = 0.35 + room * rows
    figure, found = boards([line.title for line in lines], "of each depth the lowest seed", height)
    for board, line in zip(found, lines, strict=True):
        of_line = _rows(line, name)
        low, high = _range(of_line)
        for rank, (label, batch) in enumerate(of_line.items()):
            bottom = height - 0.35 - room * (rank + 1)
            axis = board.axes(0.75, bottom, IMAGE * COLUMNS, IMAGE * LINES[name], anchor="NW")
            axis.imshow(_grid(np.clip((batch - low) / (high - low), 0, 1)), interpolation="none")
            axis.set_ylabel(label, rotation=0, ha="right", va="center")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
    return svg(figure, _alt(f"{name.capitalize()}, a row of images for each depth.", lines))


def _rows(line: Shown, name: str) -> dict[str, np.ndarray]:
    """The images of each row by its label, (n, channels, height, width)."""
    depths = spread(list(line.by_depth), MOST["depths"])
    made = {f"depth {depth}": line.by_depth[depth][name] for depth in depths}
    first = line.by_depth[depths[0]]
    rows = ({"original": first["originals"]} if "originals" in first else {}) | made
    return {
        label: np.asarray(batch, dtype=np.float64)[: COLUMNS * LINES[name]] for label, batch in rows.items()
    }


def _range(rows: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """What is drawn black and white in all rows: the originals' range, or that of all images.

    Of 98 % of the pixels, lest a stray one grey the rest.
    """
    of = [rows["original"]] if "original" in rows else list(rows.values())
    low, high = np.nanquantile(np.concatenate([batch.ravel() for batch in of]), [0.01, 0.99])
    return (low, high) if high > low else (low, low + 1)


def _grid(batch: np.ndarray) -> np.ndarray:
    """Images in lines of five with a clear pixel between them, (height, width, RGBA)."""
    n, channels, height, width = batch.shape
    lines, columns = math.ceil(n / COLUMNS), min(n, COLUMNS)
    grid = np.zeros((lines * columns, height + 1, width + 1, 4))
    grid[:n, :height, :width, :3] = (
        np.repeat(batch, 3, axis=1) if channels == 1 else batch[:, :3]
    ).transpose(0, 2, 3, 1)
    grid[:n, :height, :width, 3] = 1
    grid = grid.reshape(lines, columns, height + 1, width + 1, 4).swapaxes(1, 2)
    return grid.reshape(lines * (height + 1), columns * (width + 1), 4)[:-1, :-1]


@styled
def latent(lines: Sequence[Shown]) -> str:
    """The bottleneck's plane, a panel a depth; each point is the digit (or number) of its class."""
    most = max(len(spread(list(line.by_depth), MOST["depths"])) for line in lines)
    height = 0.3 + SQUARE * math.ceil(most / 2)
    note = "two principal directions; of each depth the lowest seed"
    figure, found = boards([line.title for line in lines], note, height)
    for board, line in zip(found, lines, strict=True):
        for rank, depth in enumerate(spread(list(line.by_depth), MOST["depths"])):
            row, column = divmod(rank, 2)
            bottom = height - 0.3 - SQUARE * (row + 1)
            axis = board.axes(0.06 + SQUARE * column, bottom + 0.04, SQUARE - 0.12, SQUARE - 0.32)
            _points(axis, line.by_depth[depth])
            axis.set_title(f"depth {depth}", fontsize=SMALL)
    return svg(figure, _alt("The plane of the bottleneck, a panel for each depth.", lines))


def _points(axis: Axes, made: Mapping[str, Any]) -> None:
    points = np.asarray(made["latent"])[: MOST["points"], :2]
    labels = np.asarray(made.get("labels", np.full(len(made["latent"]), -1)))[: MOST["points"]]
    for label in np.unique(labels):
        look = {"marker": "o" if label < 0 else f"${label}$", "markersize": 4.5, "markeredgewidth": 0}
        colour = list(SERIES)[int(label) % len(SERIES)]
        axis.plot(*points[labels == label].T, linestyle="none", color=colour, **look)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set(visible=True, color=FAINT)


def _alt(what: str, lines: Sequence[Shown]) -> str:
    told = "; ".join(f"{line.title}: depths {listing(list(line.by_depth))}" for line in lines)
    return f"{what} {told}."


def texts(lines: Sequence[Shown]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Texts by line: (title, [(label, text), ...]). One that all depths share, such as a prompt, is told once."""
    return [(line.title, said) for line in lines if (said := _texts(line))]


def _texts(line: Shown) -> list[tuple[str, str]]:
    found = {
        (name, depth): text
        for depth, made in line.by_depth.items()
        for name, text in made.items()
        if isinstance(text, str)
    }
    names = sorted({name for name, _ in found})
    shared = [name for name in names if len(line.by_depth) > 1 and _same(found, name)]
    own = [name for name in names if name not in shared]
    first = [(name, next(text for (n, _), text in found.items() if n == name)) for name in shared]
    return first + [
        (f"depth {depth}" + (f", {name}" if len(own) > 1 else ""), found[name, depth])
        for depth in line.by_depth
        for name in own
        if (name, depth) in found
    ]


def _same(found: Mapping[tuple[str, int], str], name: str) -> bool:
    return len({text for (n, _), text in found.items() if n == name}) == 1


def markdown(lines: Sequence[Shown]) -> str:
    """The texts for a README, indented, so that nothing in them is taken for markup; empty without any."""
    parts = []
    for title, said in texts(lines):
        for label, text in said:
            body = "\n".join(f"    {line}".rstrip() for line in text.splitlines())
            parts.append(f"**{title}, {label}**\n\n{body}\n")
    return "\n".join(parts)
