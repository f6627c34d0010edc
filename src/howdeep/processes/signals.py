"""Ending in order: signals, a parent that died, and one writer at a time."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

from howdeep.errors import Stopped

SECONDS_TO_STOP = 2.0  # before a stop is taken for lost

_held_back: list[
    int | None
] = []  # one place for each `hold_stop` that is open; the outermost keeps the signal
_asked: int | None = None  # the signal that asked this process to end


def _raise_stopped(signum: int, _frame: object) -> None:
    global _asked
    _asked = signum
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
    global _asked
    _asked = None
    signal.setitimer(signal.ITIMER_REAL, 0)


def stopping() -> Stopped | None:
    """The stop that this process was asked for, if it was, whatever has become of the exception since.

    `Stopped` comes at any moment, also while another library cleans up, which may then raise an error of its own in its
    place. So whoever catches errors of any kind asks here first whether this is one.
    """
    return None if _asked is None else Stopped(_asked)


def stop_if_asked() -> None:
    """Raises `Stopped` if this process was asked to end."""
    if stopped := stopping():
        raise stopped


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


def lives(process: psutil.Process) -> bool:
    """Whether a process still runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def stop_with(process: psutil.Process, seconds: float = 0.5) -> Iterator[None]:
    """Raises `Stopped` in the main thread soon after `process` has died.

    A timer rather than a thread: a process with threads cannot be forked safely.
    """

    def look(_signum: int, _frame: object) -> None:
        if not lives(process):
            signal.setitimer(signal.ITIMER_REAL, 0)
            _raise_stopped(signal.SIGTERM, None)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)  # at exit Python drops its handlers, and SIGALRM would kill
