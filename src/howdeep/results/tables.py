"""The main table: a block a line (an architecture on a data set), a row a depth."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from howdeep.results import wording
from howdeep.results.scores import rows_of
from howdeep.results.wording import amount, brackets, estimate, number


class Block(NamedTuple):
    """The rows of one line; each row has the text of every column."""

    data: str
    name: str
    rows: list[list[str]]


def columns(cells: pd.DataFrame, *, seconds: bool = False) -> list[str]:
    """The headings of a task's table; a gradient ratio for each part that trains with a loss of its own."""
    score = wording.spoken(cells["score"].iloc[0])
    fixed = ["depth", "runs", f"validation {score}", f"test {score}", "overfitting gap"]
    parts = [wording.joined("gradient ratio", part) for part in wording.parts(cells)]
    return [*fixed, *parts, "parameters", "training FLOPs", *(["seconds"] if seconds else [])]


def blocks(cells: pd.DataFrame, seconds: Mapping[tuple[str, int, str], float] | None = None) -> list[Block]:
    """The table of a task, as text.

    Args:
        cells: the rows of `summary` that belong to the task.
        seconds: mean seconds of a training by (entry, depth, matching); None leaves the column out.
    """
    names = list(wording.parts(cells).values())
    return [
        Block(data, name, [_row(cell, names, seconds) for cell in rows_of(rows)])
        for data, name, rows in wording.series(cells)
    ]


def _row(
    cell: wording.Cell, ratios: Sequence[str], seconds: Mapping[tuple[str, int, str], float] | None
) -> list[str]:
    finished = cell["runs"] - cell["diverged"]
    texts = [
        str(cell["depth"]),
        str(finished) if finished == cell["runs"] else f"{finished} of {cell['runs']}",
        *(f"{number(cell[s])} {brackets(estimate(cell, s))}".rstrip() for s in ("val_score", "test_score")),
        number(cell["gap_loss"]),
        *(number(cell[name]) for name in ratios),
        f"{cell['parameters']:,}",
        amount(cell["training_flops"]),
    ]
    if seconds is None:
        return texts
    taken = seconds.get((cell["entry"], cell["depth"], cell["matching"]))
    return [*texts, wording.MISSING if taken is None else f"{taken:.1f}"]


def markdown(cells: pd.DataFrame) -> str:
    """The table of a task for a README: data set and architecture stand in the first two columns."""
    titles = ["data", "model", *columns(cells)]
    lines = [[block.data, block.name, *row] for block in blocks(cells) for row in block.rows]
    rule = ["---", "---", *["---:" for _ in titles[2:]]]
    return "".join(f"| {' | '.join(line)} |\n" for line in [titles, rule, *lines])
