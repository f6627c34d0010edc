"""The trials of an entry's tuning: the rows of tuned/<entry>/trials.csv."""

import csv
import io
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass

from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.files.reading import check_file, content_of, json_map
from howdeep.names import is_name
from howdeep.records.cell import MATCHINGS, cell_name, run_name

Point = dict[str, float]  # {"lr": 0.1, "momentum": 0.9}: settings of the optimizer by name
SECOND = ("momentum", "weight_decay")  # the names in BESIDE
LOSSES = ("val_loss", "last_loss")


@dataclass(frozen=True)
class TrialRow:
    """One trial: what was tried for a run, and what came of it.

    Args:
        depth, seed, matching: of the run that it was tried for.
        optimizer, lr, momentum, weight_decay: what was tried; None: as conf/ has it.
        val_loss: the lowest validation loss of the epochs that all trials have; None if it diverged in them.
        epochs: how many it was given in the end.
        last_loss: the lowest validation loss of those; None if it diverged.
    """

    depth: int
    optimizer: str
    lr: float
    val_loss: float | None
    epochs: int = 1
    last_loss: float | None = None
    seed: int = 0
    matching: str = "width"
    momentum: float | None = None
    weight_decay: float | None = None

    @property
    def point(self) -> Point:
        """What was tried, by the name of the optimizer's setting."""
        values = {name: getattr(self, name) for name in ("lr", *SECOND)}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def cell(self) -> str:
        """The name of the cell within its entry, 'depth=4' or 'matching=flops-depth=4'."""
        return cell_name(self.depth, self.matching)

    @property
    def run(self) -> str:
        """The name of the run, 'depth=4-seed=0'."""
        return run_name(self.depth, self.matching, self.seed)


def trials_of(name: str, project: Project) -> list[TrialRow]:
    """The trials that the tuning of an entry wrote.

    Raises:
        UserError: it was not tuned yet.
    """
    path = project.tuned / name / "trials.csv"
    again = f"delete its folder, then `dvc repro tune@{name}`"
    if not path.exists():
        raise UserError(
            f"expected the trials of {name} in {os.path.relpath(path)}, found none: run `dvc repro`"
        )
    if (card := path.with_name("recipe.json")).exists():
        check_file(path, json_map(card, again), again)
    try:
        rows = list(csv.DictReader(io.StringIO(content_of(path, again).decode(), newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is not readable as a table ({error}): {again}") from None
    found = []
    for number, row in enumerate(rows, start=2):
        try:
            found.append(_trial(row))
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{path} line {number} is no trial ({reason}): {again}") from None
    if not found:
        raise UserError(f"{path} holds no trials: {again}")
    return found


def _trial(row: Mapping[str, str]) -> TrialRow:
    """A line of trials.csv.

    Raises:
        KeyError, ValueError, TypeError, AttributeError: it lacks a column, or holds something else.
    """
    trial = TrialRow(
        depth=int(row["depth"]),
        seed=int(row["seed"]),
        optimizer=row["optimizer"],
        lr=float(row["lr"]),
        epochs=int(row["epochs"]),
        matching=row["matching"],
        **{name: float(row[name]) if row[name] else None for name in LOSSES},
        **{name: float(row[name]) for name in SECOND if row.get(name)},
    )
    numbers = (*trial.point.values(), trial.val_loss or 0.0, trial.last_loss or 0.0)
    if not all(map(math.isfinite, numbers)) or trial.lr <= 0 or min(trial.depth, trial.epochs) < 1:
        raise ValueError("its numbers must be finite, lr above 0, depth and epochs at least 1")
    if not is_name(trial.optimizer) or trial.matching not in MATCHINGS or trial.seed < 0:
        raise ValueError(
            f"unknown optimizer {trial.optimizer!r}, matching {trial.matching!r} or seed {trial.seed!r}"
        )
    return trial
