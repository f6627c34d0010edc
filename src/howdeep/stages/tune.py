"""The `tune` stage of one entry: the optimizer and its settings of each depth, by as many trials for all."""

import csv
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import howdeep.study.tuning
from howdeep.errors import UserError
from howdeep.files import reading, seals
from howdeep.files.folders import TUNED, written_aside
from howdeep.files.project import Project
from howdeep.processes.dvc import forced
from howdeep.records.cell import Cell
from howdeep.records.fingerprint import checksum, run_key
from howdeep.records.trials import BASE, SECOND, WIDENED, TrialRow, trials_of
from howdeep.runs.examples import ensure_prepared, train_checksum
from howdeep.stages.plan import Setting, configs
from howdeep.study import params
from howdeep.study.tuning import by_cell, edges, learning_rates, not_tuned, points, settings, winner

if TYPE_CHECKING:
    from omegaconf import DictConfig

RECIPE = "recipe.json"  # by which a stage sees that what it would tune is there


def settings_file(name: str, project: Project) -> Path:
    return project.tuned / name / "settings.json"


def tuned_overrides(entry: params.Entry, cell: Cell, project: Project) -> list[str]:
    """The setting that the cell was given by its tuning; nothing where the study asks for none.

    Raises:
        UserError: it was not tuned yet.
    """
    if entry.tuning is None:
        return []
    path = settings_file(entry.name, project)
    again = f"delete its folder, then `dvc repro tune@{entry.name}`"
    found = reading.json_map(path, again) if path.exists() else {}
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
    beyond either end. A killed stage goes on where it stopped: its trials are in an Optuna journal until it ends. What
    was tuned as it would be now is kept, unless `dvc repro --force` started the stage.

    Returns:
        All trials.
    """
    plan = params.read(project.params)
    entry = plan.entry(name)
    folder = project.tuned / name
    found = configs(plan, entry, project)
    for cfg in found.values():
        ensure_prepared(cfg.data, project)
    keys = _keys(found, project)  # by which DVC sees whether an entry must be trained again
    recipe = _recipe(entry.tuning, keys)
    if entry.tuning is None:
        untuned = {cell: {"overrides": [], "key": key} for (cell, _), key in keys.items()}
        _write(folder, [], untuned, recipe)
        print(f"{name}: no tuning is asked for", file=sys.stderr)
        return []
    from howdeep.processes import progress  # which import torch
    from howdeep.stages import tune_trials

    journal = project.scratch / "tuning" / f"{name}.journal"
    bases = tune_trials.of_trials(found, entry.tuning)
    if _is_kept(folder, recipe) and not forced():
        progress.say(f"{name}: its tuning is kept")
    else:
        rows = _tried(name, entry, bases, journal, project, n_workers)
        tuned = settings(rows)
        for cell, own in by_cell(rows).items():
            tuned[cell]["key"] = keys[cell, winner(own).optimizer]
        _write(folder, rows, tuned, recipe)
    if journal.exists():
        kept = project.provenance / "tuning" / journal.name  # for optuna-dashboard
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(journal, kept)  # scratch/ may be on another disk
        tune_trials.track(plan, name, folder, bases, project)
    return trials_of(name, project)


def check_current(plan: params.Study, entry: params.Entry, project: Project) -> None:
    """Refuses settings that were tuned for other networks, data or code than those of now, or were spoiled since.

    Raises:
        UserError: there are none that are right.
    """
    recipe = _recipe(entry.tuning, _keys(configs(plan, entry, project), project))
    if entry.tuning is not None and not _is_kept(project.tuned / entry.name, recipe):
        raise UserError(
            f"expected tuned/{entry.name} to hold settings that were tuned as {entry.name} is now, found others: run "
            f"`dvc repro tune@{entry.name}`"
        )


def _keys(found: Mapping[Setting, "DictConfig"], project: Project) -> dict[tuple[str, str], str]:
    """The key that each cell with each optimizer would have with the defaults of conf/."""
    return {
        (cell.name, optimizer): run_key(cfg, train_checksum(cfg, project))
        for (cell, optimizer), cfg in found.items()
    }


def _recipe(tuning: params.Tuning | None, keys: dict[tuple[str, str], str]) -> str:
    """A digest of all that the settings of an entry are a function of."""
    here = Path(__file__)
    code = checksum([here, here.with_name("tune_trials.py"), Path(howdeep.study.tuning.__file__)])
    parts = [tuning and asdict(tuning), sorted([*setting, key] for setting, key in keys.items()), code]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _is_kept(folder: Path, recipe: str) -> bool:
    """Whether a folder holds what this recipe gives, as it was written."""
    try:
        card = reading.json_map(folder / RECIPE, "")
        return (
            card["recipe"] == recipe
            and "seal" in card
            and all(seals.checksum(folder / file) == digits for file, digits in card["files"].items())
        )
    except (UserError, OSError, LookupError, TypeError, AttributeError):
        return False


def _tried(
    name: str,
    entry: params.Entry,
    bases: Mapping[Setting, "DictConfig"],
    journal: Path,
    project: Project,
    n_workers: int | None,
) -> list[TrialRow]:
    """All trials of an entry, in the order in which they are written."""
    from howdeep.processes import progress
    from howdeep.stages import tune_trials

    assert entry.tuning is not None
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
    return rows


def _write(folder: Path, rows: Sequence[TrialRow], found: dict, recipe: str) -> None:
    """Aside, then renamed: the folder is whole or not there."""
    with written_aside(folder, TUNED) as aside:
        (aside / "settings.json").write_text(json.dumps(found, indent=1) + "\n")
        with (aside / "trials.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            second = [name for name in SECOND if any(name in row.point for row in rows)]
            columns = ["matching", "depth", "optimizer", "lr", *second, "val_loss", "space"]
            writer.writerow(columns)
            writer.writerows([getattr(row, name) for name in columns] for row in rows)
        (aside / RECIPE).write_bytes(seals.sealed({"recipe": recipe, "files": seals.checksums(aside)}))
