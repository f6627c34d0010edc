"""Ending in order: signals, a parent that died, and one writer at a time."""

import os
import platform
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psutil

from howdeep.errors import Stopped, UserError

SECONDS_TO_STOP = 2.0  # before a stop is taken for lost

_held_back: list[
    int | None
] = []  # one place for each `hold_stop` that is open; the outermost keeps the signal


def _raise_stopped(signum: int, _frame: object) -> None:
    # A second signal must not cut short the closing of what the first one interrupted.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # An exception that comes while C code calls back, or a destructor, may be dropped there: it comes again until
    # `stop_no_more`. What closes things and must not be cut short stands in `hold_stop`.
    signal.signal(signal.SIGALRM, lambda *_: _stop(signum))
    signal.setitimer(signal.ITIMER_REAL, SECONDS_TO_STOP, SECONDS_TO_STOP)
    _stop(signum)


def stop_no_more() -> None:
    """The stop has arrived where it ends the process."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def _stop(signum: int) -> None:
    if _held_back:
        _held_back[0] = signum
    else:
        raise Stopped(signum)


def _without_stops(dropped: Any) -> None:
    """Python prints exceptions that destructors drop; a stop comes again, and is nothing to tell."""
    if not isinstance(dropped.exc_value, Stopped):
        sys.__unraisablehook__(dropped)


@contextmanager
def hold_stop() -> Iterator[None]:
    """What stands inside is done whole: a stop that comes meanwhile is raised at its end. Keep it short.

    A database driver that is interrupted by an exception leaves its transaction open, and the next write fails.
    """
    _held_back.append(None)
    try:
        yield
    finally:
        if (signum := _held_back.pop()) is not None:
            raise Stopped(signum)


def stop_on_signals() -> None:
    """From now on SIGINT and SIGTERM raise `Stopped` in the main thread."""
    sys.unraisablehook = _without_stops
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _raise_stopped)


@contextmanager
def stop_with(process: psutil.Process, seconds: float = 0.5) -> Iterator[None]:
    """Raises `Stopped` in the main thread soon after `process` has died.

    A timer rather than a thread: a process with threads cannot be forked safely.
    """

    def look(_signum: int, _frame: object) -> None:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            signal.setitimer(signal.ITIMER_REAL, 0)
            _raise_stopped(signal.SIGTERM, None)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        stop_no_more()  # at exit Python drops its handlers, and SIGALRM would kill


@contextmanager
def stop_with_dvc() -> Iterator[None]:
    """Ends this process, in order, when the `dvc` that started it has died.

    DVC ends on SIGTERM without a word to its stages, and the next `dvc repro` would start a second writer
    beside the orphan.
    """
    with stop_with(owner) if (owner := dvc()) else nullcontext():
        yield


def dvc() -> psutil.Process | None:
    """The `dvc` that started this process, None if none did.

    Between DVC and a stage stands a shell, so that the parent alone tells nothing: DVC is the nearest ancestor
    without DVC_STAGE in its environment.
    """
    if "DVC_STAGE" not in os.environ:
        return None
    for process in psutil.Process().parents():
        try:
            if "DVC_STAGE" not in process.environ():
                return process
        except psutil.Error:
            return None
    return None


@contextmanager
def only_writer(path: Path, what: str, seconds: float = 10.0) -> Iterator[None]:
    """Holds a lock file, released by the operating system when the process ends, however it ends.

    Waits a few `seconds`: the workers of a killed process need a moment to notice it.

    Raises:
        UserError: another process holds it.
    """
    from filelock import FileLock, Timeout  # whose import takes as long as all the rest of a command

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{what} is being written by another process: wait for it or stop it, then try again"
        ) from None
    try:
        yield
    finally:
        lock.release()


def this_process() -> str:
    """Host, process id and start: enough to tell later whether what it has left open is still its own."""
    process = psutil.Process()
    return f"{platform.node()}:{process.pid}:{process.create_time():.2f}"


def is_gone(process: str) -> bool:
    """Whether a process of this host, as `this_process` wrote it, has ended; of other hosts nothing is known."""
    host, pid, started = process.rsplit(":", 2)
    if host != platform.node():
        return False
    try:
        running = psutil.Process(int(pid))
        return running.status() == psutil.STATUS_ZOMBIE or abs(running.create_time() - float(started)) > 1
    except psutil.NoSuchProcess:
        return True
