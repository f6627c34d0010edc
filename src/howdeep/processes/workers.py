"""Warm one-thread worker processes: forked once, each runs many jobs without paying the imports again."""

import copy
import multiprocessing
import os
import signal
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any

import psutil

from howdeep.errors import Stopped, UserError
from howdeep.processes.signals import hold_stop, stop_if_asked, stop_on_signals, stop_with

SECONDS_TO_CLOSE = 10.0


def cores() -> int:
    """The cores that this process may use."""
    return (
        len(psutil.Process().cpu_affinity())
        if hasattr(psutil.Process, "cpu_affinity")
        else os.cpu_count() or 1
    )


class WorkerDied(UserError):
    """A worker was killed from outside: by a person, or by the system for want of memory."""

    cause: str = "a signal"


class Workers:
    """Forked processes, each of which does one job after another.

    If this process is stopped, they get SIGTERM, a few seconds to close what they hold open, and then SIGKILL. If this
    process is killed, they end by themselves.

    Args:
        work: what is done with a job.
        count: of them, at most.
    """

    def __init__(self, work: Callable[[Any], Any], count: int) -> None:
        self.work, self.count = work, count
        self._context = multiprocessing.get_context("fork")
        self._processes: dict[Connection, BaseProcess] = {}
        self._running: dict[Connection, Any] = {}
        self._idle: list[Connection] = []

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.rest()
        _close(list(self._processes.values()), gently=not self._running and not self._idle)

    def fork(self) -> None:
        """Starts all of them now: a process with threads cannot be forked safely later."""
        while len(self._processes) < self.count:
            self._idle.append(self._start())

    def has_room(self) -> bool:
        return len(self._running) < self.count

    def busy(self) -> list[Connection]:
        """One for each job that is being done; can be read once it has ended, see `take`."""
        return list(self._running)

    def send(self, job: Any) -> None:
        """Has a job done by a worker that is idle, or by a new one."""
        while self._idle:
            connection = self._idle.pop()
            try:
                connection.send(job)
                self._running[connection] = job
                return
            except ConnectionError:  # it died while it had nothing to do: nothing is lost but the worker
                self._bury(connection)
        connection = self._start()
        self._running[connection] = job
        with suppress(ConnectionError):  # it died at once, which is noticed where its answer is awaited
            connection.send(job)

    def take(self, connection: Connection) -> tuple[Any, Any]:
        """A job that has ended, and its result.

        Raises:
            WorkerDied: its worker was killed.
            Exception: what the work raised.
        """
        job = self._running.pop(connection)
        try:
            result, error = connection.recv()
        except (EOFError, OSError):  # the latter where it died with its job unread, or while it answered
            raise _died(self._bury(connection), job) from None
        self._idle.append(connection)
        if error is not None:
            raise error
        return job, result

    def rest(self) -> None:
        """Ends those that are idle."""
        while self._idle:
            with suppress(ConnectionError):
                self._idle.pop().send(None)

    def _start(self) -> Connection:
        ours, theirs = self._context.Pipe()
        # Forked workers inherit every pipe end made so far; they must not keep a sibling's open.
        process = self._context.Process(
            target=_work, args=(self.work, theirs, [*self._processes, ours]), daemon=True
        )
        process.start()
        theirs.close()
        self._processes[ours] = process
        return ours

    def _bury(self, connection: Connection) -> BaseProcess:
        connection.close()
        return self._processes.pop(connection)


def run_all(
    work: Callable[[Any], Any],
    jobs: Iterable[Any],
    n_workers: int,
    died: Callable[[WorkerDied], None] | None = None,
    then: Callable[[Any, Any], Iterable[Any]] | None = None,
) -> Iterator[tuple[Any, Any]]:
    """Runs `work(job)` for every job in `Workers`; yields (job, result) as they finish.

    Jobs start in the order given, each asked for when a worker is free.

    Args:
        died: called when a worker was killed, whose job is lost; then another worker takes its place.
        then: called with each job that has ended and its result: the jobs that can be done from now on, which start
            once all others have.

    Raises:
        WorkerDied: a worker ended by a signal, and `died` is not given; finished jobs were yielded.
        Exception: what `work` raised, once the workers are closed.
    """
    waiting = iter(jobs)
    made_possible: deque[Any] = deque()
    nothing = object()

    def following() -> Any:
        job = next(waiting, nothing)
        return made_possible.popleft() if job is nothing and made_possible else job

    with Workers(work, n_workers) as workers:

        def go_on() -> None:
            """Gives workers what there is to do, and ends idle ones where nothing can come any more."""
            while workers.has_room() and (job := following()) is not nothing:
                workers.send(job)
            if not (then and workers.busy()):
                workers.rest()

        go_on()
        while busy := workers.busy():
            for connection in wait(busy):
                assert isinstance(connection, Connection)
                try:
                    job, result = workers.take(connection)
                except WorkerDied as death:
                    if died is None:
                        raise
                    died(death)
                    go_on()
                    continue
                made_possible.extend(then(job, result) if then else ())
                go_on()
                yield job, result


def _work(work: Callable[[Any], Any], connection: Connection, others: list[Connection]) -> None:
    for other in others:
        other.close()
    stop_on_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent passes it on
    try:
        with stop_with(psutil.Process(os.getppid())):
            while (job := connection.recv()) is not None:
                try:
                    answer = (work(job), None)
                except Exception as error:
                    stop_if_asked()
                    answer = (None, portable(error))
                connection.send(answer)
    except (EOFError, ConnectionError):  # the parent was killed
        pass
    except Stopped:
        os._exit(128 + signal.SIGTERM)


def portable(error: Exception) -> Exception:
    """The error, or its words where it cannot be sent to another process and made there again."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        ForkingPickler.dumps(error)
        copy.copy(error)  # made from the parts that were sent, as the other process does
    except Exception:  # whatever the constructor of somebody's exception raises
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _died(process: BaseProcess, job: Any) -> WorkerDied:
    process.join(SECONDS_TO_CLOSE)
    cause = ending(process.exitcode)
    death = WorkerDied(
        f"a worker ended by {cause} while it ran {job}: finished runs are kept; free memory if it was the system, "
        "then run `dvc repro` again"
    )
    death.cause = cause
    return death


def ending(code: int | None) -> str:
    """What an exit code says of the end of a process."""
    return f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"


@hold_stop()
def _close(processes: list[BaseProcess], gently: bool) -> None:
    for process in processes:
        if not gently:
            process.terminate()
    for process in processes:
        process.join(SECONDS_TO_CLOSE)
        if process.is_alive():
            process.kill()
            process.join()
