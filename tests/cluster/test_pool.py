"""Jobs on real nodes: what comes back, and what a killed process, node or scheduler costs."""

import os
import re
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from howdeep.cluster import address, crew, node
from howdeep.cluster.elsewhere import Elsewhere
from howdeep.cluster.pool import Keeper, run_all
from howdeep.errors import UserError
from howdeep.processes.workers import WorkerDied
from tests.cluster import works
from tests.cluster.nodes import Cluster, free_port, started, until
from tests.cluster.works import Job

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with started() as of:
        yield of


def jobs(root: Path, n: int = 6, **options: Any) -> list[Job]:
    return [Job(number, root / "runs" / str(number), **options) for number in range(n)]


def done(
    cluster: Cluster, work: Callable, root: Path, of: list[Job], **options: Any
) -> list[tuple[Any, Any]]:
    options.setdefault("reads", lambda job: [])
    elsewhere = Elsewhere(cluster.address, root, **options)
    return list(run_all(work, of, 2, elsewhere))


def collect(
    cluster: Cluster, work: Callable, of: list[Job], root: Path, found: dict[int, int], **options: Any
) -> None:
    """What is done before the end comes."""
    for job, result in run_all(work, of, 2, Elsewhere(cluster.address, root, lambda job: [], **options)):
        found[job.number] = result


def later(seconds: float, what: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, what)
    timer.start()
    return timer


SQUARES = {number: number**2 for number in range(6)}


def test_every_job_is_done_once_and_what_follows_it_too(cluster, tmp_path):
    followed, elsewhere = (
        [],
        Elsewhere(cluster.address, tmp_path, lambda job: [], takes=lambda job: job.number < 100),
    )

    def then(job: Job, result: int) -> list[Job]:
        return [Job(100 + job.number, tmp_path)] if job.number < 100 else []

    for job, result in run_all(works.square, jobs(tmp_path), 2, elsewhere, then):
        followed.append((job.number, result))
    assert sorted(followed) == [*SQUARES.items(), *((100 + n, (100 + n) ** 2) for n in range(6))]


def test_the_last_jobs_go_to_the_node_that_is_free_first(cluster, tmp_path):
    of = [Job(number, tmp_path, seconds=0.0 if number else 3.0) for number in range(4)]
    assert [job.number for job, _ in done(cluster, works.square, tmp_path, of)] == [1, 2, 3, 0]


def test_a_process_is_replaced_after_some_jobs_since_it_gains_memory(cluster, tmp_path):
    count = 3 * node.MOST_JOBS
    found = done(cluster, works.begun, tmp_path, jobs(tmp_path, count, once=str(tmp_path / "begun")))
    assert {job.number: result for job, result in found} == {number: number**2 for number in range(count)}
    numbers = [path.read_text().splitlines() for path in tmp_path.glob("begun-*")]
    assert max(map(len, numbers)) <= node.MOST_JOBS
    assert sorted(int(number) for of in numbers for number in of) == list(range(count))


def test_no_job_waits_at_a_node_for_a_long_one(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "SHORT", 0.0)
    of = [Job(number, tmp_path, seconds=0.0 if number else 2.0) for number in range(8)]
    assert [job.number for job, _ in done(cluster, works.square, tmp_path, of)] == [*range(1, 8), 0]


def test_what_waits_for_a_long_job_is_done_by_a_node_that_has_nothing_to_do(cluster, tmp_path):
    of = [Job(number, tmp_path, seconds=12.0 if number == 6 else 0.05) for number in range(12)]
    assert done(cluster, works.square, tmp_path, of)[-1][0].number == 6


def test_files_that_a_job_reads_are_sent_and_those_that_it_makes_come_back(cluster, tmp_path):
    (tmp_path / "read").mkdir()
    for number in range(4):
        (tmp_path / "read" / f"{number}.txt").write_text(
            f"{number}" * (9 << 20 if number == 0 else 10)
        )  # of two parts
    found = done(
        cluster,
        works.copied,
        tmp_path,
        jobs(tmp_path, 4),
        reads=lambda job: [tmp_path / "read" / f"{job.number}.txt"],
        arrived=lambda job, result, files: (result, files),
    )
    made = {n: tmp_path / f"runs/{n}/made.txt" for n in range(4)}
    twice = [(tmp_path / f"read/{n}.txt").read_bytes() * 2 for n in range(4)]
    assert {job.number: answer for job, answer in found} == {
        n: (made[n], {made[n]: twice[n]}) for n in range(4)
    }


