"""One writer at a time, and whose what was left open is."""

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from howdeep.errors import UserError


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


def host_of(process: str) -> str:
    """The host of a process, as `this_process` wrote it."""
    return process.rsplit(":", 2)[0]


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
