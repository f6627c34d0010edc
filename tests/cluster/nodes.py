"""A scheduler and nodes as real processes, which tests kill, freeze and start again."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from howdeep.cluster.address import Address
from tests.commands import ENV

ROOT = Path(__file__).parents[2]
SECONDS = 60.0  # until a test gives up
TTL = 4  # seconds of silence after which a scheduler takes a node for lost


class Cluster:
    """A scheduler with its nodes.

    Args:
        folder: for what they write; in `projects` are those of coordinators.
        prefix: what a command begins with, by the number of its node, 0 that of the scheduler.
        url: of the scheduler; None: on a free port of this machine.
    """

    def __init__(
        self,
        folder: Path,
        *,
        prefix: Callable[[int], list[str]] = lambda node: [],
        url: str | None = None,
        security: Path | None = None,
    ) -> None:
        self.folder, self._prefix, self.projects = folder, prefix, folder
        self.address = Address(url or f"tcp://127.0.0.1:{free_port()}", security)
        self.processes: dict[int, subprocess.Popen] = {}

    def scheduler(self) -> None:
        host, port = self.address.url.split("//")[1].split(":")
        self._start(0, "cluster", "up", "--host", host, "--port", port)

    def node(self, number: int, *more: str, source: Path = ROOT / "src") -> None:
        cache = self.folder / f"cache-{number}"
        self._start(
            number,
            "worker",
            self.address.url,
            "--threads",
            "1",
            "--name",
            f"node-{number}",
            "--cache",
            str(cache),
            *more,
            source=source,
        )

    def _start(self, number: int, *words: str, source: Path = ROOT / "src") -> None:
        if self.address.security:
            words += ("--security", str(self.address.security))
        env = {
            **ENV,
            "PYTHONPATH": f"{source}:{ROOT}",
            "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": f"{TTL}s",
        }
        with (self.folder / f"said-{number}").open("a") as said:
            self.processes[number] = subprocess.Popen(
                [*self._prefix(number), sys.executable, "-m", "howdeep", *words],
                cwd=self.folder, env=env, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip

    def wait_for(self, number: int, words: str = "runs at a time") -> None:
        """Until a node has joined."""
        until(lambda: words in self.said(number), lambda: self.said(number))

    def said(self, number: int) -> str:
        return (self.folder / f"said-{number}").read_text()

    def busy(self) -> bool:
        """Whether a process of a node computes."""
        found = [
            child
            for of in self.processes.values()
            for child in psutil.Process(of.pid).children(recursive=True)
        ]
        before = [sum(child.cpu_times()[:2]) for child in found if child.is_running()]
        time.sleep(0.5)
        after = [sum(child.cpu_times()[:2]) for child in found if child.is_running()]
        return len(before) != len(after) or sum(after) - sum(before) > 0.1

    def send(self, number: int, what: signal.Signals) -> None:
        os.kill(self.processes[number].pid, what)

    def end(self, number: int) -> None:
        """Kills a process with all that it has started."""
        process = self.processes.pop(number)
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        process.kill()
        process.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()

    def close(self) -> None:
        for number in list(self.processes):
            self.end(number)


@contextmanager
def started(folder: Path | None = None, nodes: int = 2) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="cluster-") as own:
        cluster = Cluster(folder or Path(own))
        try:
            cluster.scheduler()
            for number in range(1, nodes + 1):
                cluster.node(number)
            for number in range(1, nodes + 1):
                cluster.wait_for(number)
            yield cluster
        finally:
            cluster.close()


def until(true: Callable[[], object], told: Callable[[], str] = lambda: "") -> None:
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end, told()
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]
