"""The `tune` stage of one entry: the optimizer and its settings of each depth, by as many trials for all."""

import csv
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from howdeep import stored, study
from howdeep.errors import UserError
from howdeep.fingerprint import run_key
from howdeep.plan import configs
from howdeep.prepare import ensure_prepared, train_checksum
from howdeep.project import Project
from howdeep.records import Cell
from howdeep.tuning import (
    BASE,
    SECOND,
    WIDENED,
    TrialRow,
    by_cell,
    edges,
    learning_rates,
    not_tuned,
    points,
    settings,
    winner,
)


def settings_file(name: str, project: Project) -> Path:
    return project.tuned / name / "settings.json"


def tuned_overrides(entry: study.Entry, cell: Cell, project: Project) -> list[str]:
    """The setting that the cell was given by its tuning; nothing where the study asks for none.

    Raises:
        UserError: it was not tuned yet.
    """
    if entry.tuning is None:
        return []
    path = settings_file(entry.name, project)
    again = f"delete its folder, then `dvc repro tune@{entry.name}`"
    found = stored.json_map(path, again) if path.exists() else {}
    overrides = found.get(cell.name, {}).get("overrides")
    if not overrides:
        at = f"depth {cell.depth}" + ("" if cell.matching == "width" else f", equal {cell.matching}")
        raise UserError(
            f"expected the tuned setting of {entry.name} at {at} in {os.path.relpath(path)}, found none: "
            f"run `dvc repro tune@{entry.name}`, or set `tune: null` in params.yaml"
        )
    if (wrong := not_tuned(overrides, entry.tuning.optimizers)) is not None:
        raise UserError(
            f"{os.path.relpath(path)} must give {entry.name} at {cell.name} one of its tuned optimizers and that one's "
            f"lr, {' or '.join(SECOND)}, all finite numbers, got {wrong!r}: {again}"
        )
    return overrides


def tune_entry(name: str, project: Project, n_workers: int | None = None) -> list[TrialRow]:
    """Tries the same points with every optimizer at every depth; writes trials and winning settings.

    Where a winner lies on the edge of what was tried, every depth and every optimizer gets two more trials, one
    beyond either end. A killed stage goes on where it stopped: its trials are in an Optuna journal until it ends.

    Returns:
        All trials.
    """
    plan = study.read(project.params)
    entry = plan.entry(name)
    folder = project.tuned / name
    shutil.rmtree(folder, ignore_errors=True)  # what stands there belongs to other settings
    found = configs(plan, entry, project)
    for cfg in found.values():
        ensure_prepared(cfg.data, project)
    keys = {  # by which DVC sees whether an entry must be trained again
        (cell.name, optimizer): run_key(cfg, train_checksum(cfg, project))
        for (cell, optimizer), cfg in found.items()
    }
    if entry.tuning is None:
        _write(folder, [], {cell: {"overrides": [], "key": key} for (cell, _), key in keys.items()})
        print(f"{name}: no tuning is asked for", file=sys.stderr)
        return []
    from howdeep import progress, tune_trials  # which import torch

    bases = tune_trials.of_trials(found, entry.tuning)
    journal = project.scratch / "tuning" / f"{name}.journal"
    journal.parent.mkdir(parents=True, exist_ok=True)
    every = {
        optimizer: points(optimizer, learning_rates(low, high, entry.tuning.trials), entry.tuning.seed)
        for optimizer, (low, high) in entry.tuning.optimizers.items()
    }
    base = {optimizer: first for optimizer, (first, _) in every.items()}
    rows = tune_trials.tried(name, bases, base, BASE, journal, project, n_workers)
    if on_edge := edges(rows):
        told = ", ".join(f"{row.cell} {row.optimizer} {row.lr:g}" for row in on_edge)
        progress.say(f"{name}: on the edge of its space: {told}; two more trials for all")
        wider = {optimizer: more for optimizer, (_, more) in every.items()}
        rows += tune_trials.tried(name, bases, wider, WIDENED, journal, project, n_workers)
    matchings, optimizers = entry.matchings, list(every)
    rows.sort(
        key=lambda row: (
            matchings.index(row.matching),
            row.depth,
            optimizers.index(row.optimizer),
            row.lr,
        )
    )
    tuned = settings(rows)
    for cell, own in by_cell(rows).items():
        tuned[cell]["key"] = keys[cell, winner(own).optimizer]
    _write(folder, rows, tuned)
    kept = project.provenance / "tuning" / journal.name  # for optuna-dashboard
    kept.parent.mkdir(parents=True, exist_ok=True)
    journal.replace(kept)
    tune_trials.track(plan, name, folder, bases, project)
    return rows


def _write(folder: Path, rows: Sequence[TrialRow], found: dict) -> None:
    """Aside, then renamed: the folder is whole or not there."""
    aside = folder.with_name(f".{folder.name}.aside")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    (aside / "settings.json").write_text(json.dumps(found, indent=1) + "\n")
    with (aside / "trials.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        second = [name for name in SECOND if any(name in row.point for row in rows)]
        columns = ["matching", "depth", "optimizer", "lr", *second, "val_loss", "space"]
        writer.writerow(columns)
        writer.writerows([getattr(row, name) for name in columns] for row in rows)
    aside.replace(folder)
