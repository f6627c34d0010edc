"""The paper that plots are drawn on: panels, colours for light and dark, and the same bytes each time."""

import io
import math
import re
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from textwrap import fill
from typing import Any, NamedTuple, TypeVar
from zlib import crc32

import numpy as np
from matplotlib import colormaps, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG, RendererSVG
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

T = TypeVar("T")
INK, FAINT = "#24292f", "#8b949d"
# Okabe and Ito's colours, which the colour-blind can tell apart, and lighter ones of the same hue for the dark.
SERIES = {
    "#0072b2": "#58b6f0",
    "#d55e00": "#ff9a4d",
    "#007a5a": "#3fcf9f",
    "#b0508a": "#ec9ccb",
    "#8a6d00": "#e2c04a",
    "#6b5bd2": "#b3a8ff",
    "#5f6b76": "#b4bec8",
    "#a33a3a": "#ff9d9d",
}
ORDER = (
    "mlp",
    "cnn",
    "rnn",
    "gru",
    "lstm",
    "transformer",
    "autoencoder",
    "gan",
)  # each has one hue everywhere

MARKERS = "os^Dv<Ph"
DASHES = ["-", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1.5, 1, 1.5))]
VIRIDIS = colormaps["viridis"]
STEPS = 24
# Depth is an order: the deeper, the stronger against the page, in the light and in the dark.
_light, _dark = np.linspace(0.59, 0, STEPS + 1), np.linspace(0.36, 1, STEPS + 1)
DEPTH = {to_hex(light): to_hex(dark) for light, dark in zip(VIRIDIS(_light), VIRIDIS(_dark), strict=True)}
MAP_INK = "#fefefe"  # on a cell that is filled with a colour
FILLED = {"#00664b": "#3fcf9f", "#b34700": "#ff9a4d", "#0072b2": "#58b6f0"}  # cells of a map
DARK = {INK: "#e6edf3", FAINT: "#7d8590", **SERIES, **DEPTH}
COLOURED = re.compile("(stroke|fill): (#[0-9a-f]{6})")
PAPER = {"light": "#ffffff", "dark": "#0d1117"}
PANEL = (3.9, 3.0)  # inches; one of them fills a phone
SMALL = 9.2  # points: 12 pixels and more on a page, and on a phone
LEGEND_ROW = 0.18
LONG = 32  # characters of a line of a title: as many as a panel is wide
NOTE = 0.25
AROUND = 0.75, 0.5, 0.1, 0.35  # inches left of, below, right of and above a panel, for its labels, about
PAD = 0.08
STYLE = {
    "svg.fonttype": "none",  # text stays text: searched, read aloud, and half the size
    "svg.hashsalt": "howdeep",  # else the ids are random
    "font.family": "DejaVu Sans",  # ships with matplotlib, so that the layout is the same everywhere
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "lines.linewidth": 1.6,
}
# Decorates what draws: nobody's own matplotlibrc may change the bytes.
styled = style.context(["default", STYLE])
FONTS = "system-ui, 'DejaVu Sans', sans-serif"
DPI = 72  # a dot is a point
IMAGE_DPI = 100  # of what is made of pixels


class Renderer(RendererSVG):
    """Matplotlib's own, which remembers how large a text is from one picture to the next: labels are much the same."""

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> Any:
        return _size_of_text(s, prop.get_size_in_points(), prop.get_weight(), ismath)

    def _get_font_height_metrics(self, prop: FontProperties) -> tuple[float, float, float]:
        # Matplotlib asks renderers that have it, and else opens the font again for each look at a label.
        return _height_of_font(prop.get_size_in_points(), prop.get_weight())


@cache
def _size_of_text(text: str, size: float, weight: str | int, ismath: Any) -> tuple[float, float, float]:
    font = FontProperties(family=STYLE["font.family"], size=size, weight=weight)
    return TextToPath().get_text_width_height_descent(text, font, ismath)


@cache
def _height_of_font(size: float, weight: str | int) -> tuple[float, float, float]:
    """How far a line of text reaches above and below its foot, and the gap to the next, in points."""
    font = get_font(findfont(FontProperties(family=STYLE["font.family"], weight=weight)))
    head, typographic = font.get_sfnt_table("head"), font.get_sfnt_table("OS/2")
    assert head is not None
    assert typographic is not None
    scale = 1 / head["unitsPerEm"] * size
    return (
        typographic["sTypoAscender"] * scale,
        -typographic["sTypoDescender"] * scale,
        typographic["sTypoLineGap"] * scale,
    )


