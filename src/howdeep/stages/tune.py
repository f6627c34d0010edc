"""The `tune` stage of one entry: the optimizer and its settings of each run, by as many trials for all."""

import csv
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import howdeep.study.tuning
import howdeep.training
from howdeep.cluster import address
from howdeep.errors import UserError
from howdeep.files import reading, seals
from howdeep.files.folders import TUNED, written_aside
from howdeep.files.project import Project
from howdeep.processes.dvc import forced
from howdeep.records.cell import Cell
from howdeep.records.fingerprint import checksum, numbers_key, run_key
from howdeep.records.trials import SECOND, TrialRow, trials_of
from howdeep.runs.examples import ensure_prepared, train_checksum
from howdeep.stages.plan import configs
from howdeep.study import params
from howdeep.study.seeds import of_seed
from howdeep.study.tuning import by_run, not_tuned, points, settings

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from howdeep.stages.tune_trials import Race

RECIPE = "recipe.json"  # by which a stage sees that what it would tune is there


class Tuned:
    """The settings that the tuning of an entry found for its runs.

    Raises:
        UserError: their file cannot be read.
    """

    def __init__(self, entry: params.Entry, project: Project) -> None:
        self.entry, self.path = entry, project.tuned / entry.name / "settings.json"
        self._again = f"delete its folder, then `dvc repro tune@{entry.name}`"
        asked = entry.tuning is not None and self.path.exists()
        self._found = reading.json_map(self.path, self._again) if asked else {}

    def overrides(self, cell: Cell, seed: int) -> list[list[str]]:
        """What a run is trained with, and what after that if it diverges; nothing to override if nothing is tuned.

        Raises:
            UserError: it was not tuned yet, or the file holds what no tuning writes.
        """
        entry, run = self.entry, cell.run_name(seed)
        if entry.tuning is None:
            return [[]]
        setting = self._found.get(run, {})
        if not setting.get("overrides"):
            raise UserError(
                f"expected the tuned setting of {entry.name} at {run} in {os.path.relpath(self.path)}, found none: "
                f"run `dvc repro tune@{entry.name}`, or set `tune: null` in params.yaml"
            )
        all_ = [setting["overrides"], *setting.get("seconds", ())]
        for overrides in all_:
            if (wrong := not_tuned(overrides, entry.tuning.optimizers)) is not None:
                raise UserError(
                    f"{os.path.relpath(self.path)} must give {entry.name} at {run} one of its tuned optimizers and "
                    f"that one's lr, {' or '.join(SECOND)}, all finite numbers, got {wrong!r}: {self._again}"
                )
        return all_


def tune_entry(name: str, project: Project, n_workers: int | None = None) -> list[TrialRow]:
    """Tries as many points with every optimizer for every run; writes trials and settings.

    A killed stage goes on where it stopped. What was tuned as it would be now is kept, run by run, unless `dvc repro
    --force` started the stage.

    Returns:
        All trials.
    """
    plan = params.read(project.params)
    entry = plan.entry(name)
    folder = project.tuned / name
    found = dict(_of_runs(plan, entry, project))
    for _, _, cfg in found.values():
        ensure_prepared(cfg.data, project)
    keys = _keys(found, project)  # by which DVC sees whether an entry must be trained again
    recipe = _recipe(entry.tuning, keys)
    if entry.tuning is None:
        _write(folder, [], {run: {"overrides": [], "key": of[""]} for run, of in keys.items()}, recipe, {})
        print(f"{name}: no tuning is asked for", file=sys.stderr)
        return []
    from howdeep.processes import progress  # which import torch
    from howdeep.stages import tune_trials
    from howdeep.stages.outlook import Outlook

    finished = project.scratch / "tuning" / f"{name}.jsonl"
    if _is_kept(folder, recipe) and not forced():
        progress.say(f"{name}: its tuning is kept")
    else:
        races = _races(entry, found, project)
        before = {} if forced() else _before(name, project)
        outlook = Outlook("tune", name, plan, project)
        scheduler = address.found(plan.cluster)
        rows = tune_trials.tried(name, races, before, finished, project, n_workers, scheduler, outlook)
        rows.sort(key=_order(entry))
        tuned = settings(rows)
        for run, setting in tuned.items():
            setting["key"] = keys[run][setting["overrides"][0].partition("=")[2]]
        digests = {race.run: race.digest for race in races}
        _write(folder, rows, tuned, recipe, digests)
        tune_trials.track(plan, name, folder, races, project)
    finished.unlink(missing_ok=True)
    return trials_of(name, project)


