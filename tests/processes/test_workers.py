"""Warm workers: real processes, really killed."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest

from howdeep.errors import UserError
from howdeep.processes import workers
from howdeep.processes.workers import WorkerDied, run_all


def test_every_job_runs_once_and_gives_its_result():
    assert sorted(run_all(lambda n: n * n, range(7), 2)) == [(n, n * n) for n in range(7)]


def test_workers_stay_warm_and_are_as_many_as_asked_for():
    pids = {pid for _, pid in run_all(lambda _: os.getpid(), range(8), 2)}
    assert 1 <= len(pids) <= 2
    assert os.getpid() not in pids


def test_no_jobs_need_no_workers():
    assert list(run_all(str, [], 2)) == []


def fail_at_two(n):
    if n == 2:
        raise UserError("two is too much")
    return n


def test_an_error_comes_back_as_it_was_raised():
    with pytest.raises(UserError, match="two is too much"):
        list(run_all(fail_at_two, [1, 2, 3], 1))
    assert psutil.Process().children() == []


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def raise_unpicklable(_):
    raise Unpicklable(1, 2)


def test_an_error_that_cannot_be_pickled_keeps_its_words():
    with pytest.raises(RuntimeError, match="Unpicklable: 1 and 2"):
        list(run_all(raise_unpicklable, [0], 1))


def die_at_two(n):
    if n == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def test_a_killed_worker_is_one_clear_line_and_finished_jobs_are_kept():
    results = run_all(die_at_two, [1, 2, 3], 1)
    assert next(results) == (1, 1)
    with pytest.raises(WorkerDied, match="SIGKILL while it ran 2: finished runs are kept"):
        next(results)
    assert psutil.Process().children() == []


def test_where_a_death_may_happen_another_worker_goes_on_with_what_is_left():
    deaths = []
    results = list(run_all(die_at_two, [1, 2, 3, 4], 1, died=deaths.append))
    assert results == [(1, 1), (3, 3), (4, 4)]
    assert [death.cause for death in deaths] == ["signal SIGKILL"]
    assert psutil.Process().children() == []


def test_a_job_is_asked_for_only_when_a_worker_is_free():
    asked = []

    def jobs():
        for n in range(4):
            asked.append(n)
            yield n

    results = run_all(lambda n: n, jobs(), 1)
    next(results)
    assert asked == [0, 1]
    assert [n for n, _ in results] == [1, 2, 3]


def test_what_a_result_makes_possible_is_done_after_all_other_jobs():
    found = run_all(str, [1, 2, 3], 1, then=lambda job, _: [f"after {job}"] if isinstance(job, int) else [])
    assert [result for _, result in found] == ["1", "2", "3", "after 1", "after 2", "after 3"]


def wait_for(what):
    deadline = time.monotonic() + 30
    while not what() and time.monotonic() < deadline:
        time.sleep(0.01)
    return what()


def test_a_worker_without_a_job_waits_for_what_the_others_results_make_possible(tmp_path):
    told = tmp_path / "told"

    def work(job):
        if job == "long":
            return wait_for(told.exists)
        if job == "meet":  # two at the same time
            (tmp_path / f"meet-{os.getpid()}").touch()
            return wait_for(lambda: len(list(tmp_path.glob("meet-*"))) == 2)

    results = run_all(work, ["short", "long"], 2, then=lambda job, _: ["meet"] * 2 if job == "long" else [])
    assert next(results) == ("short", None)  # and there was nothing left to do for its worker
    told.touch()
    assert list(results) == [("long", True), ("meet", True), ("meet", True)]
    assert psutil.Process().children() == []


@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed():
    script = textwrap.dedent("""
        import time
        from howdeep.processes.workers import run_all
        def work(n):
            import os; os.write(1, b"%d\\n" % os.getpid()); time.sleep(60)  # whole, beside the other one's
        list(run_all(work, [1, 2], 2))
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]
    parent.kill()
    parent.wait()
    parent.stdout.close()
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert len(gone) == 2, alive


def die_unless_asked_again(n):
    """The worker that gets 0 ends soon after its answer, while it has nothing to do."""
    if n == 0:
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
    if n == 1:
        time.sleep(1.0)
    return n


def test_an_idle_worker_that_is_killed_costs_nothing():
    more = {1: [2, 3]}
    found = [n for n, _ in run_all(die_unless_asked_again, [0, 1], 2, then=lambda job, _: more.get(job, []))]
    assert sorted(found) == [0, 1, 2, 3]


def test_a_worker_that_dies_with_its_job_unread_is_a_death_like_others(monkeypatch):
    """The parent then reads 'connection reset', not the end of a file."""

    def unread(work, connection, others):
        while not connection.poll():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(workers, "_work", unread)
    with pytest.raises(WorkerDied, match="a worker ended by signal SIGKILL while it ran 7"):
        list(run_all(str, [7], 1))


def test_a_worker_that_dies_in_the_middle_of_its_answer_is_a_death_like_others(monkeypatch):
    def half(work, connection, others):
        connection.recv()
        os.write(connection.fileno(), (1000).to_bytes(4, "big") + b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(workers, "_work", half)
    with pytest.raises(WorkerDied, match="a worker ended by signal SIGKILL while it ran 7"):
        list(run_all(str, [7], 1))
