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
DVC = "HOWDEEP_DVC"  # where a warm process tells a stage the process id of its dvc

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


def forced() -> bool:
    """Whether this process is a stage that `dvc repro --force`, or `dvc exp run --force`, started."""
    try:
        # The fork of a warm process has other ancestors: it is told of its dvc.
        owner = psutil.Process(int(os.environ[DVC])) if DVC in os.environ else dvc()
        if owner is None:
            return False
        words = owner.cmdline()
    except psutil.Error:
        return False
    # As `python -m dvc` or as the script of that name: what follows is DVC's own.
    first = next((n for n, word in enumerate(words) if Path(word).name in ("dvc", "__main__.py")), 0)
    options = words[first + 1 :]
    if not any(
        word == "--force" or (word[:1] == "-" and word[:2] != "--" and "f" in word) for word in options
    ):
        return False  # without waiting for DVC's parser
    from dvc.cli import DvcParserError, parse_args

    try:
        return bool(getattr(parse_args(options), "force", False))
    except DvcParserError:
        return False


@contextmanager
def only_writer(path: Path, what: str, seconds: float | None = 10.0) -> Iterator[None]:
    """Holds a lock file, released by the operating system when the process ends, however it ends.

    Waits a few `seconds`: the workers of a killed process need a moment to notice it. Where that is None, it says so
    and waits as long as it takes.

    Raises:
        UserError: another process holds it.
    """
    from filelock import FileLock, Timeout  # whose import takes as long as all the rest of a command

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=seconds or 0.0)
    try:
        lock.acquire()
    except Timeout:
        if seconds is not None:
            raise UserError(
                f"{what} is being written by another process: wait for it or stop it, then try again"
            ) from None
        print(f"howdeep: waiting for another process that trains {what}", file=sys.stderr, flush=True)
        lock.acquire(timeout=-1)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # whoever waits with this file open sees that it has no name any more
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