@cache
def _ruler() -> Renderer:
    """Measures, and draws nothing."""
    return Renderer(0, 0, io.StringIO())


def panels(titles: Sequence[str], note: str, legend_rows: int = 0) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each title, at most three side by side, and a note below them all.

    Rows of a legend make the panels taller, so that it does not flatten them.
    """
    columns = min(3, len(titles))
    rows = math.ceil(len(titles) / columns)
    size = (PANEL[0] * columns, (PANEL[1] + LEGEND_ROW * legend_rows) * rows)
    figure = Figure(figsize=size, dpi=DPI)
    FigureCanvasSVG(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis, title in zip(axes, titles, strict=False):
        head(axis, title)
        axis.tick_params(length=3, color=FAINT)
    for axis in axes[len(titles) :]:
        axis.remove()
    figure.text(0.5, 0, note, ha="center", fontsize=SMALL).set_transform(
        figure.transFigure + ScaledTranslation(0, 0.08, figure.dpi_scale_trans)
    )
    return figure, axes[: len(titles)]


def _fit(figure: Figure, axes: Sequence[Axes]) -> None:
    """Gives each panel the same room, as large as the labels around all of them let it be.

    Matplotlib's constrained layout looks at the labels twice, since they vary a little with the size of a panel. They
    are measured here at about the final size, once: labels take more time than anything that is drawn.
    """
    across, up = figure.get_size_inches()
    places = [(spec.rowspan.start, spec.colspan.start) for axis in axes if (spec := axis.get_subplotspec())]
    rows, columns = (1 + max(counts) for counts in zip(*places, strict=True))
    width, height = across / columns, (up - NOTE) / rows  # inches of a panel with its labels

    def place(left: float, bottom: float, right: float, top: float) -> None:
        size = (width - left - right) / across, (height - bottom - top) / up
        for axis, (row, column) in zip(axes, places, strict=True):
            corner = (column * width + left) / across, (up - (row + 1) * height + bottom) / up
            axis.set_position((*corner, *size))

    place(*AROUND)
    left, bottom, right, top = np.max([_around(axis) for axis in axes], axis=0) + PAD
    place(left, bottom, right, top)


def _around(axis: Axes) -> list[float]:
    """How far labels, ticks, title and legend reach beyond a panel: left, bottom, right, top, in inches."""
    legends = [found] if (found := axis.get_legend()) else []
    outer = axis.get_tightbbox(_ruler(), for_layout_only=True, bbox_extra_artists=[*axis.texts, *legends])
    inner, dots = axis.bbox, axis.figure.dpi
    assert outer is not None
    reach = [inner.x0 - outer.x0, inner.y0 - outer.y0, outer.x1 - inner.x1, outer.y1 - inner.y1]
    return [max(0.0, pixels) / dots for pixels in reach]


class Board(NamedTuple):
    """A titled part of a figure that holds several small axes, placed in inches from its lower left corner.

    Placed by hand: matplotlib takes ten times as long to find out what is known beforehand.
    """

    figure: Figure
    left: float
    bottom: float

    def axes(self, left: float, bottom: float, width: float, height: float, **options: Any) -> Axes:
        across, up = self.figure.get_size_inches()
        place = (self.left + left) / across, (self.bottom + bottom) / up, width / across, height / up
        axis = self.figure.add_axes(place, **options)
        axis.tick_params(length=3, color=FAINT, labelsize=SMALL)
        return axis


def boards(titles: Sequence[str], note: str, height: float, columns: int = 3) -> tuple[Figure, list[Board]]:
    """A figure with a board for each title, at most `columns` side by side, `height` inches each, a note below them.

    The title takes the uppermost 0.3 inches of a board, which is as wide as a panel.
    """
    columns = min(columns, len(titles))
    rows = math.ceil(len(titles) / columns)
    across, up = PANEL[0] * columns, height * rows + NOTE
    figure = Figure(figsize=(across, up), dpi=DPI)
    FigureCanvasSVG(figure)
    found = []
    for rank, title in enumerate(titles):
        board = Board(figure, PANEL[0] * (rank % columns), up - height * (rank // columns + 1))
        place = (board.left + 0.06) / across, (board.bottom + height - 0.08) / up
        size = 10.5 if len(title) <= LONG else SMALL
        figure.text(*place, title, va="top", fontsize=size, fontweight="bold")
        found.append(board)
    if note:
        figure.text(0.5, 0.08 / up, note, ha="center", fontsize=SMALL)
    return figure, found


def spread(values: Sequence[T], most: int) -> list[T]:
    """At most `most` of the values, evenly chosen, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(place * (len(values) - 1) / (most - 1))] for place in range(most)]


