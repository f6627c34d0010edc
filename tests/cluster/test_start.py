"""`howdeep cluster up` as it is typed: mistakes, and nodes that Slurm is asked for."""

import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from howdeep.cluster.address import Address, parsed
from howdeep.cluster.elsewhere import Elsewhere
from howdeep.cluster.pool import run_all
from tests.cluster import works
from tests.cluster.nodes import ROOT, free_port, until
from tests.cluster.works import Job
from tests.commands import ENV, howdeep

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["up", "--slurm", "nodes=1", "colour=red"],
            "expected Slurm to take --slurm nodes=1 colour=red, got: ",
        ),
        (["up", "--host", "nowhere.invalid"], "expected nowhere.invalid to be this machine and its port"),
        (["up", "--host", "localhost:8786"], "name or address of this machine alone, got 'localhost:8786'"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, words, told):
    done = howdeep(tmp_path, "cluster", *words, "--port", str(free_port()))
    assert done.code == 1
    assert not (tmp_path / "security.pem").exists()
    assert len(done.complaints) == 1, done.err
    assert told in done.complaints[0]
    assert "Traceback" not in done.err


def test_an_address_of_ipv6_is_one(tmp_path):
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    port, env = free_port(), {**ENV, "PYTHONPATH": f"{ROOT}/src:{ROOT}", "XDG_CACHE_HOME": str(tmp_path)}
    words, said = ["--local", "1", "--host", "::1", "--port", str(port)], tmp_path / "said"
    with said.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "howdeep", "cluster", "up", *words], cwd=tmp_path, env=env, stderr=file
        )
    try:
        until(lambda: f"1 runs at a time for tcp://[::1]:{port}" in said.read_text(), said.read_text)
        elsewhere = Elsewhere(parsed(f"tcp://[::1]:{port}", None, "it"), tmp_path, lambda job: [])
        assert list(run_all(works.square, [Job(3, tmp_path)], 1, elsewhere)) == [(Job(3, tmp_path), 9)]
    finally:
        process.terminate()
        process.wait()


def test_nodes_come_from_slurm_and_go_with_ctrl_c(tmp_path):
    port = free_port()
    command = [
        *(sys.executable, "-m", "howdeep", "cluster", "up", "--port", str(port)),
        "--slurm",
        "nodes=1",
        "executor=local",
    ]
    env = {**ENV, "PYTHONPATH": f"{ROOT}/src:{ROOT}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with (tmp_path / "said").open("w") as said:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=said, stderr=said, start_new_session=True
        )
    try:
        until(
            lambda: "scheduler:" in (tmp_path / "said").read_text(), lambda: (tmp_path / "said").read_text()
        )
        elsewhere = Elsewhere(Address(f"tcp://127.0.0.1:{port}"), tmp_path, lambda job: [])
        found = run_all(works.square, [Job(number, tmp_path) for number in range(3)], 2, elsewhere)
        assert {job.number: result for job, result in found} == {0: 0, 1: 1, 2: 4}
        started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, (tmp_path / "said").read_text()
        _, alive = psutil.wait_procs(started, 30)
        assert not alive
    finally:
        process.kill()
        process.wait()
