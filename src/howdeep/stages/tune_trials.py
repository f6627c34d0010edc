"""The trials of a `tune` stage: short trainings in warm workers, kept in an Optuna journal until the stage ends."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.processes.signals import stop_if_asked
from howdeep.records.fingerprint import run_key
from howdeep.records.provenance import commit
from howdeep.records.trials import Point, TrialRow
from howdeep.runs.examples import load_split, train_checksum
from howdeep.stages.plan import Setting
from howdeep.study import params
from howdeep.sweeping.outcomes import Hopeless, one_line
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.pool import run
from howdeep.sweeping.space import Choice, Space, overrides
from howdeep.sweeping.study import Trial
from howdeep.sweeping.told import Progress
from howdeep.tracking.client import locate
from howdeep.tracking.store import Store, tracked_parent
from howdeep.training.run import train

NEVER = 1e9  # seconds


@dataclass(frozen=True)
class Points(Space):
    """A space of which these points alone are tried, by the names of its dimensions."""

    points: Sequence[Mapping[str, float]] = ()

    @classmethod
    def of(cls, points: Sequence[Point]) -> "Points":
        keyed = [{_key(name): value for name, value in point.items()} for point in points]
        values = {name: tuple(dict.fromkeys(point[name] for point in keyed)) for name in keyed[0]}
        return cls({name: Choice(own) for name, own in values.items()}, points=keyed)

    def grid(self) -> Iterator[dict[str, float]]:
        return (dict(point) for point in self.points)

    @property
    def fingerprint(self) -> str:
        """Eight characters, others wherever a point is another."""
        return hashlib.sha256(json.dumps(self.points).encode()).hexdigest()[:8]


def _key(name: str) -> str:
    return f"optimizer.{name}"


class Diverged(Exception):
    """A trial whose loss is no longer a number: as bad as a trial can be, and no reason to stop."""


def track(
    plan: params.Study, name: str, folder: Path, bases: Mapping[Setting, DictConfig], project: Project
) -> None:
    """Puts trials and settings beside the entry's runs in MLflow, as artifacts of their parent."""
    uri = next(iter(bases.values())).tracking.uri
    if uri:
        store = Store(locate(uri, project.root), plan.name, project.root)
        with tracked_parent(store, name, commit(project.root)) as parent:
            if parent is not None:
                store.log_path(parent, folder, "tuning")


def of_trials(configs: Mapping[Setting, DictConfig], tuning: params.Tuning) -> dict[Setting, DictConfig]:
    """The same with the seed of trials, and as few epochs."""
    short = {}
    for setting, whole in configs.items():
        cfg = whole.copy()
        cfg.seed, cfg.checkpoint_seconds = tuning.seed, NEVER
        cfg.trainer.max_epochs = max(1, round(tuning.epochs * cfg.trainer.max_epochs))
        cfg.diagnostics.every = cfg.trainer.max_epochs
        short[setting] = cfg
    return short


def tried(
    name: str,
    bases: Mapping[Setting, DictConfig],
    points: Mapping[str, Sequence[Point]],
    space: str,
    journal: Path,
    project: Project,
    n_workers: int | None,
) -> list[TrialRow]:
    """The trials of one space, run or read from the journal.

    Args:
        points: what is tried with each optimizer, at every depth.
    """
    plans = {
        _study_name(setting, cfg, own, space, project): (setting, cfg, own)
        for setting, cfg in bases.items()
        for own in [Points.of(points[setting[1]])]
    }

    def objective(trial: Trial) -> float:
        try:
            return _best_loss(plans[trial.study.plan.study][1], trial.point, project)
        except Diverged:
            raise
        except Exception as error:
            stop_if_asked()
            # Every other trial would fail so. This one does not count: when the cause is mended it is run again.
            tried_with = " ".join(overrides(trial.point))
            raise Hopeless(f"a trial of {name} with {tried_with} failed: {one_line(error)}") from error

    studies = [
        Plan(study_name, own, len(own.points), sampler="grid") for study_name, (_, _, own) in plans.items()
    ]
    with Progress(studies, 0, name) as bar:
        results = run(studies, str(journal), objective, n_workers, told=bar, say=bar.say)
    for result in (result for own in results for result in own):
        if not result.values and not (result.reason or "").startswith(Diverged.__name__):
            tried_with = " ".join(overrides(result.point))
            raise UserError(
                f"a trial of {name} with {tried_with} failed: {result.reason}: mend that, delete {journal}, then "
                "`dvc repro` again"
            )
    return [
        TrialRow(
            depth=cell.depth,
            optimizer=optimizer,
            val_loss=result.values[0] if result.values else None,
            space=space,
            matching=cell.matching,
            **{name.removeprefix("optimizer."): value for name, value in result.point.items()},
        )
        for ((cell, optimizer), _, _), own in zip(plans.values(), results, strict=True)
        for result in own
    ]


def _study_name(setting: Setting, cfg: DictConfig, points: Points, space: str, project: Project) -> str:
    """Another one wherever points, config, data or code are others: what a killed stage left is not mixed with them."""
    cell, optimizer = setting
    return (
        f"{cell.name} {optimizer} {space} {points.fingerprint} {run_key(cfg, train_checksum(cfg, project))}"
    )


def _best_loss(base: DictConfig, point: Mapping[str, float], project: Project) -> float:
    cfg = base.copy()
    for name, value in point.items():
        OmegaConf.update(cfg, name, value)
    place = project.scratch / "tuning" / f"{os.getpid()}.ckpt"  # never written: trials are short
    outcome = train(cfg, load_split(cfg, project), resume_point=place, identity={})
    if outcome.state != "finished":
        raise Diverged(outcome.reason)
    return min(row["val/loss"] for row in outcome.history.epochs)
