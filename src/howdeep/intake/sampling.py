"""A sample of a table that is too large to be looked at as a whole."""

from collections.abc import Iterable
from typing import NamedTuple

from howdeep.intake.reading import Sheet

CELLS = 1 << 22  # texts that are kept: about 250 MB


class Sample(NamedTuple):
    """Rows of a table.

    Args:
        sheet: the first rows, and evenly spaced ones of those that follow, in their order.
        first: how many rows are the first.
        rows: of the whole table.
    """

    sheet: Sheet
    first: int
    rows: int

    @property
    def is_whole(self) -> bool:
        return len(self.sheet.rows) == self.rows


def sample(sheets: Iterable[Sheet]) -> Sample:
    """The rows of a table, or of a large one about `CELLS` texts of it, the same ones each time.

    Raises:
        UserError: what reading the table raises, to its last row.
    """
    names: list[str] = []
    head: list[tuple[list[str], int]] = []
    spaced: list[tuple[int, list[str], int]] = []  # place, row, line
    seen, every, most = 0, 1, 0
    for sheet in sheets:
        if not names:
            names, most = sheet.names, max(1, CELLS // 2 // len(sheet.names))
        rows = list(zip(sheet.rows, sheet.lines, strict=True))
        begins = min(len(rows), max(0, most - seen))
        head += rows[:begins]
        begins += -(seen + begins) % every
        spaced += [(seen + place, *rows[place]) for place in range(begins, len(rows), every)]
        seen += len(rows)
        while len(spaced) > most:
            every *= 2
            spaced = [of for of in spaced if of[0] % every == 0]
    return Sample(
        Sheet(names, [row for row, _ in head] + [row for _, row, _ in spaced],
              [line for _, line in head] + [line for _, _, line in spaced]),
        len(head), seen,
    )  # fmt: skip
