"""Tuning that is fair to every depth: each run finds its own settings, by as many trials for every depth.

A run is its tuning and its training (Bouthillier et al., 2021): each seed tunes each cell anew, so that the spread of
the runs holds the luck of their tunings. A tuning is one bracket of successive halving (Jamieson and Talwalkar, 2016):
all settings are trained for a small share of a run's epochs, the best third of them goes on to the next share, and so
on; the best of those that came furthest is what the run is trained with.

A point is a learning rate; where there are ten trials or more also a momentum or a weight decay. With several
matchings, a depth has a network for each of them, and each is tuned on its own.
"""

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from howdeep.records.trials import SECOND, Point, TrialRow

REDUCTION = 3  # one of so many goes on
EDGE = 0.1  # the outer tenths of a range of learning rates
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


def learning_rates(low: float, high: float, n: int, seed: int) -> list[float]:
    """n learning rates between low and high, evenly apart on a log scale, to three digits.

    The range is cut into n equal parts, and each has one rate, all at the same place of their parts. Each seed draws
    that place anew: no depth is better off because a grid happens to hit its best rate (Cranley and Patterson, 1976).
    """
    shift = np.random.default_rng([seed, n]).random()
    return [_three_digits(low * (high / low) ** ((k + shift) / n)) for k in range(n)]


def tuned_settings(optimizer: str, trials: int) -> list[str]:
    """The settings of an optimizer that so many trials tune: its learning rate, and from ten on one beside it."""
    second = [BESIDE[optimizer].name] if trials > MOST_ALONE and optimizer in BESIDE else []
    return ["lr", *second]


def points(optimizer: str, low: float, high: float, n: int, seed: int) -> list[Point]:
    """What a run with this seed tries with an optimizer: n points, the same for every depth.

    The setting beside the learning rates takes the values of a one-dimensional Sobol sequence, scrambled, from the
    lowest rate to the highest: a Hammersley set, which fills the plane of both as evenly as so few points can.
    """
    found: list[Point] = [{"lr": rate} for rate in learning_rates(low, high, n, seed)]
    if len(tuned_settings(optimizer, n)) > 1:
        beside = BESIDE[optimizer]
        for point, share in zip(found, sobol(n, seed), strict=True):
            point[beside.name] = beside.at(share)
    return found


def sobol(n: int, seed: int) -> list[float]:
    """The first n numbers of a scrambled Sobol sequence in [0, 1): its first 2^k lie in 2^k equal parts, one each.

    Source: Sobol (1967), scrambled as by Matousek (1998).
    """
    from scipy.stats.qmc import Sobol  # which takes a second to import

    sequence = Sobol(1, scramble=True, rng=seed).random_base2(math.ceil(math.log2(n)))
    return sequence[:n, 0].tolist()


def going_on(losses: Sequence[float | None]) -> list[int]:
    """Which trials go on: the best third, rounded up, of all that there are; none that has diverged.

    Args:
        losses: the lowest validation loss of each; None of one that diverged.

    Returns:
        Their indices, the best first; the first of equals before the others.
    """
    finished = [k for k, loss in enumerate(losses) if loss is not None]
    return sorted(finished, key=lambda k: losses[k] or 0.0)[: math.ceil(len(losses) / REDUCTION)]


def ranked(rows: Iterable[TrialRow]) -> list[TrialRow]:
    """The trials of one run that have not diverged, the best first: those that came further before the others.

    Where all diverged, the one with the lowest learning rate: its run will show what it is worth.
    """
    rows = list(rows)
    finished = [row for row in rows if row.last_loss is not None]
    best = sorted(finished, key=lambda row: (-row.epochs, row.last_loss))
    return best or [min(rows, key=lambda row: row.lr)]


def winner(rows: Iterable[TrialRow]) -> TrialRow:
    """The trial with whose settings a run is trained."""
    return ranked(rows)[0]


def on_edge(row: TrialRow, rows: Iterable[TrialRow]) -> bool:
    """Whether a learning rate lies in an outer tenth of what was tried with its cell and optimizer, on a log scale."""
    rates = [math.log(of.lr) for of in rows if (of.cell, of.optimizer) == (row.cell, row.optimizer)]
    low, high, at = min(rates), max(rates), math.log(row.lr)
    return at <= low + EDGE * (high - low) or at >= high - EDGE * (high - low)


def tied(rows: Iterable[TrialRow]) -> bool:
    """Whether validation cannot tell the best setting of a run from the next: both have the same loss, such as 0."""
    best = ranked(rows)[:2]
    if len(best) < 2 or best[0].epochs != best[1].epochs:
        return False
    first, second = (row.last_loss for row in best)
    return (
        first is not None and second is not None and math.isclose(first, second, rel_tol=1e-6, abs_tol=1e-9)
    )


def by_cell(rows: Iterable[TrialRow]) -> dict[str, list[TrialRow]]:
    """The trials of each cell by its name, in order."""
    cells: dict[str, list[TrialRow]] = {}
    for row in rows:
        cells.setdefault(row.cell, []).append(row)
    return cells


def by_run(rows: Iterable[TrialRow]) -> dict[str, list[TrialRow]]:
    """The trials of each run by its name, in order."""
    runs: dict[str, list[TrialRow]] = {}
    for row in rows:
        runs.setdefault(row.run, []).append(row)
    return runs


def settings(rows: Sequence[TrialRow]) -> dict[str, dict]:
    """For each run what `train` appends to its overrides, and what it tries next if that diverges.

    The settings that came as far as the best one are its seconds: the last of halving is the whole training, and
    one that fails there is out.

    Returns:
        `{"depth=4-seed=0": {"overrides": ["optimizer=sgd", "optimizer.lr=0.05"], "seconds": [[...], ...]}}`
    """
    found = {}
    for run, own in by_run(rows).items():
        best, *others = ranked(own)
        seconds = [_overrides(row) for row in others if row.epochs == best.epochs]
        found[run] = {"overrides": _overrides(best), "seconds": seconds}
    return found


def _overrides(row: TrialRow) -> list[str]:
    values = (f"optimizer.{name}={value!r}" for name, value in row.point.items())
    return [f"optimizer={row.optimizer}", *values]


def rungs(shares: Sequence[float], epochs: int) -> list[int]:
    """The epochs after which trials are compared, of a run of so many: each at least 1, none twice."""
    return sorted({max(1, round(share * epochs)) for share in shares})


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
