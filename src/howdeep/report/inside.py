"""What the networks hold inside and what they look at: the tables and pictures of results/inspection."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator

from howdeep.figures.figure import (  # fmt: skip
    MARKERS,
    boards,
    depth_colours,
    legend,
    panels,
    spread,
    styled,
    svg,
)
from howdeep.figures.pictures import Drawing, one
from howdeep.results.inspection import Inspection
from howdeep.results.scores import known, rows_of, select
from howdeep.results.tables import Table, Text
from howdeep.results.wording import listing, number, series

MOST = {"depths": 4, "rows": 5, "layers": 3, "heads": 4, "images": 8}
ROW = 0.42  # inches of a row of images
MAP = 0.72  # inches of an attention map
Line = tuple[str, pd.DataFrame]  # what a line (architecture on a data set) is called, and its rows of a table


@dataclass
class Inside:
    """What there is to show of an inspection.

    Args:
        found: what was found.
        cells: the rows of `summary`.
        drawn: how many lines of each task have pictures.
    """

    found: Inspection
    cells: pd.DataFrame
    drawn: Mapping[str, int]

    @cached_property
    def drawing(self) -> Drawing:
        """Pictures by kind: probes, similarity, attention, attributions."""
        return Drawing(
            [
                *(partial(one, "probes", probes, *line) for line in self._lines("representations")),
                *(partial(one, "similarity", similarity, *line) for line in self._lines("similarity")),
                *(partial(one, "attention", attention, *line) for line in self._images("attention")),
                *(partial(one, "attributions", attributions, *line) for line in self._images("attributions")),
            ]
        )

    @property
    def pictures(self) -> dict[str, list[str]]:
        """SVG texts by kind."""
        return self.drawing.pictures

    @cached_property
    def representations(self) -> Table:
        """A row a cell: what can be read from its first and its last hidden layer, and how alike layers are."""
        headings = [
            *("data", "architecture", "depth", "read from the input", "first layer", "last layer"),
            *("last layer, untrained", "first like last layer", "last layer like that of the shallowest"),
        ]
        return Table(headings, 2, [row for line in self._cells() for row in self._represented(*line)])

    @cached_property
    def looks(self) -> Table:
        """A row a cell whose attention or attributions are known."""
        headings = [
            *("data", "architecture", "depth", "agreement with untrained", "error of the sum"),
            *("spread of attention, first layer", "last layer", "distance, first layer", "last layer "),
        ]
        return Table(headings, 2, [row for line in self._cells() for row in self._looked(*line)])

    def _cells(self) -> Iterator[tuple[str, str, str, str, list[int]]]:
        for data, name, line in series(self.cells):
            yield data, name, line["entry"].iloc[0], line["matching"].iloc[0], sorted(set(line["depth"]))

    def _of(self, table: str, entry: str, matching: str) -> pd.DataFrame:
        found = self.found.tables.get(table)
        return pd.DataFrame() if found is None else select(found, entry=entry, matching=matching)

    def _lines(self, table: str) -> Iterator[Line]:
        """The rows of a table by line, those with pictures only."""
        shown = dict.fromkeys(self.drawn, 0)
        for data, name, line in series(self.cells):
            own = self._of(table, line["entry"].iloc[0], line["matching"].iloc[0])
            task = line["task"].iloc[0]
            if len(own) and shown[task] < self.drawn[task]:
                shown[task] += 1
                yield f"{data}, {name}", own

    def _images(self, kind: str) -> Iterator[tuple[str, dict[int, dict[str, np.ndarray]]]]:
        for data, name, entry, matching, depths in self._cells():
            of: dict[int, dict[str, np.ndarray]] = {}
            for depth in depths:
                where = f"{entry}/{matching}/{depth}/"
                own = {
                    path.removeprefix(where): a
                    for path, a in self.found.pictures.items()
                    if path.startswith(where)
                }
                if kind in own:
                    of[depth] = own
            if of:
                yield f"{data}, {name}", of

    def _represented(
        self, data: str, name: str, entry: str, matching: str, depths: Sequence[int]
    ) -> Iterator[list[Text]]:
        probed, alike = (self._of(table, entry, matching) for table in ("representations", "similarity"))
        if not len(alike):
            return
        for depth in depths:
            own = select(alike, depth=depth)
            if len(own):
                last = max(own["layer"].tolist())
                probe = (
                    {row["layer"]: row for row in rows_of(select(probed, depth=depth))} if len(probed) else {}
                )
                within = select(own, **{"with": "itself", "other_layer": 1, "layer": last})
                others = _last(select(own, **{"with": "shallowest"}))
                values = [
                    *(probe[at]["probe"] if probe else math.nan for at in (0, 1, last)),
                    probe[last]["untrained"] if probe else math.nan,
                    *(float(of[-1]) if len(of) else math.nan for of in (within["cka"].to_numpy(), others)),
                ]
                yield _row(data, name, depth, values)

    def _looked(
        self, data: str, name: str, entry: str, matching: str, depths: Sequence[int]
    ) -> Iterator[list[Text]]:
        heads, saliency = (self._of(table, entry, matching) for table in ("attention", "attribution"))
        for depth in depths:
            of_heads = select(heads, depth=depth) if len(heads) else heads
            of_saliency = select(saliency, depth=depth) if len(saliency) else saliency
            if len(of_heads) or len(of_saliency):
                values = [
                    *(_mean(of_saliency, column) for column in ("agreement", "completeness_error")),
                    *(_mean(of, column) for column in ("spread", "distance") for of in _ends(of_heads)),
                ]
                yield _row(data, name, depth, values)


def _row(data: str, name: str, depth: int, values: Sequence[float]) -> list[Text]:
    return [
        Text(data, data),
        Text(name, name),
        Text(str(depth), depth),
        *(Text(number(v), v) for v in values),
    ]


def _mean(table: pd.DataFrame, column: str) -> float:
    return float(known(table, column).mean()) if len(table) and known(table, column).size else math.nan


def _ends(heads: pd.DataFrame) -> list[pd.DataFrame]:
    """The heads of the first and of the last layer."""
    if not len(heads):
        return [heads, heads]
    return [select(heads, layer=end) for end in (heads["layer"].min(), heads["layer"].max())]


@styled
def probes(title: str, table: pd.DataFrame) -> str:
    """What a linear probe reads from each layer, a line a depth; dotted, from the same untrained; rings: codes."""
    depths = spread(sorted(set(table["depth"])), MOST["rows"])
    colours = depth_colours(depths)
    ringed = "; ring: the code" if "code" in set(table["part"]) else ""
    figure, [axis] = panels([title], f"dotted: the same untrained; layer 0: the input{ringed}", legend_rows=1)
    low, told = 1.0, []
    for rank, depth in enumerate(depths):
        own = select(table, depth=depth).sort_values("layer")
        colour, marker, label = colours[depth], MARKERS[rank], f"depth {depth}"
        axis.plot(own["layer"], own["probe"], color=colour, marker=marker, markersize=4, label=label)
        axis.plot(
            own["layer"], own["untrained"], ":", color=colour, marker=marker, markersize=2, linewidth=1.2
        )
        code = select(own, part="code")
        ring = {"markersize": 10, "markerfacecolor": "none", "markeredgewidth": 1.1}
        axis.plot(code["layer"], code["probe"], "o", color=colour, **ring)
        low = min(low, *own["probe"].dropna(), *own["untrained"].dropna(), 1.0)
        last = rows_of(own)[-1]
        told.append(f"depth {depth} {number(last['probe'])}, untrained {number(last['untrained'])}")
        told += [
            f"its code {number(row['probe'])}, untrained {number(row['untrained'])}" for row in rows_of(code)
        ]
    axis.set(xlabel="layer", ylabel="score of the probe", ylim=(max(low, -0.5) - 0.03, 1.02))
    axis.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    legend(axis, len(depths))
    return svg(figure, f"{title}: score of a linear probe by layer. At the last layer: {'; '.join(told)}.")


@styled
def similarity(title: str, table: pd.DataFrame) -> str:
    """CKA of the layers of each network with one another, a matrix a depth; below, with the shallowest's last layer."""
    depths = spread([depth for depth in sorted(set(table["depth"])) if depth > 1] or [1], MOST["depths"])
    side = 3.1 / len(depths)
    height = side + 1.45
    figure, [board] = boards([title], "dark: nothing in common; bright: alike", height)
    told = []
    for rank, depth in enumerate(depths):
        own = select(table, depth=depth)
        within = _square(select(own, **{"with": "itself"}))
        left, layers = 0.6 + rank * (side + 0.04), len(within)
        axis = board.axes(left, height - 0.55 - side + 0.08, side - 0.08, side - 0.08)
        axis.imshow(within, vmin=0, vmax=1, origin="lower", interpolation="none", aspect="auto")
        axis.set_title(f"depth {depth}", fontsize=8.5)
        ends = sorted({0, layers - 1})
        first = min(own["layer"].tolist())
        axis.set(xticks=[], yticks=[])  # symmetric: what stands below holds upwards as well
        shallow = _last(select(own, **{"with": "shallowest"}))
        if len(shallow):
            strip = board.axes(left, 0.5, side - 0.08, 0.16)
            strip.imshow(shallow[None], vmin=0, vmax=1, interpolation="none", aspect="auto")
            strip.set_xticks(ends, [str(first + end) for end in ends])
            strip.set_yticks([0] if rank == 0 else [], ["shallow"] if rank == 0 else [], fontsize=8.5)
        else:
            axis.set_xticks(ends, [str(first + end) for end in ends])
        told.append(
            f"depth {depth}: first and last hidden layer {number(float(within[min(1, layers - 1), -1]))}"
        )
    across, up = figure.get_size_inches()
    figure.text((board.left + 2.1) / across, (board.bottom + 0.08) / up, "layer", ha="center", fontsize=9)
    return svg(figure, f"{title}: similarity of layers by unbiased CKA. {'; '.join(told)}.")


