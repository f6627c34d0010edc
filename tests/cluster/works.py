"""What tests have done on nodes, which import it by name."""

import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

import psutil

from howdeep.cluster import node
from howdeep.errors import UserError


class Job(NamedTuple):
    """
    Args:
        folder: below the project.
        once: a file that is there if the job has been begun before; None: it does not matter.
    """

    number: int
    folder: Path
    once: str | None = None
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"job {self.number}"


def square(job: Job) -> int:
    time.sleep(job.seconds)
    return job.number**2


def first_dies(job: Job) -> int:
    """Job 3 kills its process: always, or the first time."""
    if job.number == 3 and not (job.once and os.path.exists(job.once)):
        if job.once:
            Path(job.once).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(job)


def copied(job: Job) -> Path:
    """Reads a file of the project and writes another."""
    made = job.folder / "made.txt"
    job.folder.mkdir(parents=True)
    made.write_text((job.folder.parents[1] / "read" / f"{job.number}.txt").read_text() * 2)
    return made


def refused(job: Job) -> int:
    if job.number == 3:
        raise UserError("expected another number, got 3: take one")
    return square(job)


def refused_aloud(job: Job) -> int:
    """Says before that it will; the others are done by then."""
    if job.number == 3:
        time.sleep(1.0)
        Path(f"{job.once}{job.number}").touch()
    return refused(job)


def begun(job: Job) -> int:
    """Says outside where it runs, and takes its time."""
    with open(f"{job.once}-{os.getpid()}", "a") as file:
        file.write(f"{job.number}\n")
    return square(job)


def counting(job: Job) -> str:
    """Tells who waits of a hundred numbers, and writes each down."""
    for number in range(100):
        assert job.once
        with open(job.once, "a") as file:
            file.write(f"{number}\n")
        node.tell(number)
        time.sleep(job.seconds)
    return "counted"


def ancestors(job: Job) -> list[int]:
    """The processes from which this one comes."""
    return [process.pid for process in psutil.Process().parents()]
