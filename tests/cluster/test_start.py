"""`howdeep cluster up` as it is typed: mistakes, and nodes that Slurm is asked for."""

import signal
import subprocess
import sys

import psutil
import pytest

from howdeep.cluster.address import Address
from howdeep.cluster.pool import Elsewhere, run_all
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
    ],
)
def test_a_mistake_is_one_line(tmp_path, words, told):
    done = howdeep(tmp_path, "cluster", *words, "--port", str(free_port()))
    assert done.code == 1
    assert not (tmp_path / "security.pem").exists()
    assert len(done.complaints) == 1, done.err
    assert told in done.complaints[0]
    assert "Traceback" not in done.err


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