def _square(table: pd.DataFrame) -> np.ndarray:
    """The symmetric matrix of pairs that are told once."""
    half = table.pivot(index="other_layer", columns="layer", values="cka").to_numpy(dtype=np.float64)
    return np.where(np.isnan(half), half.T, half)


def _last(table: pd.DataFrame) -> np.ndarray:
    """CKA of each layer with the last one of the shallowest network."""
    if not len(table):
        return np.array([])
    return select(table, other_layer=table["other_layer"].max()).sort_values("layer")["cka"].to_numpy()


@styled
def attention(title: str, by_depth: Mapping[int, Mapping[str, np.ndarray]]) -> str:
    """Mean attention maps of the shallowest and the deepest network: a row a layer, a column a head."""
    rows = [
        (depth, layer, by_depth[depth]["attention"][layer])
        for depth in sorted({min(by_depth), max(by_depth)})
        for layer in spread(range(len(by_depth[depth]["attention"])), MOST["layers"])
    ]
    height = 0.75 + MAP * len(rows)
    figure, [board] = boards([title], "row: a step; column: the steps it looks at; bright: much", height)
    for rank, (depth, layer, maps) in enumerate(rows):
        heads = spread(range(len(maps)), MOST["heads"])
        for column, head in enumerate(heads):
            bottom = height - 0.55 - MAP * (rank + 1)
            axis = board.axes(0.95 + column * MAP, bottom + 0.04, MAP - 0.06, MAP - 0.06)
            axis.imshow(maps[head], vmin=0, interpolation="none")
            axis.set(xticks=[], yticks=[])
            if rank == 0:
                axis.set_title(f"head {head + 1}", fontsize=8.5)
            if column == 0:
                axis.set_ylabel(
                    f"depth {depth}\nlayer {layer + 1}", rotation=0, ha="right", va="center", fontsize=8
                )
    steps = rows[0][2].shape[-1]
    told = listing([f"depth {depth}, layer {layer + 1}" for depth, layer, _ in rows])
    return svg(figure, f"{title}: mean attention maps over {steps} steps, a map a head, of {told}.")


