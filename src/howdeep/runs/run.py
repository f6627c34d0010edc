"""One run from config to record: data, key, training, tracking, provenance, folder."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import orjson
from omegaconf import DictConfig
from pytorch_lightning import Callback, LightningModule, Trainer

from howdeep.diagnostics.history import History
from howdeep.errors import UserError
from howdeep.files import reading
from howdeep.files.folders import RUN, check_free, written_aside
from howdeep.files.project import Project
from howdeep.files.writing import write_json
from howdeep.processes import progress, signals
from howdeep.processes.locks import only_writer
from howdeep.records import provenance
from howdeep.records.fingerprint import run_key, settings
from howdeep.records.record import (
    copy_record,
    describe,
    module_name,
    read_record,
    results_of,
    write_record,
)
from howdeep.runs.examples import load_split, prepared_card, train_checksum
from howdeep.sweeping.outcomes import Pruned
from howdeep.tracking.open_runs import TrackedRun
from howdeep.tracking.store import Store
from howdeep.tracking.words import TrialOf
from howdeep.training.resume import check
from howdeep.training.run import train

Rows = list[dict[str, float]]  # of a run, one for each epoch
Listener = Callable[[Rows], None]
Training = Callable[[Sequence[Listener]], dict]  # gives the record, as written
Place = Callable[["Job", dict, Project], Training]  # of a run and what its record begins with


@dataclass(frozen=True)
class Job:
    """A run to do: its config, the folder for its record, and the study's entry that it belongs to.

    Where its tuning has several settings to offer, `otherwise` is the same run with the next best, which is done in its
    place if it diverges; `before` has the keys of those that were done in vain by then.
    """

    cfg: DictConfig
    key: str
    folder: Path
    entry: str | None = None
    parent: str | None = None  # the MLflow run it is nested under
    trial: TrialOf | None = None  # where a sweep started it
    otherwise: "Job | None" = None
    before: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{module_name(self.cfg.model)} depth {self.cfg.model.depth}, seed {self.cfg.seed}"

    def resume_point(self, project: Project) -> Path:
        """The checkpoint from which the run goes on if it is killed."""
        return project.scratch / f"{self.key}.ckpt"


def job_of(
    cfg: DictConfig,
    folder: Path,
    project: Project,
    *,
    entry: str | None = None,
    parent: str | None = None,
    trial: TrialOf | None = None,
) -> Job:
    """The job of a composed config; its key is computed from config, prepared data and code."""
    return Job(cfg, run_key(cfg, train_checksum(cfg, project)), folder, entry, parent, trial)


def in_turn(jobs: Sequence[Job]) -> Job:
    """The first of these jobs for one run, each of which has the next one to fall back upon."""
    found, before = None, [job.key for job in jobs]
    for rank, job in reversed(list(enumerate(jobs))):
        found = replace(job, otherwise=found, before=tuple(before[:rank]))
    assert found is not None
    return found


def repeat(job: Job, of: Job, project: Project) -> dict:
    """Gives a run the outcome of another that computes the same, under its own name: nothing is trained twice.

    Args:
        job: the run.
        of: the other, whose record is there.

    Returns:
        The record, as written.
    """
    record = read_record(of.folder)
    while record["key"] != of.key:
        assert job.otherwise is not None
        assert of.otherwise is not None
        job, of = job.otherwise, of.otherwise
    own = describe(
        job.cfg,
        key=job.key,
        entry=job.entry,
        checksum=record["data_checksum"],
        config=settings(job.cfg),
    )
    trace = project.provenance / f"{of.key}.json"
    if trace.exists():
        write_json(project.provenance / f"{job.key}.json", reading.json_map(trace, "delete it"))
    before = {"diverged_before": list(job.before)} if job.before else {}
    return copy_record(of.folder, job.folder, {**record, **own, **before})


class Epochs(Callback):
    """Tells listeners of the epochs so far, after each; the newest may still grow."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.listeners = listeners

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rows = next(c for c in trainer.callbacks if isinstance(c, History)).epochs  # type: ignore[attr-defined]
        for listener in self.listeners:
            listener(rows)


class LiveCurves:
    """Sends the epochs to MLflow as they come; the newest stays behind."""

    def __init__(self, run: TrackedRun) -> None:
        self.run = run
        self.rows: Rows = []

    def __call__(self, rows: Rows) -> None:
        self.rows = rows
        self.run.log_epochs(self.rows[:-1])


@contextmanager
def tracked(store: Store | None, job: Job, record: dict, project: Project) -> Iterator[LiveCurves | None]:
    """The run's place in MLflow while it trains; ends it as KILLED or FAILED if the training does not end."""
    if store is None:
        yield None
        return
    about, card = provenance.commit(project.root), prepared_card(job.cfg, project)
    live = LiveCurves(store.start(record, parent=job.parent, about=about, dataset=card, trial=job.trial))
    try:
        yield live
    except BaseException as error:
        live.run.abort(signals.stopping() or error, live.rows)
        raise


@contextmanager
def _forgotten_if_pruned(resume_point: Path) -> Iterator[None]:
    """A pruned run does not go on; with the same settings it starts anew."""
    try:
        yield
    except Pruned:
        resume_point.unlink(missing_ok=True)
        raise


