"""The `train` stage of one entry: trains the runs that are missing, removes those that are stale."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from howdeep import progress, records, runs, study
from howdeep.composition import Compositions
from howdeep.errors import UserError
from howdeep.prepare import ensure_prepared
from howdeep.project import Project
from howdeep.provenance import commit
from howdeep.synchronise import log_best_models, tracked_parent
from howdeep.tracking import Store, locate
from howdeep.training.run import prepare_task
from howdeep.tune_entry import tuned_overrides
from howdeep.workers import cores, run_all


def train_entry(name: str, project: Project, n_workers: int | None = None) -> list[dict]:
    """Brings the runs of an entry of params.yaml up to date.

    A run whose record has the key that config, data and code give now is kept. Started with nothing missing
    and nothing stale, the stage was forced: it trains all of it again, to the same bits.

    Returns:
        The records of all runs of the entry.
    """
    plan = study.read(project.params)
    entry = plan.entry(name)
    folder = project.runs / name
    jobs, store = _plan(plan, entry, project)
    wanted = {job.folder: job.key for job in jobs}
    stale = [path for path in folder.glob("*") if path not in wanted or _key(path) != wanted[path]]
    missing = [job for job in jobs if job.folder in stale or not job.folder.exists()]
    if not stale and not missing:
        missing = jobs
        for job in jobs:  # left by a stage that was killed just after its last run
            job.resume_point(project).unlink(missing_ok=True)
    for path in stale:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    progress.say(
        f"{name}: {len(missing)} runs to train, {len(jobs) - len(missing)} kept, {len(stale)} removed"
    )
    if missing:
        with tracked_parent(store, name, commit(project.root)) as parent:
            _train([replace(job, parent=parent) for job in missing], name, project, store, n_workers)
            if store is not None:
                log_best_models([job.folder for job in jobs], project, store, n_workers)
    return [records.read(job.folder) for job in jobs]


def _plan(plan: study.Study, entry: study.Entry, project: Project) -> tuple[list[runs.Job], Store | None]:
    """The jobs of an entry, deepest first; each cell is composed once, and refused before anything is removed."""
    jobs: list[runs.Job] = []
    store, compositions = None, Compositions(project.conf)
    for cell in plan.cells(entry):
        tuned = tuned_overrides(entry, cell, project)
        cfg = compositions.of(plan.overrides(entry, cell, tuned))
        ensure_prepared(cfg.data, project)
        prepare_task(cfg)
        store = (
            Store(locate(cfg.tracking.uri, project.root), plan.name, project.root)
            if cfg.tracking.uri
            else None
        )
        for seed in entry.seeds:
            own = of_seed(cfg, seed, plan.split)
            jobs.append(
                runs.job(own, project.runs / entry.name / cell.run_name(seed), project, entry=entry.name)
            )
    return jobs, store


def of_seed(cfg: DictConfig, seed: int, split: str) -> DictConfig:
    """The config of one of a cell's runs.

    Args:
        cfg: of the cell.
        seed: of the run, whatever its depth: that pairs the runs of two depths.
        split: "fixed", or "seeds" where each seed draws validation examples of its own. The test examples stay, and
            so does what is split in time.
    """
    own = cfg.copy()
    own.seed = seed
    if split == "seeds" and "seed" in own.data.examples:
        own.data.examples.seed = seed
    return own


def _train(
    jobs: list[runs.Job], name: str, project: Project, store: Store | None, n_workers: int | None
) -> None:
    """Trains the jobs in warm workers, and says how it goes."""
    on_cpu = jobs[0].cfg.trainer.accelerator == "cpu"
    workers = (n_workers or cores()) if on_cpu else 1
    clock, failed = time.perf_counter(), 0
    with tqdm(total=len(jobs), desc=name, unit="run", disable=None, leave=False) as bar:
        for job, record in run_all(lambda job: runs.execute(job, project, store), jobs, workers):
            bar.update()
            if record["state"] == "diverged":
                failed += 1
                progress.say(f"{name}: {job} failed: {record['reason']}")
    told = f", {failed} failed" if failed else ""
    progress.say(f"{name}: {len(jobs)} runs in {time.perf_counter() - clock:.1f} s{told}")


def _key(folder: Path) -> str | None:
    """The key of the run in a folder, None if it holds no readable record."""
    try:
        return records.read(folder)["key"]
    except (UserError, KeyError, TypeError):
        return None
