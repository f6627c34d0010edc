"""The map of a study: an architecture on a data set a row, a depth a column, each cell in the colour of its verdict."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from howdeep.figures.figure import FAINT, INK, MAP_INK, PANEL, boards, styled, svg
from howdeep.results.verdict_map import Place, Row

FILLS = {"better": "#00664b", "worse": "#b34700", "failed": "#b34700", "no difference": "#0072b2"}
HEADER, HEAD, HEIGHT, GAP = (
    1.16,
    0.62,
    0.4,
    0.035,
)  # inches: of row names, above all rows, of a row, between cells
SIZE = 9.8  # points: 12 pixels and more on a page, and on a phone
MOST_DEPTHS = 5  # in the columns of a panel; more of them are the first and the deepest
LONGEST = 16  # characters of a name
MARK = "\N{WHITE DOWN-POINTING TRIANGLE}"  # no depth beats the best simple method
HATCH = "////"


@styled
def panel(title: str, rows: Sequence[Row]) -> str:
    """One matching.

    Args:
        title: what was held equal, as 'Equal width'.
        rows: in the order in which they are drawn.
    """
    depths = _columns(sorted({place.depth for row in rows for place in row.places}))
    height = HEAD + HEIGHT * len(rows)
    figure, [board] = boards([title], "", height, columns=1)
    axis = board.axes(0, 0, PANEL[0], height)
    axis.set_axis_off()
    axis.set_xlim(0, PANEL[0])
    axis.set_ylim(height, 0)
    width = (PANEL[0] - HEADER) / len(depths)
    left = {depth: HEADER + width * place for place, depth in enumerate(depths)}
    for depth, x in left.items():
        axis.text(x + width / 2, HEAD - 0.09, f"depth {depth}", ha="center", fontsize=SIZE, color=INK)
    for place, row in enumerate(rows):
        y = HEAD + HEIGHT * place
        mark = f" {MARK}" if row.beats_simple is False else ""
        axis.text(0.03, y + 0.17, _short(row.data), fontsize=SIZE, color=INK)
        axis.text(0.03, y + 0.34, f"{_short(row.name)}{mark}", fontsize=SIZE, color=INK, fontweight="bold")
        for cell in row.places:
            if cell.depth in left:
                _cell(axis, left[cell.depth], y, width, cell, dashed=row.plain)
    return svg(figure, _told(title, rows))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _columns(depths: Sequence[int]) -> list[int]:
    return list(depths) if len(depths) <= MOST_DEPTHS else [*depths[: MOST_DEPTHS - 1], depths[-1]]


def _cell(axis: Axes, x: float, y: float, width: float, cell: Place, *, dashed: bool) -> None:
    fill = FILLS.get(cell.verdict)
    box = Rectangle(
        (x + GAP / 2, y + GAP / 2), width - GAP, HEIGHT - GAP, facecolor=fill or "none",
        edgecolor=FAINT, linewidth=0.9 if dashed or not fill else 0, linestyle=(0, (2.5, 1.5)) if dashed else "-",
    )  # fmt: skip
    axis.add_patch(box)
    if not fill:  # hatched at its side alone, where no word stands
        axis.add_patch(
            Rectangle(
                (x + GAP / 2, y + GAP / 2),
                0.07,
                HEIGHT - GAP,
                facecolor="none",
                edgecolor=FAINT,
                hatch=HATCH,
                linewidth=0,
            )
        )
    first, second = _two_lines(cell)
    colour = MAP_INK if fill else INK
    middle = x + width / 2 + (0 if fill else 0.035)
    for words, down in ((first, 0.17), (second, 0.33)):
        text = axis.text(middle, y + down, words, ha="center", fontsize=SIZE, color=colour)
        text.set_url(f"#{cell.link}")


def _two_lines(cell: Place) -> tuple[str, str]:
    if not cell.trained:
        return "did not", "train"
    size, _, rest = cell.words.partition(", ")
    amount, _, direction = size.rpartition(" ")
    zero = not float(amount.partition(" ")[0].replace(",", ""))
    sign = "" if not rest or zero else "+" if direction == "better" else "\N{MINUS SIGN}"
    return f"{sign}{amount}", rest or direction


def _told(title: str, rows: Sequence[Row]) -> str:
    said = []
    for row in rows:
        of = "; ".join(f"depth {cell.depth}: {cell.words}" for cell in row.places)
        simple = ", no depth beats the best simple method" if row.beats_simple is False else ""
        said.append(f"{row.name} on {row.data}: {of}{simple}")
    return f"{title}, deeper networks against the shallowest. {'. '.join(said)}."
