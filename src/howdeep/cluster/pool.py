"""Workers for the jobs of a stage: processes of this machine, or the nodes of a Dask scheduler, by one call."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from typing import Any

from howdeep.cluster.crew import Crew, Elsewhere, Gone
from howdeep.errors import UserError
from howdeep.processes import workers


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
    return _run_all(work, jobs, elsewhere, then)


def _run_all(
    work: Callable[[Any], Any],
    jobs: Iterable[Any],
    elsewhere: Elsewhere,
    then: Callable[[Any, Any], Iterable[Any]] | None,
) -> Iterator[tuple[Any, Any]]:
    waiting, nothing = iter(jobs), object()
    here: deque[Any] = deque()  # what this process does while nothing arrives
    possible: deque[Any] = deque()
    ready: deque[Any] = deque()

    def following() -> Any:
        for job in waiting:
            if elsewhere.takes(job):
                return job
            here.append(job)
        return possible.popleft() if possible else nothing

    def ended(job: Any, result: Any) -> tuple[Any, Any]:
        for one in then(job, result) if then else ():
            (possible if elsewhere.takes(one) else here).append(one)
        return job, result

    def refill() -> None:
        while True:
            while len(ready) <= crew.slots and (job := following()) is not nothing:
                ready.append(job)
            if not ready or not crew.has_room(len(ready)):
                return
            crew.send(ready.popleft())

    with _crew(elsewhere, work) as crew:
        while True:
            refill()
            if here and not crew.has_news():
                job = here.popleft()
                yield ended(job, work(job))
            elif crew.is_busy():
                if (found := crew.next(refill)) is not None:
                    yield ended(*found)
            elif not here:
                break
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
                    if (found := crew.next()) is not None:
                        return found[1]
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