def test_what_is_done_here_keeps_no_node_waiting(cluster, tmp_path):
    """A job of this machine waits for the last one of a node."""
    last = tmp_path / "last"

    def work(job: Job) -> str:
        until(last.exists)
        return "last"

    def arrived(job: Job, result: int, files: object) -> int:
        if job.number == 5:
            last.touch()
        return result

    elsewhere = Elsewhere(
        cluster.address, tmp_path, lambda job: [], work=works.square, takes=lambda job: job.number > 0,
        arrived=arrived,
    )  # fmt: skip
    found = {job.number: result for job, result in run_all(work, jobs(tmp_path), 2, elsewhere)}
    assert found == SQUARES | {0: "last"}


def test_answers_that_have_come_are_kept_when_a_job_fails(cluster, tmp_path):
    found = {}

    def arrived(job: Job, result: int, files: object) -> int:
        until(lambda: len(list(tmp_path.glob("refused-*"))) > 0)
        return result

    of = [Job(number, tmp_path, once=str(tmp_path / "refused-")) for number in range(4)]
    with pytest.raises(UserError, match=r"got 3: take one \(on node-\d\)"):
        collect(cluster, works.refused_aloud, of, tmp_path, found, arrived=arrived)
    assert found == {number: number**2 for number in range(3)}


def test_a_worker_of_this_machine_that_is_killed_is_told_in_one_line(cluster, tmp_path):
    def arrived(job: Job, result: int, files: object) -> int:
        if job.number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    before = len(psutil.Process().children())
    with pytest.raises(WorkerDied, match="SIGKILL while it ran job 3: finished runs are kept"):
        done(cluster, works.square, tmp_path, jobs(tmp_path), arrived=arrived)
    assert len(psutil.Process().children()) == before


def test_a_job_that_loses_its_process_is_begun_once_more(cluster, tmp_path, capsys):
    found = done(cluster, works.first_dies, tmp_path, jobs(tmp_path, once=str(tmp_path / "once")))
    assert {job.number: result for job, result in found} == SQUARES
    assert "job 3: its process on node-" in capsys.readouterr().err


def test_a_job_that_kills_its_process_twice_has_failed_and_all_others_are_done(cluster, tmp_path):
    found: dict[int, int] = {}
    with pytest.raises(
        UserError,
        match=r"1 of the jobs failed, all others are done: job 3 \(its process on node-\d ended by signal SIGKILL, its",
    ):
        collect(cluster, works.first_dies, jobs(tmp_path), tmp_path, found)
    assert found == {number: of for number, of in SQUARES.items() if number != 3}


def test_what_a_job_refuses_is_told_with_its_node(cluster, tmp_path):
    with pytest.raises(UserError, match=r"expected another number, got 3: take one \(on node-\d\)"):
        done(cluster, works.refused, tmp_path, jobs(tmp_path))


