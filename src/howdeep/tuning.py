"""Tuning that is fair to every depth: the same learning rates for each, as many trials, its own winner.

With several matchings, a depth has a network for each of them, and each is tuned on its own.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from howdeep.records import cell_name

BASE, WIDENED = "base", "widened"


@dataclass(frozen=True)
class TrialRow:
    """One trial: what was tried, and the lowest validation loss of its epochs, None if it diverged."""

    depth: int
    optimizer: str
    lr: float
    val_loss: float | None
    space: str = BASE  # or widened: one of the extra trials
    matching: str = "width"

    @property
    def cell(self) -> str:
        """The name of the cell within its entry, 'depth=4' or 'matching=flops-depth=4'."""
        return cell_name(self.depth, self.matching)


def learning_rates(low: float, high: float, n: int) -> list[float]:
    """n learning rates from low to high, evenly apart on a log scale, to three digits; the middle if n is 1."""
    shares = [k / (n - 1) for k in range(n)] if n > 1 else [0.5]
    return [_three_digits(low * (high / low) ** share) for share in shares]


def beyond(rates: Sequence[float]) -> list[float]:
    """One learning rate below and one above, as far from the others as these from each other."""
    factor = (rates[-1] / rates[0]) ** (1 / (len(rates) - 1)) if len(rates) > 1 else 3.0
    return [_three_digits(rates[0] / factor), _three_digits(rates[-1] * factor)]


def winner(rows: Iterable[TrialRow]) -> TrialRow:
    """The trial with the lowest validation loss, the first of equals.

    Where all diverged, the one with the lowest learning rate: its runs will show what it is worth.
    """
    rows = list(rows)
    finished = [row for row in rows if row.val_loss is not None]
    return min(finished, key=lambda row: row.val_loss or 0.0) if finished else min(rows, key=lambda r: r.lr)


def on_edge(row: TrialRow, rows: Iterable[TrialRow]) -> bool:
    """Whether nothing beyond this learning rate was tried with its cell and optimizer, on one of both sides."""
    rates = [other.lr for other in rows if (other.cell, other.optimizer) == (row.cell, row.optimizer)]
    return row.lr in (min(rates), max(rates))


def edges(rows: Sequence[TrialRow]) -> list[TrialRow]:
    """The winners of their cells that lie on the edge of what was tried."""
    return [best for own in by_cell(rows).values() if on_edge(best := winner(own), own)]


def by_cell(rows: Iterable[TrialRow]) -> dict[str, list[TrialRow]]:
    """The trials of each cell by its name, in order."""
    cells: dict[str, list[TrialRow]] = {}
    for row in rows:
        cells.setdefault(row.cell, []).append(row)
    return cells


def settings(rows: Sequence[TrialRow]) -> dict[str, dict]:
    """For each cell what `train` appends to its overrides, and how it was found.

    Returns:
        `{"depth=4": {"overrides": ["optimizer=sgd", "optimizer.lr=0.05"], "val_loss": .1, "edge": False, "trials": 8}}`
    """
    found = {}
    for cell, own in by_cell(rows).items():
        best = winner(own)
        found[cell] = {
            "overrides": [f"optimizer={best.optimizer}", f"optimizer.lr={best.lr!r}"],
            "val_loss": best.val_loss,
            "edge": on_edge(best, own),
            "trials": len(own),
        }
    return found


def _three_digits(value: float) -> float:
    return round(value, 2 - math.floor(math.log10(value)))