def check_current(plan: params.Study, entry: params.Entry, project: Project) -> None:
    """Refuses settings that were tuned for other networks, data or code than those of now, or were spoiled since.

    Raises:
        UserError: there are none that are right.
    """
    recipe = _recipe(entry.tuning, _keys(dict(_of_runs(plan, entry, project)), project))
    if entry.tuning is not None and not _is_kept(project.tuned / entry.name, recipe):
        raise UserError(
            f"expected tuned/{entry.name} to hold settings that were tuned as {entry.name} is now, found others: run "
            f"`dvc repro tune@{entry.name}`"
        )


Run = tuple[Cell, int, "DictConfig"]  # with its seed, and its config with an optimizer


def _of_runs(
    plan: params.Study, entry: params.Entry, project: Project
) -> Iterator[tuple[tuple[str, str], Run]]:
    """The config of each run with each optimizer, with the defaults of conf/; deepest first."""
    for (cell, optimizer), cfg in configs(plan, entry, project).items():
        for seed in entry.seeds:
            yield (cell.run_name(seed), optimizer), (cell, seed, of_seed(cfg, seed, plan.split))


def _keys(found: Mapping[tuple[str, str], Run], project: Project) -> dict[str, dict[str, str]]:
    """The key that each run with each optimizer would have."""
    keys: dict[str, dict[str, str]] = {}
    for (run, optimizer), (_, _, cfg) in found.items():
        keys.setdefault(run, {})[optimizer] = run_key(cfg, train_checksum(cfg, project))
    return keys


def _recipe(tuning: params.Tuning | None, keys: dict[str, dict[str, str]]) -> str:
    """A digest of all that the settings of an entry are a function of."""
    parts = [tuning and asdict(tuning), keys, _code()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _code() -> str:
    """A checksum of what tunes, beside what trains."""
    here, training = Path(__file__), Path(howdeep.training.__file__)
    tunes = (here, here.with_name("tune_trials.py"), Path(howdeep.study.tuning.__file__))
    return checksum([*tunes, training.with_name("trial.py")])


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


def _before(name: str, project: Project) -> dict[str, list[TrialRow]]:
    """The trials of earlier tunings of an entry, by the digest of the race, as far as they are as they were written."""
    try:
        digests = reading.json_map(project.tuned / name / RECIPE, "").get("races", {})
        rows = by_run(trials_of(name, project))
    except (UserError, OSError):
        return {}
    return {digest: rows[run] for run, digest in digests.items() if run in rows}


def _races(entry: params.Entry, found: Mapping[tuple[str, str], Run], project: Project) -> list["Race"]:
    """The tuning of each run, the deepest first: the longest must not come last."""
    from howdeep.stages.tune_trials import Race

    assert entry.tuning is not None
    tuning, races = entry.tuning, {}
    for (run, optimizer), (cell, seed, cfg) in found.items():
        if run not in races:
            tried = [
                (name, point)
                for name, (low, high) in tuning.optimizers.items()
                for point in points(name, low, high, tuning.trials, seed)
            ]
            races[run] = Race(cell, seed, {}, tried, tuning.epochs, {}, _code())
        races[run].configs[optimizer] = cfg
        races[run].keys[optimizer] = numbers_key(cfg, train_checksum(cfg, project))
    return list(races.values())


def _order(entry: params.Entry) -> Callable[[TrialRow], tuple]:
    """The order in which trials are written."""
    assert entry.tuning is not None
    optimizers, matchings = list(entry.tuning.optimizers), entry.matchings
    return lambda row: (
        matchings.index(row.matching),
        row.depth,
        entry.seeds.index(row.seed),
        optimizers.index(row.optimizer),
        row.lr,
    )


def _write(
    folder: Path, rows: Sequence[TrialRow], found: dict, recipe: str, races: Mapping[str, str]
) -> None:
    """Aside, then renamed: the folder is whole or not there."""
    with written_aside(folder, TUNED) as aside:
        (aside / "settings.json").write_text(json.dumps(found, indent=1) + "\n")
        with (aside / "trials.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            second = [name for name in SECOND if any(name in row.point for row in rows)]
            columns = [
                "matching",
                "depth",
                "seed",
                "optimizer",
                "lr",
                *second,
                "val_loss",
                "epochs",
                "last_loss",
            ]
            writer.writerow(columns)
            writer.writerows([getattr(row, name) for name in columns] for row in rows)
        (aside / RECIPE).write_bytes(
            seals.sealed({"recipe": recipe, "races": dict(races), "files": seals.checksums(aside)})
        )
