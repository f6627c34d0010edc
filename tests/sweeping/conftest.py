"""Spaces and plans that are cheap to try, and a PostgreSQL server of the tests' own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from howdeep.sweeping.plan import Plan
from howdeep.sweeping.space import Choice, FloatRange, IntRange, Space


@pytest.fixture
def space() -> Space:
    return Space(
        {
            "optimizer": Choice(("sgd", "adam")),
            "optimizer.momentum": FloatRange(0.0, 0.9),
            "optimizer.lr": FloatRange(1e-4, 1.0, log=True),
            "model.depth": IntRange(1, 8),
        },
        {"optimizer.momentum": {"optimizer": ("sgd",)}},
    )


@pytest.fixture
def plan(space) -> Callable[..., Plan]:
    def of(**changes) -> Plan:
        return Plan(**{"study": "test", "space": space, "total": 6, "sampler": "random", **changes})

    return of


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