@styled
def attributions(title: str, by_depth: Mapping[int, Mapping[str, np.ndarray]]) -> str:
    """Integrated gradients: a row of images a depth below the images themselves, last the deepest one untrained."""
    depths = spread(sorted(by_depth), MOST["depths"])
    deepest = by_depth[depths[-1]]
    rows = [("image", _grey(deepest["images"]))]
    rows += [(f"depth {depth}", _signed(by_depth[depth]["attributions"])) for depth in depths]
    rows += [("untrained", _signed(deepest["untrained"]))]
    height = 0.4 + ROW * len(rows)
    figure, [board] = boards([title], "red: for the right class; blue: against it", height)
    for rank, (label, strip) in enumerate(rows):
        axis = board.axes(0.8, height - 0.35 - ROW * (rank + 1), 3.0, ROW - 0.05, anchor="W")
        axis.imshow(strip, interpolation="none")
        axis.set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8.5)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    labels = listing([str(int(label)) for label in deepest["labels"][: MOST["images"]]])
    return svg(
        figure,
        f"{title}: integrated gradients of images of the classes {labels}, "
        f"a row each for {listing([label for label, _ in rows])}.",
    )


def _grey(images: np.ndarray) -> np.ndarray:
    """Images side by side, (height, columns, RGBA), as light as their values."""
    low, high = float(images.min()), float(images.max())
    grey = np.repeat((images.mean(1) - low)[..., None] / (high - low or 1), 3, axis=-1)
    return _strip(grey)


def _signed(images: np.ndarray) -> np.ndarray:
    """Images side by side, red where above 0, blue where below, white at 0; each on its own scale."""
    values = images.sum(1)  # over the channels
    top = np.abs(values).max(axis=(1, 2), keepdims=True)
    share = np.divide(values, top, out=np.zeros_like(values), where=top > 0)
    return _strip(colormaps["RdBu_r"](0.5 + share / 2)[..., :3])


def _strip(colour: np.ndarray) -> np.ndarray:
    """(n, height, width, 3) -> (height, n * (width + 1) - 1, RGBA), a clear pixel between two."""
    colour = colour[: MOST["images"]]
    n, height, width, _ = colour.shape
    strip = np.zeros((height, n, width + 1, 4))
    strip[:, :, :width, :3] = colour.transpose(1, 0, 2, 3)
    strip[:, :, :width, 3] = 1
    return strip.reshape(height, n * (width + 1), 4)[:, :-1]
