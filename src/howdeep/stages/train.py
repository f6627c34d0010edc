"""The `train` stage of one entry: trains the runs that are missing, removes those that are stale."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tqdm import tqdm

from howdeep.cluster import address
from howdeep.cluster.elsewhere import Elsewhere
from howdeep.cluster.pool import run_all
from howdeep.files.folders import RUN, check_free, clear_asides, is_ours, remove
from howdeep.files.project import Project
from howdeep.processes import progress
from howdeep.processes.dvc import forced
from howdeep.processes.workers import cores
from howdeep.records.fingerprint import numbers_key
from howdeep.records.provenance import commit
from howdeep.records.record import read_record, whole_record
from howdeep.runs.examples import data_files, ensure_prepared, load_split, train_checksum
from howdeep.runs.run import Job, execute, in_turn, job_of, received, repeat, train_alone
from howdeep.stages.described import describe, describe_claims
from howdeep.stages.outlook import Outlook
from howdeep.stages.synchronise import (
    lacking_in_mlflow,
    left,
    log_best_model,
    log_best_models,
    rebuild,
)
from howdeep.stages.tune import Tuned, check_current
from howdeep.study import params
from howdeep.study.composition import Compositions
from howdeep.study.seeds import of_seed
from howdeep.tracking.client import locate
from howdeep.tracking.parents import tracked_parent
from howdeep.tracking.store import Store
from howdeep.training.run import prepare_task

# As `records.Cell` names the folder of a run.
RUN_NAME = re.compile(r"(matching=\w+-)?depth=\d+-seed=\d+")


def train_entry(name: str, project: Project, n_workers: int | None = None) -> list[dict]:
    """Brings the runs of an entry of params.yaml up to date.

    Where matchings come to the same network, it is trained under the first of them, and the others get a copy. A run is
    kept if its record has the key that config, data and code give now, and neither the record nor a file
    beside it was spoiled since. A stage that `dvc repro --force` started trains all of them again, to the same bits. A
    run that is there stays until the one that takes its place is whole.

    Returns:
        The records of all runs of the entry.
    """
    plan = params.read(project.params)
    entry = plan.entry(name)
    folder = project.runs / name
    jobs, store = _plan(plan, entry, project)
    for place in (folder, project.scratch):
        clear_asides(place)
    for job in jobs:
        check_free(job.folder, RUN)
    wanted = {job.folder for job in jobs}
    again = forced()
    kept = set() if again else {job.folder for job in jobs if _is_done(job)}
    missing = [job for job in jobs if job.folder not in kept]
    stale = [path for path in folder.glob("*") if path not in kept]
    for job in jobs:
        if again or job.folder in kept:  # left by a stage that was killed just after the run
            job.resume_point(project).unlink(missing_ok=True)
    progress.say(f"{name}: {len(missing)} runs to train, {len(kept)} kept, {len(stale)} removed")
    lacking = lacking_in_mlflow([job.folder for job in jobs if job.folder in kept], store, name)
    if missing or lacking:
        with tracked_parent(store, name, commit(project.root)) as parent:
            if store and parent:
                for record in lacking:
                    rebuild(record, project, store, parent)
            if missing:
                nested = [replace(job, parent=parent) for job in missing]
                outlook = Outlook("train", name, plan, project)
                scheduler = address.found(plan.cluster)
                _train(nested, jobs, name, project, store, n_workers, scheduler, outlook)
    if store and not missing:  # a kill may have come before the models
        log_best_models([(folder, read_record(folder)) for folder in sorted(kept)], project, store)
    for path in (path for path in stale if path not in wanted):
        if RUN_NAME.fullmatch(path.name) and is_ours(path, RUN):
            remove(path, RUN, folder)
        else:
            progress.say(f"{name}: {path} is left alone, since howdeep did not make it")
    records = {job.folder: read_record(job.folder) for job in jobs}
    if store and missing:
        scores = {name: next(iter(records.values()))["score"]["name"]}
        if project.study:
            describe_claims(scores, [project], store, whole=False)
        else:
            describe(plan, scores, store)
    if store and (missing or stale):
        store.delete(left(store.find(howdeep__kind="run", howdeep__entry=name), records))
    return list(records.values())


def _is_done(job: Job | None) -> bool:
    """Whether the record of a run is what training it now would give, as it was written."""
    record = whole_record(job.folder) if job else None
    while job and record:
        if record["key"] == job.key:
            ended = record["state"] == "finished" or job.otherwise is None
            return ended and record.get("diverged_before", []) == list(job.before)
        job = job.otherwise
    return False


def _plan(plan: params.Study, entry: params.Entry, project: Project) -> tuple[list[Job], Store | None]:
    """The jobs of an entry, deepest first; each cell is composed once, and refused before anything is removed."""
    jobs: list[Job] = []
    store, compositions, tuned = None, Compositions(project.conf, project.compositions), Tuned(entry, project)
    for cell in plan.cells(entry):
        for rank, seed in enumerate(entry.seeds):
            folder = project.runs / entry.name / cell.run_name(seed)
            choices: list[Job] = []
            for overrides in tuned.overrides(cell, seed):
                cfg = of_seed(compositions.of(plan.overrides(entry, cell, overrides)), seed, plan.split)
                ensure_prepared(cfg.data, project)
                if not rank and not choices:
                    prepare_task(cfg)
                    load_split(cfg, project)
                choices.append(job_of(cfg, folder, project, entry=entry.name))
            jobs.append(in_turn(choices))
            uri = jobs[-1].cfg.tracking.uri
            store = Store(locate(uri, project.root), plan.name, project.root) if uri else None
    check_current(plan, entry, project)
    return jobs, store


@dataclass(frozen=True)
class Twin:
    """A run that computes the same as another one, which is trained before."""

    job: Job
    of: Job

    def __str__(self) -> str:
        return str(self.job)


def _twins(jobs: Sequence[Job], project: Project) -> dict[Path, Job]:
    """The earlier run that computes the same, by the folder of the later one."""
    firsts: dict[tuple[str, ...], Job] = {}
    found = {}
    for job in jobs:
        first = firsts.setdefault(_numbers(job, project), job)
        if first is not job:
            found[job.folder] = first
    return found


def _numbers(job: Job | None, project: Project) -> tuple[str, ...]:
    """What two runs share only if they compute the same, with their first settings and with those to fall back upon."""
    keys = []
    while job is not None:
        keys.append(numbers_key(job.cfg, train_checksum(job.cfg, project)))
        job = job.otherwise
    return tuple(keys)


@dataclass(frozen=True)
class Model:
    """The best model of a cell whose runs are all there: to log it is a job like a run."""

    folders: tuple[Path, ...]

    def __str__(self) -> str:
        return f"the best model of {self.folders[0].name} and its other seeds"


class Models:
    """The best models of an entry, to be logged by workers for which no run is left, while others still train.

    Args:
        jobs: all of the entry's.
        missing: those that are trained now.
    """

    def __init__(self, jobs: Sequence[Job], missing: Sequence[Job]) -> None:
        self._folders: dict[tuple[str, int], list[Path]] = {}
        for job in jobs:
            self._folders.setdefault(_cell(job), []).append(job.folder)
        self._left = {cell: sum(_cell(job) == cell for job in missing) for cell in self._folders}

    def complete(self) -> Iterator[Model]:
        """Those of cells of which no run is missing."""
        return (Model(tuple(self._folders[cell])) for cell, left in self._left.items() if not left)

    def after(self, job: Job | Twin | Model, _result: object) -> Iterator[Model]:
        """That of the cell whose last run has ended."""
        if isinstance(job, Twin):
            job = job.job
        if isinstance(job, Job):
            self._left[_cell(job)] -= 1
            if not self._left[_cell(job)]:
                yield Model(tuple(self._folders[_cell(job)]))


def _cell(job: Job) -> tuple[str, int]:
    return job.cfg.matching, job.cfg.model.depth


def _train(
    missing: Sequence[Job],
    jobs: Sequence[Job],
    name: str,
    project: Project,
    store: Store | None,
    n_workers: int | None,
    scheduler: address.Address | None,
    outlook: Outlook,
) -> None:
    """Trains what is missing in warm workers, and says how it goes; they log the best models too."""
    on_cpu = jobs[0].cfg.trainer.accelerator == "cpu"
    workers = (n_workers or cores()) if on_cpu else 1
    models, twins = Models(jobs, missing), _twins(jobs, project)
    waiting: dict[Path, list[Twin]] = {}  # by the folder of the run that they wait for
    for job in missing:
        if job.folder in twins:
            waiting.setdefault(twins[job.folder].folder, []).append(Twin(job, twins[job.folder]))
    trained = [job for job in missing if job.folder not in twins]
    ready = [
        twin
        for folder, own in waiting.items()
        if folder not in {job.folder for job in trained}
        for twin in own
    ]
    seconds, failed, clock = 0.0, 0, time.perf_counter()

    def work(job: Job | Twin | Model) -> dict | None:
        if isinstance(job, Job):
            return execute(job, project, store)
        if isinstance(job, Twin):
            record = repeat(job.job, job.of, project)
            if store:
                rebuild(record, project, store, job.job.parent)
            return record
        assert store is not None
        log_best_model(job.folders, project, store)

    def then(job: Job | Twin | Model, result: object) -> Iterator[Twin | Model]:
        if isinstance(job, Job):
            yield from waiting.get(job.folder, ())
        if store:
            yield from models.after(job, result)

    def arrived(job: Job, record: dict, files: Mapping[Path, bytes]) -> dict:
        received(job, files, project)
        if store:
            rebuild(record, project, store, job.parent)
        return record

    elsewhere = scheduler and Elsewhere(
        scheduler,
        project.root,
        reads=lambda job: data_files(job.cfg, project),
        work=partial(train_alone, project=project),
        takes=lambda job: isinstance(job, Job),
        arrived=arrived,
        gpu=not on_cpu,
    )
    everything = [*trained, *ready, *(models.complete() if store else ())]
    with tqdm(total=len(missing), desc=f"train {name}", unit="run", disable=None, leave=False) as bar:
        for job, record in run_all(work, everything, workers, elsewhere, then):
            if record is None:
                continue
            bar.set_postfix_str(outlook.told(bar.n + 1, len(missing)), refresh=False)
            bar.update()
            seconds = time.perf_counter() - clock
            if record["state"] == "diverged":
                failed += 1
                progress.say(f"{name}: {job} failed: {record['reason']}")
    told = f", {failed} failed" if failed else ""
    progress.say(f"{name}: {len(missing)} runs in {seconds:.1f} s{told}{outlook.end(len(missing))}")
