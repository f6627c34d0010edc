"""Runs of a multirun that are trained on the nodes of a scheduler: folders, MLflow and studies stay here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from hydra.types import RunMode

from howdeep.cluster import address, node
from howdeep.cluster.address import Address
from howdeep.cluster.elsewhere import Elsewhere
from howdeep.cluster.pool import Keeper, slots
from howdeep.files.project import Project
from howdeep.processes.workers import run_all
from howdeep.records.record import read_record
from howdeep.runs.examples import data_files
from howdeep.runs.multirun import LOCAL
from howdeep.runs.run import Job, Listener, Place, Rows, Training, received, train_alone


def scheduler(hydra: Any, project: Project) -> Address | None:
    """Where a multirun sends its runs, if it has no launcher of its own and a scheduler is asked for.

    Args:
        hydra: its config of Hydra.

    Raises:
        UserError: what is asked for is no address.
    """
    if hydra.mode != RunMode.MULTIRUN or hydra.launcher._target_ != LOCAL:
        return None
    changed = project.params.stat().st_mtime_ns if project.params.exists() else 0
    return address.found(_named(project.params, changed))


@cache  # every trial asks
def _named(path: Path, changed: int) -> Address | None:
    return address.named_in(path)


def places(at: Address, project: Project, *, gpu: bool) -> int:
    """How many runs the nodes of a scheduler do at a time, once there are some.

    Raises:
        Unreachable: there is no scheduler.
    """
    # in a process of its own: Dask starts threads, and this one will be forked
    ((_, found),) = run_all(lambda _: slots(_elsewhere(at, project, gpu)), [0], 1)
    import distributed  # noqa: F401 - as each process that is forked from this one would, for more than a second

    return found


def on_nodes(at: Address | None, job: Job) -> Place | None:
    """A node as the place of a training; None, which is here, where it goes on from a checkpoint that lies here."""
    return None if at is None or job.cfg.resume else partial(_away, at)


def _away(at: Address, job: Job, record: dict, project: Project) -> Training:
    # Hydra's folder may lie outside of the project
    there = replace(job, folder=project.runs / "away" / job.key, parent=None, trial=None, otherwise=None)

    def training(listeners: Sequence[Listener]) -> dict:
        rows: Rows = []

        def heard(news: tuple[int, Rows]) -> None:
            first, fresh = news
            if first > len(rows):  # some were lost on the way: the record has them all
                return
            rows[first:] = fresh
            for listener in listeners:
                listener(rows)

        files = _keeper(at, project, job.cfg.trainer.accelerator != "cpu").do(there, heard)
        received(job, files, project, there.folder)
        return read_record(job.folder)

    return training


@cache
def _keeper(at: Address, project: Project, gpu: bool) -> Keeper:
    return Keeper(_elsewhere(at, project, gpu))


def _elsewhere(at: Address, project: Project, gpu: bool) -> Elsewhere:
    return Elsewhere(
        at,
        project.root,
        reads=lambda job: data_files(job.cfg, project),
        work=partial(_aloud, project=project),
        arrived=_arrived,
        gpu=gpu,
    )


def _arrived(job: Job, result: None, files: Mapping[Path, bytes]) -> Mapping[Path, bytes]:
    return files


def _aloud(job: Job, project: Project) -> None:
    """Trains a run on a node, and tells of its epochs."""
    train_alone(job, project, [Teller()])


class Teller:
    """Sends the epochs that are new, or may have grown, with the number of the first."""

    def __init__(self) -> None:
        self._sent = 0

    def __call__(self, rows: Rows) -> None:
        node.tell((self._sent, rows[self._sent :]))
        self._sent = len(rows) - 1