def head(axis: Axes, title: str, below: Sequence[str] = ()) -> None:
    """A bold title over a panel, and small lines between the two."""
    # With y given, matplotlib need not look at each draw whether ticks are in the way: none are above a panel.
    lines = fill(title, LONG)
    axis.set_title(lines, loc="left", y=1, fontsize=10.5, fontweight="bold", pad=6 + 10.5 * len(below))
    axis.annotate(
        "\n".join(below), (0, 1), xycoords="axes fraction", xytext=(0, 4), textcoords="offset points", fontsize=SMALL,
        color=INK,
    )  # fmt: skip


def legend(axis: Axes, columns: int) -> None:
    """A legend below the panel, where it covers nothing."""
    below_label = axis.transAxes + ScaledTranslation(0, -0.44, axis.figure.dpi_scale_trans)  # inches
    axis.legend(
        loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below_label, ncols=columns, borderpad=0,
        handlelength=1.2, handletextpad=0.5, columnspacing=0.9, labelcolor=INK, frameon=False, fontsize=SMALL,
    )  # fmt: skip


def svg(figure: Figure, alt: str) -> str:
    """The figure as one <svg> element, its text told to those who cannot see it.

    A plain picture in the light colours on a clear ground, plus a style for readers who prefer the dark.
    """
    buffer = io.StringIO()
    if found := [axis for axis in figure.axes if axis.get_subplotspec()]:
        _fit(figure, found)
    for clear in (figure, *figure.axes):
        clear.patch.set(facecolor="none", edgecolor="none")
    # Drawn directly: `savefig` would set up a renderer once more, and another one that could make rasters of parts.
    width, height = (DPI * inches for inches in figure.get_size_inches())
    nothing = {"Creator": None, "Date": None, "Format": None, "Type": None}
    renderer = Renderer(width, height, buffer, image_dpi=IMAGE_DPI, metadata=nothing)
    figure.draw(renderer)
    renderer.finalize()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", buffer.getvalue(), flags=re.DOTALL)
    text = text[text.index("<svg") :].replace("'DejaVu Sans'", FONTS)
    opening = f'<svg class="howdeep-figure" role="img" aria-label="{escape(alt)}"'
    return re.sub(r"(<svg[^>]*>)", lambda tag: f"{tag[1]}\n {style_of(text)}", opening + text[4:], count=1)


def grid(drawn: Sequence[str]) -> str:
    """Pictures made by `svg`, at most three side by side, as one picture."""
    if len(drawn) == 1:
        return drawn[0]
    columns = min(3, len(drawn))
    rows = [drawn[at : at + columns] for at in range(0, len(drawn), columns)]
    sizes = {picture: _size(picture) for picture in drawn}
    across, up = max(width for width, _ in sizes.values()), 0.0
    body, told = [], []
    for row in rows:
        for place, picture in enumerate(row):
            width, height = sizes[picture]
            inner = picture[picture.index("</style>") + len("</style>") : picture.rindex("</svg>")]
            body.append(
                f'<svg x="{place * across:g}" y="{up:g}" width="{width:g}" height="{height:g}" '
                f'viewBox="0 0 {width:g} {height:g}">{inner}</svg>\n'
            )
            told.append(re.search(r'aria-label="([^"]*)"', picture)[1])  # type: ignore[index]
        up += max(sizes[picture][1] for picture in row)
    text = "".join(body)
    size = f'width="{columns * across:g}pt" height="{up:g}pt" viewBox="0 0 {columns * across:g} {up:g}"'
    return (
        f'<svg class="howdeep-figure" role="img" aria-label="{" ".join(told)}" {size} version="1.1" '
        'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">\n'
        f" {style_of(text)}{text}</svg>\n"
    )


