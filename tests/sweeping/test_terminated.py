"""Sweeps on a PostgreSQL server that ends the connections of its clients: the total is exact, and nothing is lost."""

import time
from contextlib import closing

import psycopg
import pytest

from howdeep.errors import UserError
from howdeep.sweeping import pool
from howdeep.sweeping import storage as module
from howdeep.sweeping.pool import run
from howdeep.sweeping.storage import Storage
from howdeep.sweeping.study import Study
from tests.postgresql import database, terminate, terminating
from tests.sweeping.test_resuming import check_exact, counted, start

pytestmark = pytest.mark.slow


def test_connections_that_end_between_two_trials_are_not_noticed(postgresql, plan):
    where = database(postgresql, "between")
    with closing(Storage(where)) as storage:
        study = Study(plan(total=2), storage).open()
        for value in (1.0, 2.0):
            trial = study.take()
            assert trial is not None
            _ = trial.point
            assert terminate(where) > 0
            study.tell(trial, [value])
        assert [result.values for result in study.results()] == [(1.0,), (2.0,)]


def test_a_lock_whose_connection_ends_is_free(postgresql, plan):
    where = database(postgresql, "locked")
    with closing(Storage(where)) as storage:
        Study(plan(), storage).open()
        with storage.lock():
            terminate(where)
        with closing(Storage(where)) as other, other.lock():
            pass
        with storage.lock():
            pass
    assert len(run([plan()], where, lambda trial: 1.0, 1)[0]) == 6


def test_a_trial_gives_signs_of_life_though_its_connections_end(postgresql, plan, monkeypatch):
    monkeypatch.setattr(module, "BEAT", 0.05)
    where = database(postgresql, "beats")
    with closing(Storage(where)) as storage:
        study = Study(plan(), storage).open()
        trial = study.take()
        assert trial is not None
        with storage.alive(trial.id), terminating(where, 0.05) as ended:
            while len(ended) < 10:
                time.sleep(0.05)
        beats = storage.optuna._backend.engine  # type: ignore[attr-defined]
        with storage.alive(trial.id):
            time.sleep(0.3)
            with beats.connect() as connection:
                (age,) = connection.exec_driver_sql(
                    "select extract(epoch from current_timestamp - max(heartbeat)) from trial_heartbeats"
                ).one()
        assert age < 0.3


def test_a_sweep_whose_connections_end_at_random_moments_reaches_exactly_the_total(postgresql):
    where, total = database(postgresql, "random"), 16
    sweep = start(where, total)
    with closing(Storage(where)) as storage:
        while counted(storage, total).counts().done < 2:
            assert sweep.poll() is None
            time.sleep(0.05)
    with terminating(where, 0.4) as ended:
        code = sweep.wait()
    assert sum(ended) > 0
    # Workers make new connections. Where the sweep itself needs one in such a moment, it ends, and is typed again.
    assert code == 0 or start(where, total).wait() == 0
    check_exact(where, total)
    with closing(Storage(where)) as storage:
        assert counted(storage, total).counts().failed == 0  # a connection is not what a trial is judged by


def test_a_server_that_does_not_come_back_ends_the_sweep_in_one_line(postgresql, plan, monkeypatch):
    monkeypatch.setattr(pool, "PAUSES", (0.1, 0.1))
    where = database(postgresql, "gone")

    def drop(trial) -> float:
        with closing(psycopg.connect(postgresql, autocommit=True)) as connection:
            connection.execute("drop database if exists gone with (force)")
        return 1.0

    with pytest.raises(
        UserError, match=r"^the storage .*/gone.* cannot be used \(.*does not exist"
    ) as refused:
        run([plan()], where, drop, 1)
    assert "\n" not in str(refused.value)
