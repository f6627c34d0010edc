"""Tuning that is fair to every depth: the same points for each, as many trials, its own winner.

A point is a learning rate; where there are ten trials or more also a momentum or a weight decay. With several
matchings, a depth has a network for each of them, and each is tuned on its own.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from howdeep.records.trials import SECOND, Point, TrialRow

MOST_ALONE = 9  # trials; with more of them, a second setting is tuned beside the learning rate


class Beside(NamedTuple):
    """A setting that is tuned beside the learning rate, on a log scale.

    Args:
        name: of the optimizer's setting.
        low, high: its range; of what is missing to 1 if `to_one`, since 0.99 differs from 0.9 as 0.9 from 0.
    """

    name: str
    low: float
    high: float
    to_one: bool = False

    def at(self, share: float) -> float:
        """The value at a share of the range, from 0 to 1, to three digits."""
        value = _three_digits(self.low * (self.high / self.low) ** share)
        return round(1 - value, 5) if self.to_one else value


BESIDE = {
    "sgd": Beside("momentum", 0.01, 1.0, to_one=True),
    "adam": Beside("weight_decay", 1e-6, 1e-2),  # a part of the gradient
    "adamw": Beside("weight_decay", 1e-4, 1.0),  # beside the gradient, times the learning rate: larger
}


def learning_rates(low: float, high: float, n: int) -> list[float]:
    """n learning rates from low to high, evenly apart on a log scale, to three digits; the middle if n is 1."""
    shares = [k / (n - 1) for k in range(n)] if n > 1 else [0.5]
    return [_three_digits(low * (high / low) ** share) for share in shares]


def beyond(rates: Sequence[float]) -> list[float]:
    """One learning rate below and one above, as far from the others as these from each other."""
    factor = (rates[-1] / rates[0]) ** (1 / (len(rates) - 1)) if len(rates) > 1 else 3.0
    return [_three_digits(rates[0] / factor), _three_digits(rates[-1] * factor)]


def tuned_settings(optimizer: str, trials: int) -> list[str]:
    """The settings of an optimizer that so many trials tune: its learning rate, and from ten on one beside it."""
    second = [BESIDE[optimizer].name] if trials > MOST_ALONE and optimizer in BESIDE else []
    return ["lr", *second]


def points(optimizer: str, rates: Sequence[float], seed: int) -> tuple[list[Point], list[Point]]:
    """What is tried with an optimizer: a point for each of these learning rates, and two more `beyond` them.

    The rates lie evenly. The setting beside them takes the values of a one-dimensional Sobol sequence, scrambled, from
    the lowest rate to the highest: a Hammersley set, which fills the plane of both as evenly as so few points can.
    """
    every = [*rates, *beyond(rates)]
    found: list[Point] = [{"lr": rate} for rate in every]
    if len(tuned_settings(optimizer, len(rates))) > 1:
        beside = BESIDE[optimizer]
        for point, share in zip(found, sobol(len(every), seed), strict=True):
            point[beside.name] = beside.at(share)
    return found[: len(rates)], found[len(rates) :]


def sobol(n: int, seed: int) -> list[float]:
    """The first n numbers of a scrambled Sobol sequence in [0, 1): its first 2^k lie in 2^k equal parts, one each.

    Source: Sobol (1967), scrambled as by Matousek (1998).
    """
    from scipy.stats.qmc import Sobol  # which takes a second to import

    sequence = Sobol(1, scramble=True, rng=seed).random_base2(math.ceil(math.log2(n)))
    return sequence[:n, 0].tolist()


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
            "overrides": [
                f"optimizer={best.optimizer}",
                *(f"optimizer.{name}={value!r}" for name, value in best.point.items()),
            ],
            "val_loss": best.val_loss,
            "edge": on_edge(best, own),
            "trials": len(own),
        }
    return found


def not_tuned(overrides: object, optimizers: Iterable[str]) -> object:
    """What of a tuned setting no tuning writes, None where all of it is as `settings` writes it.

    A setting is a list of Hydra overrides, and an override may set anything: the file that it is read from may not.
    """
    if not isinstance(overrides, list) or not overrides:
        return overrides
    chosen = {f"optimizer={name}" for name in optimizers}
    names = [override.partition("=")[0] if isinstance(override, str) else "" for override in overrides]
    if names[0] != "optimizer" or len(set(names)) < len(names):
        return overrides
    for override in overrides:
        setting = _TUNED.fullmatch(override) if isinstance(override, str) else None
        if override not in chosen and not (setting and math.isfinite(float(setting[1]))):
            return override
    return None


_TUNED = re.compile(
    rf"optimizer\.(?:lr|{'|'.join(SECOND)})=([0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]{{1,3}})?)", re.ASCII
)


def _three_digits(value: float) -> float:
    return round(value, 2 - math.floor(math.log10(value)))
