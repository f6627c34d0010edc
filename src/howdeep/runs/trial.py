"""A training as a trial of a sweep: it reports its validation metric, may be pruned, and returns its objectives.

The config and the task know nothing of it, and its run key is the one that it has outside of a sweep. A worker of the
sweep sets the trial; in a job that a Hydra launcher started it comes from OPTUNA_STORAGE, OPTUNA_STUDY and
OPTUNA_TRIAL.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from howdeep.cluster.address import Unreachable
from howdeep.errors import UserError, near
from howdeep.files.project import Project
from howdeep.records.record import whole_record
from howdeep.runs import place
from howdeep.runs.common import check_fits
from howdeep.runs.examples import ensure_prepared
from howdeep.runs.nodes import on_nodes, scheduler
from howdeep.runs.run import Job, Rows, execute, job_of
from howdeep.sweeping.outcomes import Hopeless, Interrupted
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.pool import run_trial
from howdeep.sweeping.space import Space
from howdeep.sweeping.storage import Storage
from howdeep.sweeping.study import OBJECTIVES, SETTING, SPACE, Study, Trial
from howdeep.tracking.store import Store, store_of
from howdeep.tracking.words import STUDY, TrialOf

ENVIRONMENT = ("OPTUNA_STORAGE", "OPTUNA_STUDY", "OPTUNA_TRIAL")
COSTS = ("parameters", "training_flops")


@dataclass
class Running:
    """The trial that this process is training, and where its MLflow run belongs."""

    trial: Trial
    store: Store | None
    parent: str | None


_running: Running | None = None


@contextmanager
def attached(running: Running) -> Iterator[None]:
    """What is trained inside is this trial."""
    global _running
    _running = running
    try:
        yield
    finally:
        _running = None


def is_trial() -> bool:
    """Whether what this process trains is a trial."""
    return _running is not None or all(name in os.environ for name in ENVIRONMENT)


def train_trial(cfg: DictConfig, composed: DictConfig, here: Project) -> list[float] | None:
    """Trains a resolved config as the trial that it is; what `howdeep train` does with it inside a sweep.

    Args:
        cfg: the config.
        composed: the same before it was resolved.
        here: the project.

    Returns:
        The value of each objective; None in a launcher's job, which has told them to the storage.
    """
    if _running is not None:
        return train_in(here, cfg, composed, _running)
    storage, name, number = (os.environ[name] for name in ENVIRONMENT)
    with closing(Storage(storage)) as opened:
        trial = opened.steadily(lambda: Study(_plan_of(opened, name), opened).open().adopt(int(number)))
        running = Running(trial, store := store_of(cfg, here), None)
        if store is not None and (found := store.find(howdeep__kind="sweep", **{STUDY: name})):
            running.parent = found[0].info.run_id

        def objective(trial: Trial) -> list[float]:
            check_fits(cfg, trial.study.plan, here)
            return train_in(here, cfg, composed, running)

        run_trial(trial, objective)
    return None


def _plan_of(storage: Storage, name: str) -> Plan:
    """What a launcher's job needs to know of a study: what is in the storage, and the pruner of its own config."""
    import optuna

    known = optuna.load_study(study_name=name, storage=storage.optuna).user_attrs
    sweeper = HydraConfig.get().sweeper
    return Plan(
        name,
        Space.from_json(known[SPACE]),
        total=sweeper.n_trials,
        objectives=known[OBJECTIVES],
        pruner=sweeper.pruner,
        pruner_options=sweeper.pruner_options or {},
        setting=known[SETTING],
    )


def train_in(here: Project, cfg: DictConfig, composed: DictConfig, running: Running) -> list[float]:
    """Trains a resolved config as a trial, with its record in the folder that Hydra gives it.

    Returns:
        The value of each objective.

    Raises:
        UserError: the config cannot be trained, or the run diverged.
        Pruned: others were better.
        Hopeless: an objective that no run has, or a folder that has another run.
    """
    trial = running.trial
    ensure_prepared(cfg.data, here)
    objectives = trial.study.plan.objectives
    of = TrialOf(trial.study.plan.study, trial.number, trial.replaces)
    job = job_of(cfg, place.folder(), here, parent=running.parent, trial=of)
    with place.of_its_own(job, composed, here):
        try:
            record = execute(
                job,
                here,
                running.store,
                listeners=[Watch(trial, list(objectives))],
                done=lambda: _done(trial, job),
                away=on_nodes(scheduler(HydraConfig.get(), here), job),
            )
        except Unreachable as error:
            raise Interrupted(str(error)) from error
    if record["state"] != "finished":
        raise UserError(record["reason"])
    return objective_values(record, objectives)


def _done(trial: Trial, job: Job) -> Path | None:
    """The run of an earlier trial that has tried the same, if its record lies here: equal keys give equal bits."""
    for other in trial.equals():
        folder = job.folder.parents[1] / str(other.number) / job.folder.name
        if (record := whole_record(folder)) and record["key"] == job.key:
            trial.repeat(other)
            return folder
    return None


class Watch:
    """Hears of the epochs and reports the first objective of each, which may prune the trial.

    Raises:
        Hopeless: an objective that no run has.
    """

    def __init__(self, trial: Trial, objectives: list[str]) -> None:
        self.trial, self.objectives = trial, objectives
        self._sent = 0

    def __call__(self, rows: Rows) -> None:
        if self._sent == 0:
            self._check(rows[-1])
        fresh = rows[
            self._sent :
        ]  # several of a resumed run; none of one that began once more on another node
        self._sent += len(fresh)
        for row in fresh:
            if (value := row.get(self.objectives[0])) is not None:
                self.trial.report(int(row["epoch"]), value)

    def _check(self, row: Mapping[str, float]) -> None:
        measured = [name for name in row if name.startswith(("train/", "val/"))]
        gaps = [f"gap/{name.removeprefix('val/')}" for name in measured if name.startswith("val/")]
        known = [*measured, *gaps, *COSTS]
        for name in self.objectives:
            if name not in known:
                raise Hopeless(f"no run logs the objective '{name}'{near(name, known)}")
        if self.trial.study.plan.pruner != "none" and self.objectives[0] not in measured:
            raise Hopeless(
                f"the pruner {self.trial.study.plan.pruner} needs an objective that is measured after each epoch, such "
                f"as val/loss, got {self.objectives[0]}: pruner=none"
            )


def objective_values(record: dict, objectives: Mapping[str, str]) -> list[float]:
    """The objectives of a finished run, all in the epoch in which the first of them is best.

    Args:
        record: of a finished run.
        objectives: the direction of each by its name: a column of the epochs such as 'val/loss', a gap of the best
            weights such as 'gap/loss', or a cost such as 'training_flops' (for each example and step).

    Raises:
        UserError: one of them is no finite number, which a record tells by null.
    """
    first, direction = next(iter(objectives.items()))
    rows = record["epochs"]
    measured = [row for row in rows if row.get(first) is not None]
    sign = 1 if direction == "minimize" else -1
    best = min(measured, key=lambda row: sign * row[first]) if measured else rows[record["best_epoch"]]

    def value(name: str) -> float:
        if name in record["cost"]:
            return record["cost"][name]
        return record["gap"]["best"][name.removeprefix("gap/")] if name.startswith("gap/") else best[name]

    values = {name: value(name) for name in objectives}
    if lacking := [name for name, of in values.items() if of is None]:
        raise UserError(f"{', '.join(lacking)} became no finite number")
    return [float(of) for of in values.values()]
