"""Workers for the jobs of a stage: processes of this machine, or the nodes of a Dask scheduler, by one call."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection, wait
from socket import socket
from typing import Any

from howdeep.cluster.crew import LOOK_SECONDS, Crew, Gone
from howdeep.cluster.elsewhere import Answer, Elsewhere
from howdeep.errors import UserError
from howdeep.processes import workers
from howdeep.processes.workers import Workers


def run_all(
    work: Callable[[Any], Any],
    jobs: Iterable[Any],
    n_workers: int,
    elsewhere: Elsewhere | None = None,
    then: Callable[[Any, Any], Iterable[Any]] | None = None,
) -> Iterator[tuple[Any, Any]]:
    """As `workers.run_all`, with another way to do the jobs.

    Raises:
        UserError: also no scheduler, or jobs that ended their processes again and again: all others were yielded.
    """
    if elsewhere is None:
        return workers.run_all(work, jobs, n_workers, then=then)
    return _run_all(work, jobs, n_workers, elsewhere, then)


def _run_all(
    work: Callable[[Any], Any],
    jobs: Iterable[Any],
    n_workers: int,
    elsewhere: Elsewhere,
    then: Callable[[Any, Any], Iterable[Any]] | None,
) -> Iterator[tuple[Any, Any]]:
    waiting, nothing = iter(jobs), object()
    possible: deque[Any] = deque()  # made so by the jobs that ended
    ready: deque[Any] = deque()  # to be sent
    answers: deque[Answer] = deque()
    here: deque[Any] = deque()  # for workers of this machine

    def takes(job: Any) -> bool:
        return elsewhere.takes is None or elsewhere.takes(job)

    def following() -> Any:
        for job in waiting:
            if takes(job):
                return job
            here.append(job)
        return possible.popleft() if possible else nothing

    def refill() -> None:
        """Sends jobs, unless as many answers wait here as the nodes do jobs at a time."""
        while len(answers) <= crew.slots:
            while len(ready) <= crew.slots and (job := following()) is not nothing:
                ready.append(job)
            if not ready or not crew.has_room(len(ready)):
                return
            crew.send(ready.popleft())

    def do(one: Any) -> Any:
        return one.opened(elsewhere) if isinstance(one, Answer) else work(one)

    def ended(one: Any, result: Any) -> tuple[Any, Any]:
        job = one.job if isinstance(one, Answer) else one
        for new in then(job, result) if then else ():
            (possible if takes(new) else here).append(new)
        return job, result

    def dealt_with(*bells: socket) -> Iterator[tuple[Any, Any]]:
        """What is done in this machine, once it is or one of `bells` rings."""
        if answers and not hands.count:
            while answers:
                yield ended(one := answers.popleft(), one.opened(elsewhere))
            return
        while (answers or here) and hands.has_room():
            hands.send(answers.popleft() if answers else here.popleft())
        for one in wait([*hands.busy(), *bells], LOOK_SECONDS):
            if isinstance(one, Connection):
                yield ended(*hands.take(one))

    with Workers(do, n_workers if elsewhere.arrived or elsewhere.takes else 0) as hands:
        hands.fork()  # before Dask starts its threads
        with _crew(elsewhere, work) as crew:
            while True:
                try:
                    answers.extend(crew.ended())
                    refill()  # before the answers are dealt with, which takes a while
                except Exception:  # what has come back is kept
                    here.clear()
                    while answers or hands.busy():
                        yield from dealt_with()
                    raise
                if not (crew.is_busy() or answers or here or hands.busy()):
                    break
                yield from dealt_with(crew.news.bell)
    if crew.failed:
        more = f"; and {len(crew.failed) - 3} more" if len(crew.failed) > 3 else ""
        raise UserError(
            f"{len(crew.failed)} of the jobs failed, all others are done: {'; '.join(crew.failed[:3])}{more}: "
            "see to the memory of the nodes, then run the same command again"
        )


@contextmanager
def _crew(elsewhere: Elsewhere, work: Callable[[Any], Any]) -> Iterator[Crew]:
    with (
        elsewhere.address.client() as client,
        _told_in_one_line(elsewhere),
        Crew(client, elsewhere, elsewhere.work or work) as crew,
    ):
        yield crew


@contextmanager
def _told_in_one_line(elsewhere: Elsewhere) -> Iterator[None]:
    """Turns what Dask raises where the way to its scheduler breaks into one line."""
    from distributed.comm.core import CommClosedError

    try:
        yield
    except (CommClosedError, CancelledError) as error:
        raise Gone(elsewhere) from error


def slots(elsewhere: Elsewhere) -> int:
    """How many jobs the nodes do at a time, once there are some."""
    with _crew(elsewhere, print) as crew:
        return crew.slots


class Keeper:
    """Has jobs done one by one; a process keeps its way to the nodes from one to the next.

    Args:
        elsewhere: whose `work` is done.
    """

    def __init__(self, elsewhere: Elsewhere) -> None:
        self.elsewhere = elsewhere
        self._stack, self._process = ExitStack(), 0

    def do(self, job: Any, heard: Callable[[Any], None]) -> Any:
        """
        Args:
            heard: what the work tells (`node.tell`) while it is done. Where it raises, the job is ended.

        Returns:
            The result.

        Raises:
            Unreachable: there is no scheduler, or it is gone.
            UserError: the job has ended its processes again and again.
        """
        crew = self._open()
        try:
            with _told_in_one_line(self.elsewhere):
                crew.send(job, heard)
                while crew.is_busy():
                    wait([crew.news.bell], LOOK_SECONDS)
                    for answer in crew.ended():
                        return answer.opened(self.elsewhere)
        except Gone:
            self._process = 0
            self._stack.close()
            raise
        finally:
            crew.give_up()
        raise UserError(f"{crew.failed.pop()}: see to the memory of the nodes")

    def _open(self) -> Crew:
        if self._process != os.getpid():  # a fork has the crew of another process
            self._stack = ExitStack()
            assert self.elsewhere.work
            self._crew = self._stack.enter_context(_crew(self.elsewhere, self.elsewhere.work))
            self._process = os.getpid()
        return self._crew
