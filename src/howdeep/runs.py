"""One run from config to record: data, key, training, tracking, provenance, folder."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule, Trainer

from howdeep import provenance, records
from howdeep.fingerprint import run_key, settings
from howdeep.prepare import load_split, prepared_card, train_checksum
from howdeep.project import Project
from howdeep.tracking import Store, TrackedRun
from howdeep.training.history import History
from howdeep.training.run import train


@dataclass(frozen=True)
class Job:
    """A run to do: its config, the folder for its record, and the study's entry that it belongs to."""

    cfg: DictConfig
    key: str
    folder: Path
    entry: str | None = None
    parent: str | None = None  # the MLflow run it is nested under

    def __str__(self) -> str:
        return f"{records.module_name(self.cfg.model)} depth {self.cfg.model.depth}, seed {self.cfg.seed}"


def job(
    cfg: DictConfig, folder: Path, project: Project, *, entry: str | None = None, parent: str | None = None
) -> Job:
    """The job of a composed config; its key is computed from config, prepared data and code."""
    return Job(cfg, run_key(cfg, train_checksum(cfg, project)), folder, entry, parent)


class LiveCurves(Callback):
    """Sends the epochs to MLflow as they come; the newest stays behind, since it may still grow."""

    def __init__(self, run: TrackedRun) -> None:
        self.run = run
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.rows = next(c for c in trainer.callbacks if isinstance(c, History)).epochs  # type: ignore[attr-defined]
        self.run.log_epochs(self.rows[:-1])


def execute(job: Job, project: Project, store: Store | None, callbacks: Sequence[Callback] = ()) -> dict:
    """Trains a run and writes its record, its MLflow run and its provenance; goes on where a killed one stopped.

    Returns:
        The record, as written.

    Raises:
        UserError: a config that cannot be trained.
    """
    cfg, started = job.cfg, datetime.now(UTC)
    clock = time.perf_counter()
    split, checksum = load_split(cfg, project), train_checksum(cfg, project)
    record = records.describe(cfg, key=job.key, entry=job.entry, checksum=checksum, config=settings(cfg))
    identity = {name: record[name] for name in ("model", "data", "depth", "seed", "key")}
    about = provenance.commit(project.root)
    tracked = live = None
    if store is not None:
        card = prepared_card(cfg, project)
        tracked = store.start(record, parent=job.parent, about=about, dataset=card)
        live = LiveCurves(tracked)
    resume_point = project.scratch / f"{job.key}.ckpt"
    resume_point.parent.mkdir(parents=True, exist_ok=True)
    own = resume_point if resume_point.exists() else None
    try:
        clock_training = time.perf_counter()
        outcome = train(
            cfg,
            split,
            resume_point=resume_point,
            identity=identity,
            resume=Path(cfg.resume) if cfg.resume else own,
            callbacks=[*callbacks, *([live] if live else [])],
        )
        training_seconds = time.perf_counter() - clock_training
        record |= {
            "state": outcome.state,
            "reason": outcome.reason,
            "best_epoch": outcome.best_epoch,
            "epochs": outcome.history.epochs,
            "gap": outcome.gap,
            "gradient_flow": outcome.history.gradient_flow,
            "cost": outcome.cost,
        }
        record = records.finite(record)
        trace = {
            "seconds": time.perf_counter() - clock,
            "train_seconds": training_seconds,
            "memory_mb": provenance.peak_memory_mb(),
            "resumed": own is not None or cfg.resume is not None,
            "started": started.isoformat(timespec="seconds"),
            **about,
            **provenance.machine(),
            "packages": provenance.packages(),
        }
        records.write_json(project.provenance / f"{job.key}.json", trace)
        if tracked:
            tracked.end(record, trace)
        records.write(job.folder, record, outcome.weights)
    except BaseException as error:
        if tracked:
            tracked.abort(error, live.rows if live else [])
        raise
    resume_point.unlink(missing_ok=True)
    return record
