"""The tunings of a `tune` stage, one for each run, in warm workers; what is done is kept until the stage ends."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from howdeep.cluster.address import Address
from howdeep.cluster.elsewhere import Elsewhere
from howdeep.cluster.pool import run_all
from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.processes import progress
from howdeep.processes.signals import stop_if_asked
from howdeep.processes.workers import cores
from howdeep.records.cell import Cell
from howdeep.records.provenance import commit
from howdeep.records.trials import Point, TrialRow
from howdeep.runs.examples import data_files, load_split
from howdeep.stages.outlook import Outlook
from howdeep.study import params
from howdeep.study.tuning import going_on, rungs
from howdeep.sweeping.outcomes import one_line
from howdeep.tracking.client import locate
from howdeep.tracking.parents import tracked_parent
from howdeep.tracking.store import Store
from howdeep.training.trial import Trial


@dataclass(frozen=True)
class Race:
    """The tuning of one run, whose trials race: after each share of the epochs the best third goes on.

    Args:
        cell, seed: of the run.
        configs: of the run, by the optimizer that it may get.
        points: what is tried, with each optimizer.
        shares: of the epochs of a run, after which trials are compared.
        keys: of the configs, the same ones under all matchings that come to the same network.
        code: a checksum of what tunes.
    """

    cell: Cell
    seed: int
    configs: dict[str, DictConfig]
    points: Sequence[tuple[str, Point]]
    shares: tuple[float, ...]
    keys: dict[str, str]
    code: str

    def __str__(self) -> str:
        return f"the tuning of {self.run}"

    @property
    def run(self) -> str:
        """The name of the run."""
        return self.cell.run_name(self.seed)

    @property
    def digest(self) -> str:
        """Another one wherever the numbers would be others: what was tuned before is not mixed with them."""
        parts = [self.points, self.shares, sorted(self.keys.items()), self.code]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def tried(
    name: str,
    races: Sequence[Race],
    before: Mapping[str, list[TrialRow]],
    finished: Path,
    project: Project,
    n_workers: int | None,
    scheduler: Address | None,
    outlook: Outlook,
) -> list[TrialRow]:
    """All trials of all races, run or known: from an earlier stage, or from one that was killed.

    Args:
        name: of the entry.
        races: the longest first.
        before: the trials of earlier races, by their digests.
        finished: where races are kept until the stage ends.
        scheduler: of other machines that do it.
        outlook: on the rest of the study.
    """
    done = {**before, **_finished(finished)}
    waiting = list({race.digest: race for race in races if race.digest not in done}.values())
    on_cpu = all(cfg.trainer.accelerator == "cpu" for race in races for cfg in race.configs.values())
    elsewhere = scheduler and Elsewhere(
        scheduler, project.root, partial(_reads, project=project), gpu=not on_cpu
    )
    workers, clock = (n_workers or cores()) if on_cpu else 1, time.perf_counter()
    finished.parent.mkdir(parents=True, exist_ok=True)
    with (
        finished.open("a") as file,
        tqdm(total=len(waiting), desc=f"tune {name}", unit="run", disable=None, leave=False) as bar,
    ):
        for race, rows in run_all(partial(_run, name, project=project), waiting, workers, elsewhere):
            done[race.digest] = rows
            file.write(json.dumps({"race": race.digest, "rows": [vars(row) for row in rows]}) + "\n")
            file.flush()
            bar.set_postfix_str(outlook.told(bar.n + 1, len(waiting)), refresh=False)
            bar.update()
    rows = [replace(row, matching=race.cell.matching) for race in races for row in done[race.digest]]
    progress.say(_told(name, rows, len(waiting), time.perf_counter() - clock) + outlook.end(len(waiting)))
    return rows


def _reads(race: Race, project: Project) -> list[Path]:
    return data_files(next(iter(race.configs.values())), project)


def _finished(path: Path) -> dict[str, list[TrialRow]]:
    """The races of a file, by their digests; a line that is not whole was cut off by a kill."""
    found: dict[str, list[TrialRow]] = {}
    names = {of.name for of in fields(TrialRow)}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            content = json.loads(line)
            rows = [TrialRow(**row) for row in content["rows"] if set(row) == names]
            found[str(content["race"])] = rows
        except (ValueError, LookupError, TypeError, AttributeError):
            continue
    return found


def _told(name: str, rows: Sequence[TrialRow], raced: int, seconds: float) -> str:
    runs = len({row.run for row in rows})
    diverged = sum(row.last_loss is None for row in rows)
    told = f", {diverged} of {len(rows)} trials diverged" if diverged else ""
    return f"{name}: {raced} of {runs} tunings in {seconds:.1f} s{told}"


def _run(name: str, race: Race, project: Project) -> list[TrialRow]:
    """One race, by successive halving."""
    trials = [_trial(race.configs[optimizer], point, project) for optimizer, point in race.points]
    still, first, given = list(range(len(trials))), [], {}
    for epochs in rungs(race.shares, trials[0].cfg.trainer.max_epochs):
        for k in still:
            _train(name, race, trials[k], epochs)
            given[k] = epochs
        first = first or [trial.loss for trial in trials]
        still = [still[k] for k in going_on([trials[k].loss for k in still])]
    return [
        TrialRow(
            depth=race.cell.depth,
            matching=race.cell.matching,
            seed=race.seed,
            optimizer=optimizer,
            val_loss=first[k],
            epochs=given[k],
            last_loss=trials[k].loss,
            **point,
        )
        for k, (optimizer, point) in enumerate(race.points)
    ]


def _trial(base: DictConfig, point: Point, project: Project) -> Trial:
    cfg = base.copy()
    for setting, value in point.items():
        OmegaConf.update(cfg, f"optimizer.{setting}", value)
    return Trial(cfg, load_split(cfg, project))


def _train(name: str, race: Race, trial: Trial, epochs: int) -> None:
    """
    Raises:
        UserError: what the trial failed of, and every other would; when the cause is mended, the stage goes on.
    """
    try:
        trial.train(epochs)
    except Exception as error:
        stop_if_asked()
        raise UserError(
            f"a trial of {name} with lr={trial.cfg.optimizer.lr:g} at {race.cell.name} failed: {one_line(error)}: mend "
            f"that, then `dvc repro tune@{name}`"
        ) from error


def track(plan: params.Study, name: str, folder: Path, races: Sequence[Race], project: Project) -> None:
    """Puts trials and settings beside the entry's runs in MLflow, as artifacts of their parent."""
    uri = next(iter(races[0].configs.values())).tracking.uri
    if uri:
        store = Store(locate(uri, project.root), plan.name, project.root)
        with tracked_parent(store, name, commit(project.root)) as parent:
            if parent is not None:
                store.log_path(parent, folder, "tuning")
