"""The folder that Hydra gives a typed run: it belongs to that run for good."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import to_absolute_path
from omegaconf import DictConfig, OmegaConf

from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.processes.locks import only_writer
from howdeep.records.record import read_record
from howdeep.runs.run import Job
from howdeep.sweeping.outcomes import Hopeless


def folder() -> Path:
    """Where the run of this Hydra job leaves its record."""
    return Path(HydraConfig.get().runtime.output_dir) / "run"


def as_typed(path: Path) -> str:
    """A path from where the command was typed, which Hydra may have left since (hydra.job.chdir)."""
    return os.path.relpath(path, HydraConfig.get().runtime.cwd)


def keep_paths(cfg: DictConfig) -> None:
    """Lets the paths in a resolved config mean what they meant where the command was typed."""
    if cfg.resume:
        cfg.resume = to_absolute_path(cfg.resume)
    if cfg.data.mirror and "://" not in cfg.data.mirror:
        cfg.data.mirror = to_absolute_path(os.path.expanduser(cfg.data.mirror))


@contextmanager
def of_its_own(job: Job, composed: DictConfig, project: Project) -> Iterator[None]:
    """Keeps other runs out of the folder of this one while it is trained; Hydra's files lie beside its record.

    Args:
        job: the run.
        composed: its config before anything was resolved, where interpolations stand in the place of passwords.

    Raises:
        Hopeless: the record of another run is there, which stays; the same run may be trained once more.
    """
    place = hashlib.sha256(os.fsencode(job.folder.resolve())).hexdigest()[:16]
    with only_writer(project.lock("folder", place), f"the run in {as_typed(job.folder)}", seconds=None):
        _check(job)
        _save_hydras_files(composed)
        yield


def _check(job: Job) -> None:
    if not (job.folder / "record.json").exists():
        return
    where = "hydra.sweep.dir" if HydraConfig.get().mode == RunMode.MULTIRUN else "hydra.run.dir"
    remedy = f"choose another {where}, or move it away"
    try:
        there = read_record(job.folder)
    except UserError:
        raise Hopeless(
            f"expected a folder without a run for {job}, but {as_typed(job.folder)} has a record that cannot be read: "
            f"{remedy}"
        ) from None
    if there["key"] != job.key:
        raise Hopeless(
            f"expected a folder without a run for {job}, but {as_typed(job.folder)} has another one, {there['model']} "
            f"depth {there['depth']}, seed {there['seed']}, with the key {there['key']}: {remedy}"
        )


def _save_hydras_files(composed: DictConfig) -> None:
    """What Hydra itself would write before it is known whether the folder is free: see conf/train.yaml."""
    hydra = HydraConfig.get()
    if hydra.output_subdir is not None:
        return
    beside = Path(hydra.runtime.output_dir) / ".hydra"
    beside.mkdir(parents=True, exist_ok=True)
    content = {"config": composed, "hydra": {"hydra": hydra}, "overrides": hydra.overrides.task}
    for name, of in content.items():
        OmegaConf.save(of, beside / f"{name}.yaml")