def _size(picture: str) -> tuple[float, float]:
    """Width and height in points."""
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture)
    assert box is not None
    return float(box[1]), float(box[2])


def style_of(text: str) -> str:
    """The style element of one or more pictures: what becomes of their colours in the dark."""
    found = set(COLOURED.findall(text))
    rules = "".join(
        f'[style*="{part}: {light}"]{{{part}:{dark}!important}}'  # no ancestor: markers are drawn outside the tree
        for light, dark in {**DARK, **FILLED, MAP_INK: PAPER["dark"]}.items()
        for part in ("stroke", "fill")
        if (part, light) in found
    )
    return (
        f"<style>.howdeep-figure{{background:{PAPER['light']}}}@media (prefers-color-scheme:dark)"
        f"{{.howdeep-figure{{background:{PAPER['dark']}}}{rules}}}</style>"
    )


class Look(NamedTuple):
    """How one of several lines is told from the others: colour, marker, dashes, a small shift along the axis."""

    colour: str
    style: dict[str, Any]
    shift: float

    def x(self, depth: Any) -> Any:
        return depth * self.shift


def hue(model: str) -> int:
    """The place of an architecture's colour and marker, the same in every picture of every study."""
    return ORDER.index(model) if model in ORDER else crc32(model.encode()) % len(SERIES)


def looks(models: Sequence[str]) -> list[Look]:
    """A look for each line of a panel, given their architectures.

    Lines of one architecture share its colour, the second and further ones dashed with hollow markers: plain
    beside normalised.
    """
    found = []
    for rank, model in enumerate(models):
        place, variant = hue(model), models[:rank].count(model)
        style = {"marker": MARKERS[place], "linestyle": DASHES[variant % len(DASHES)]}
        hollow = {"markerfacecolor": "none"} if variant else {}
        shift = 2 ** (0.07 * (rank - (len(models) - 1) / 2))
        found.append(Look(list(SERIES)[place], style | hollow, shift))
    return found


def depth_colours(depths: Sequence[int]) -> dict[int, str]:
    """A colour a depth, evenly along the scale."""
    scale = list(DEPTH)
    last = max(len(depths) - 1, 1)
    return {depth: scale[round(STEPS * rank / last)] for rank, depth in enumerate(sorted(depths))}


def depth_axis(axis: Axes, depths: Sequence[int]) -> None:
    """Depth on a logarithmic axis, with a tick for each depth of the study, or for its powers of two if crowded."""
    ticks = sorted(depths)
    if len(ticks) > 8:
        ticks = [depth for depth in ticks if depth & (depth - 1) == 0]
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_locator(FixedLocator([float(depth) for depth in ticks]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda depth, _: f"{depth:g}"))
    axis.set_xlim(min(depths) / 1.25, max(depths) * 1.25)
    axis.set_xlabel("depth")


def epoch_axis(axis: Axes) -> None:
    """Epochs, whose ticks are whole numbers however few there are."""
    axis.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, min_n_ticks=1))
    axis.set_xlabel("epoch")


def count_axis(axis: Axes, counts: Sequence[int]) -> None:
    """Numbers of examples on a logarithmic axis, with a tick for each, or for some of them if there are many."""
    axis.set_xscale("log")
    axis.xaxis.set_major_locator(FixedLocator([float(count) for count in spread(sorted(counts), 5)]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda count, _: f"{count:,.0f}"))
    axis.set_xlim(min(counts) / 1.25, max(counts) * 1.25)


def log_values(axis: Axes, values: Iterable[float]) -> None:
    """A logarithmic y axis with plain numbers: matplotlib's own are powers of ten, set as formulas.

    Linear if any of the values that it shows is not above zero, such as the loss of a critic.
    """
    if not all(value > 0 for value in values if not math.isnan(value)):
        return
    axis.set_yscale("log")
    low, high = axis.get_ylim()
    steps = (1,) if high > 1000 * low else (1, 2, 5) if high > 8 * low else (1, 1.5, 2, 3, 4, 5, 7)
    axis.yaxis.set_major_locator(LogLocator(subs=steps, numticks=8))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
