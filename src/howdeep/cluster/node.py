"""What a Dask worker of howdeep does: it hands each job to a warm process of one thread, and keeps files by checksum.

Training holds no lock of the worker, which answers the scheduler meanwhile, and a process may be killed without it. A
process keeps its imports and the data sets that it has read; it ends with its worker.
"""

import gc
import hashlib
import multiprocessing
import os
import queue
import signal
import tempfile
import threading
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from howdeep.cluster.likeness import about
from howdeep.cluster.parcels import Parcel, called, linked
from howdeep.errors import Stopped
from howdeep.files.folders import discard
from howdeep.processes.garbage import collect_seldom
from howdeep.processes.signals import stop_if_asked, stop_on_signals, stop_with
from howdeep.processes.workers import SECONDS_TO_CLOSE, ending, portable

PRELOADED = (
    "howdeep.stages.train",
    "howdeep.stages.tune_trials",
    "howdeep.stages.evaluate",
    "howdeep.stages.inspect",
)
MOST_JOBS = 40  # of a process, which gains half a GB in a thousand; then another takes its place
LOOK_SECONDS = 0.5  # between two looks whether a job is still wanted
DONE, FAILED, LACKS, DIED, STOPPED = "done", "failed", "lacks", "died", "stopped"
TOLD = "told"  # while a job is done


class Node:
    """The warm processes and the files of a Dask worker.

    Args:
        name: of the worker, for messages.
        cache: a folder for files that jobs read; nodes of one machine may share it.
    """

    def __init__(self, name: str, cache: Path) -> None:
        self.name, self.files = name, cache / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self._scratch = Path(tempfile.mkdtemp(prefix="node-", dir=cache))
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(PRELOADED))
        self._idle: queue.SimpleQueue[_Warm] = queue.SimpleQueue()
        self._numbers = iter(range(10**9))
        self._lock = threading.Lock()

    def path(self, digits: str) -> Path:
        return self.files / digits

    def keep(self, who: str, digits: str, content: bytes, *, last: bool) -> None:
        """Takes a file, or the next part of it.

        Raises:
            OSError: the bytes are not those of the checksum, or there is no room.
        """
        aside = self.files / f".{digits}.{who}.{self.name}"
        with aside.open("ab") as file:
            file.write(content)
        if not last:
            return
        with aside.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == digits
        if not whole:
            aside.unlink()
            raise OSError(f"a file with sha256 {digits} did not arrive whole")
        aside.replace(self.path(digits))

    def take(self) -> "_Warm":
        """A process for one job more."""
        try:
            warm = self._idle.get_nowait()
        except queue.Empty:
            warm = self._new()
        if warm.jobs >= MOST_JOBS:
            warm.end()
            warm = self._new()
        warm.jobs += 1
        return warm

    def _new(self) -> "_Warm":
        with self._lock:
            root = self._scratch / str(next(self._numbers))
        root.mkdir()
        return _Warm(self._context, root)

    def give_back(self, warm: "_Warm") -> None:
        self._idle.put(warm)

    def close(self) -> None:
        while True:
            try:
                self._idle.get_nowait().end()
            except queue.Empty:
                break
        discard(self._scratch, self.files.parent)


class _Warm:
    """A process that does one job after another.

    Attributes:
        jobs: that it has done, or does.
    """

    def __init__(self, context: Any, root: Path) -> None:
        self.root, self.jobs = root, 0
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, root, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()

    def kill(self) -> str:
        """What has ended it, if it has ended already; else this does."""
        self.process.join(0.5)
        told = ending(self.process.exitcode)
        self.end()
        return told

    def end(self) -> None:
        self.process.kill()
        self.process.join(SECONDS_TO_CLOSE)
        self.connection.close()
        discard(self.root, self.root.parent)


_to_worker: Connection | None = None  # of a warm process


def tell(news: Any) -> None:
    """Sends something, as msgpack takes it, to who waits for the job that this process does; see `Keeper.do`."""
    if _to_worker is not None:
        _to_worker.send((TOLD, news))


def topic(key: str) -> str:
    """Under what Dask's events of a job are heard by who has sent it."""
    return key.rpartition("-")[0]


def _serve(connection: Connection, root: Path, worker: int) -> None:
    global _to_worker
    _to_worker = connection
    stop_on_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    collect_seldom()
    gc.freeze()
    try:
        with stop_with(psutil.Process(worker)):
            while True:
                payload, files = connection.recv()
                try:
                    linked({name: Path(path) for name, path in files.items()}, root)
                    answer: tuple[Any, ...] = (DONE, *called(payload, root))
                except Exception as error:
                    stop_if_asked()
                    answer = (FAILED, portable(error))
                connection.send(answer)
    except (EOFError, ConnectionError, psutil.NoSuchProcess):  # the worker has ended
        pass
    except Stopped:
        os._exit(128 + signal.SIGTERM)


_node: Node | None = None


def open_node(name: str, cache: Path) -> Node:
    """Makes this process a node; Dask's worker runs in it."""
    global _node
    _node = Node(name, cache)
    return _node


def _here() -> Node:
    if _node is None:
        raise RuntimeError("this Dask worker is none of howdeep's: start it by `howdeep worker ADDRESS`")
    return _node


def introduced() -> tuple[str, dict[str, str]]:
    """The name of this node, and what must be alike; see `likeness.about`."""
    return _here().name, about()


def kept(who: str, files: Sequence[tuple[str, bytes, bool]]) -> None:
    """Takes files, each with its checksum and whether this is its last part."""
    for digits, content, last in files:
        _here().keep(who, digits, content, last=last)


def run(parcel: Parcel) -> tuple[Any, ...]:
    """The task that Dask knows: does a job in a warm process.

    Returns:
        After the name of the node: (DONE, answer, files made), (FAILED, exception), (LACKS, checksums of files that
        must be sent before), (DIED, what ended the process), (STOPPED,) where nobody wants the answer any more; see
        `parcels.called`.
    """
    from dask.context import thread_state
    from distributed import get_worker

    node, worker, key = _here(), get_worker(), thread_state.key
    lacking = sorted({digits for digits in parcel.files.values() if not node.path(digits).exists()})
    if lacking:
        return node.name, LACKS, lacking
    worker.log_event(topic(key), {"key": key, "node": node.name})
    warm = node.take()
    try:
        files: Mapping[str, str] = {name: str(node.path(digits)) for name, digits in parcel.files.items()}
        warm.connection.send((parcel.payload, files))
        while True:
            if warm.connection.poll(LOOK_SECONDS):
                answer = warm.connection.recv()
                if answer[0] != TOLD:
                    break
                worker.log_event(topic(key), {"key": key, TOLD: answer[1]})
            if not _is_wanted(worker, key):
                warm.kill()
                return node.name, STOPPED
    except (EOFError, OSError):
        return node.name, DIED, warm.kill()
    except BaseException:
        warm.kill()
        raise
    node.give_back(warm)
    return node.name, *answer


def _is_wanted(worker: Any, key: str) -> bool:
    task = worker.state.tasks.get(key)
    there = task is not None and task.state not in ("cancelled", "released", "forgotten")
    return there and worker.status.name in ("running", "paused")
