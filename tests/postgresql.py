"""A PostgreSQL server of the tests' own, its databases, and a server that ends the connections of its clients."""

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event, Thread

import psycopg
import pytest


def _server_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of an empty database on a server that listens on a socket in a temporary folder only."""
    programs = _server_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server is not installed (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # pytest's own paths are too long for a socket
    user = "nobody" if os.geteuid() == 0 else None  # the server refuses to run as root
    if user:
        shutil.chown(folder, user)

    def call(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, cwd=folder, user=user)

    data = str(folder / "data")
    call(str(programs / "initdb"), "-D", data, "-U", "howdeep", "-A", "trust", "--no-sync")
    start = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off"
    call(str(programs / "pg_ctl"), "-D", data, "-o", start, "-l", str(folder / "log"), "-w", "start")
    try:
        yield f"postgresql://howdeep@/postgres?host={folder}"
    finally:
        call(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def database(url: str, name: str) -> str:
    """The URL of a new database on the server."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(f"create database {name}")  # type: ignore[arg-type]
    return url.replace("/postgres?", f"/{name}?")


def terminate(url: str) -> int:
    """Ends all connections to a database, whatever is under way on them, as a restart of the server does; how many."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        ended = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )
        return len(ended.fetchall())


@contextmanager
def terminating(url: str, seconds: float) -> Iterator[list[int]]:
    """Ends all connections again and again, at random moments; how many each time.

    Args:
        seconds: between two times, on average.
    """
    moments, ended, over = random.Random(url), list[int](), Event()

    def go_on() -> None:
        while not over.wait(moments.uniform(0, 2 * seconds)):
            ended.append(terminate(url))

    thread = Thread(target=go_on)
    thread.start()
    try:
        yield ended
    finally:
        over.set()
        thread.join()