def test_a_node_with_other_code_is_left_out_by_name(cluster, tmp_path, root, capsys):
    shutil.copytree(root / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    with (tmp_path / "src/howdeep/nets/mlp.py").open("a") as file:
        file.write("\nOTHER = 1\n")
    cluster.node(3, source=tmp_path / "src")
    try:
        cluster.wait_for(3)
        found = done(
            cluster, works.begun, tmp_path, jobs(tmp_path, once=str(tmp_path / "begun"), seconds=0.3)
        )
        assert {job.number: result for job, result in found} == SQUARES
        assert re.search(
            r"node-3 is left out, since code of howdeep is \w{12} there and \w{12} here: install the same there",
            capsys.readouterr().err,
        )
        assert len(list(tmp_path.glob("begun-*"))) == 2
    finally:
        cluster.end(3)


def test_jobs_of_a_node_that_is_killed_are_done_by_the_others(cluster, tmp_path, capsys):
    later(1.0, lambda: cluster.send(1, signal.SIGKILL))
    found = done(cluster, works.begun, tmp_path, jobs(tmp_path, once=str(tmp_path / "begun"), seconds=0.7))
    assert {job.number: result for job, result in found} == SQUARES
    assert "node-1 was lost; it is begun once more" in capsys.readouterr().err
    begun = [int(line) for path in tmp_path.glob("begun-*") for line in path.read_text().split()]
    assert len(begun) == 7  # one of them twice
    cluster.processes[1].wait()
    cluster.node(1)
    until(lambda: cluster.said(1).count("runs at a time") == 2, lambda: cluster.said(1))


def test_a_frozen_node_is_given_up_and_comes_back(cluster, tmp_path):
    later(1.0, lambda: cluster.send(1, signal.SIGSTOP))
    found = done(cluster, works.square, tmp_path, jobs(tmp_path, seconds=0.7))
    assert {job.number: result for job, result in found} == SQUARES
    cluster.send(1, signal.SIGCONT)
    until(lambda: cluster.said(1).count("runs at a time") == 3, lambda: cluster.said(1))


def test_files_that_a_node_has_lost_are_sent_again(cluster, tmp_path):
    (tmp_path / "read").mkdir()
    (tmp_path / "read/1.txt").write_text("once ")
    keeper = Keeper(
        Elsewhere(
            cluster.address,
            tmp_path,
            reads=lambda job: [tmp_path / "read/1.txt"],
            work=works.copied,
            arrived=lambda job, result, files: files[result],
        )
    )
    for _ in range(3):
        assert keeper.do(jobs(tmp_path)[1], print) == b"once once "
        for path in cluster.folder.glob("cache-*/files/*"):
            path.unlink()


def test_a_job_that_takes_four_times_the_median_is_told_once(cluster, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(crew, "LOOK_SECONDS", 0.2)
    of = [Job(number, tmp_path, seconds=0.05 if number < 6 else 4) for number in range(7)]
    assert len(done(cluster, works.square, tmp_path, of)) == 7
    told = [line for line in capsys.readouterr().err.splitlines() if "times the median" in line]
    assert len(told) == 1
    assert told[0].startswith("job 6 runs on node-")


def test_jobs_that_need_a_gpu_go_to_nodes_that_were_started_for_one(cluster, tmp_path):
    cluster.node(3, "--gpu")
    cluster.wait_for(3)
    found = done(cluster, works.ancestors, tmp_path, jobs(tmp_path), gpu=True)
    assert len(found) == 6
    assert all(cluster.processes[3].pid in pids for _, pids in found)
    cluster.end(3)


def test_a_scheduler_that_is_started_again_costs_only_what_was_running(cluster, tmp_path):
    def again() -> None:
        cluster.send(0, signal.SIGKILL)
        cluster.processes[0].wait()
        cluster.scheduler()

    later(1.0, again)
    found = done(cluster, works.square, tmp_path, jobs(tmp_path, seconds=0.7))
    assert {job.number: result for job, result in found} == SQUARES


def test_a_scheduler_that_does_not_come_back_is_told_and_what_was_done_is_kept(
    cluster, tmp_path, monkeypatch
):
    monkeypatch.setattr(crew, "LOST_SECONDS", 2.0)
    later(1.2, lambda: cluster.send(0, signal.SIGKILL))
    found: dict[int, int] = {}
    with pytest.raises(
        UserError, match=r"the scheduler at tcp://.* is gone: what was done is kept; start it again"
    ):
        collect(cluster, works.square, jobs(tmp_path, seconds=0.5), tmp_path, found)
    assert found
    assert found.items() <= SQUARES.items()


def test_a_server_that_is_no_scheduler_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(address, "SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as other:  # takes connections, and says nothing
        silent = address.Address(f"tcp://127.0.0.1:{other.getsockname()[1]}")
        with pytest.raises(
            UserError, match=r"expected a scheduler at tcp://.*, got none \(.*\): `howdeep cluster up"
        ):
            list(run_all(works.square, jobs(tmp_path), 2, Elsewhere(silent, tmp_path, lambda job: [])))


def test_no_scheduler_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(address, "SECONDS", 1.0)
    nobody = address.Address(f"tcp://127.0.0.1:{free_port()}")
    with pytest.raises(
        UserError, match=r"expected a scheduler at tcp://.*, got none .*: `howdeep cluster up --local 2`"
    ):
        list(run_all(works.square, jobs(tmp_path), 2, Elsewhere(nobody, tmp_path, lambda job: [])))