def _where_to_go_on(job: Job, resume_point: Path, identity: dict) -> Path | None:
    """The checkpoint from which a run goes on; its own one, if that was spoiled, is as good as none."""
    if job.cfg.resume:
        return Path(job.cfg.resume)
    if not resume_point.exists():
        return None
    try:
        check(resume_point, identity)
    except UserError as error:
        resume_point.unlink()
        progress.say(f"{job} starts from its beginning: {error}")
        return None
    return resume_point


def execute(
    job: Job,
    project: Project,
    store: Store | None,
    *,
    callbacks: Sequence[Callback] = (),
    listeners: Sequence[Listener] = (),
    done: Callable[[], Path | None] = lambda: None,
    away: Place | None = None,
) -> dict:
    """Trains a run and writes its record, its provenance and its MLflow run; goes on where a killed one stopped.

    Where it diverges and has another job to fall back upon, that one is done: its record takes the place of this one.

    A second process that trains the same run waits until the first has ended: both have one checkpoint.

    Args:
        callbacks: of its training.
        listeners: told of its epochs as they come; what one raises ends it.
        done: called before training, gives the folder of a whole record with the same key; then nothing is trained.
        away: trains it, with listeners and without callbacks, on another machine; None: it is trained here.

    Returns:
        The record, as written.

    Raises:
        UserError: a config that cannot be trained, or somebody else's files where its record goes.
        Pruned: a listener ended the run; it leaves no record.
    """
    what = f"the run {job.key} ({job})"
    place = away or partial(_here, callbacks)
    with only_writer(project.lock("run", job.key), what, seconds=None):
        found = done()
        record = (
            _again(job, found, project, store) if found else _execute(job, project, store, listeners, place)
        )
    if record["state"] == "finished" or job.otherwise is None:
        return record
    following = replace(job.otherwise, parent=job.parent, trial=job.trial)
    return execute(following, project, store, callbacks=callbacks, listeners=listeners, away=away)


def train_alone(job: Job, project: Project, listeners: Sequence[Listener] = ()) -> dict:
    """As `execute`, on a machine that has no part in the tracking."""
    return execute(job, project, None, listeners=listeners)


def received(job: Job, files: Mapping[Path, bytes], project: Project, folder: Path | None = None) -> None:
    """Writes what `train_alone` has made elsewhere: the run's folder, whole, and where it was trained.

    Args:
        folder: of the run there; None: the same.
    """
    with written_aside(job.folder, RUN) as aside:
        for path, content in files.items():
            if path.parent == (folder or job.folder):
                (aside / path.name).write_bytes(content)
    for path, content in files.items():
        if path.parent == project.provenance:
            write_json(path, orjson.loads(content) | provenance.commit(project.root))


def _again(job: Job, found: Path, project: Project, store: Store | None) -> dict:
    """Gives a run the record of another with the same key, and MLflow a run of its own."""
    record = repeat(job, replace(job, folder=found), project)
    with tracked(store, job, record, project) as live:
        if live:
            live.run.end(record, None)  # it took no time
    job.resume_point(project).unlink(missing_ok=True)  # of a run that was killed once its record was written
    return record


def _execute(
    job: Job, project: Project, store: Store | None, listeners: Sequence[Listener], place: Place
) -> dict:
    check_free(job.folder, RUN)
    record, resume_point = _described(job, project), job.resume_point(project)
    training = place(job, record, project)
    with tracked(store, job, record, project) as live, _forgotten_if_pruned(resume_point):
        record = training([*([live] if live else []), *listeners])
        if live:
            live.run.end(record, reading.json_map(project.provenance / f"{job.key}.json", "delete it"))
    resume_point.unlink(missing_ok=True)
    return record


def _described(job: Job, project: Project) -> dict:
    """The record of a run before it is trained."""
    checksum = train_checksum(job.cfg, project)
    record = describe(job.cfg, key=job.key, entry=job.entry, checksum=checksum, config=settings(job.cfg))
    return record | ({"diverged_before": list(job.before)} if job.before else {})


def _here(callbacks: Sequence[Callback], job: Job, record: dict, project: Project) -> Training:
    """The training of a run in this process, with what it needs read and checked."""
    cfg, started, clock = job.cfg, datetime.now(UTC), time.perf_counter()
    split = load_split(cfg, project)
    identity = {name: record[name] for name in ("model", "data", "depth", "seed", "key")}
    resume_point = job.resume_point(project)
    resume = _where_to_go_on(job, resume_point, identity)

    def training(listeners: Sequence[Listener]) -> dict:
        outcome = train(
            cfg,
            split,
            resume_point=resume_point,
            identity=identity,
            resume=resume,
            callbacks=[Epochs(listeners), *callbacks],
        )
        trace = {
            "started": started.isoformat(timespec="seconds"),
            "train_seconds": time.perf_counter() - clock,
            "resumed": resume is not None,
            "memory_mb": provenance.peak_memory_mb(),
            **provenance.commit(project.root),
            **provenance.machine(),
            "packages": provenance.packages(),
        }
        written = write_record(job.folder, record | results_of(outcome), outcome.weights, outcome.artifacts)
        trace["seconds"] = time.perf_counter() - clock
        write_json(project.provenance / f"{job.key}.json", trace)
        return written

    return training
