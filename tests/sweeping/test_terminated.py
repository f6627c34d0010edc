"""Sweeps on a PostgreSQL server that ends the connections of its clients: the total is exact, and nothing is lost."""

import time
from contextlib import closing
from functools import partial

import psycopg
import pytest
from optuna.storages._rdb.models import TrialModel
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from howdeep.errors import UserError
from howdeep.sweeping import storage as module
from howdeep.sweeping.pool import run
from howdeep.sweeping.space import IntRange, Space
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


@pytest.mark.parametrize("moment", ["first", "later"])
def test_a_sweep_whose_connections_end_at_random_moments_reaches_exactly_the_total(postgresql, moment):
    # Six seconds of work, longer than any time between two ends, in which a slow machine makes connections again.
    where, total = database(postgresql, moment), 60
    sweep = start(where, total, seconds=0.2)
    with closing(Storage(where)) as storage:
        while moment == "later" and counted(storage, total).counts().done < 2:
            assert sweep.poll() is None
            time.sleep(0.05)
    with terminating(where, 2.0) as ended:
        assert sweep.wait() == 0
    assert sum(ended) > 0
    check_exact(where, total)
    with closing(Storage(where)) as storage:
        assert counted(storage, total).counts().failed == 0  # a connection is not what a trial is judged by


@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_a_trial_that_is_taken_while_the_lock_is_lost_is_not_one_too_many(
    postgresql, plan, monkeypatch, sampler
):
    """Another process has the lock meanwhile, counts without the trial, and takes the last one too."""
    where = database(postgresql, f"one_too_many_{sampler}")
    of = plan(total=3, sampler=sampler, space=Space({"model.depth": IntRange(1, 3)}))
    claim = Study._claim
    others = []

    def late(self, trials, attrs):
        monkeypatch.setattr(Study, "_claim", claim)
        terminate(where)
        with closing(Storage(where)) as storage:
            other = Study(of, storage)
            other.owner = "elsewhere:1:0"
            others.extend((trial.number, trial.point) for _ in range(3) if (trial := other.take()))
        return claim(self, trials, attrs)

    monkeypatch.setattr(Study, "_claim", late)
    with closing(Storage(where)) as storage:
        study = Study(of, storage)
        assert storage.steadily(study.take) is None
        assert len(others) == 3
        counts = study.counts()
        assert (counts.running, counts.done) == (3, 0)
        assert not [trial for trial in study._trials() if trial.state.name == "WAITING"]


def test_a_trial_whose_creation_was_not_confirmed_is_given_back(postgresql, plan):
    """Optuna creates another one: the first must not be waited for."""
    where = database(postgresql, "unconfirmed")
    with closing(Storage(where)) as storage:
        study = Study(plan(total=2, sampler="random"), storage).open()
        cut = []

        def after_commit(session):
            if not cut and (
                running := [t for t in session.identity_map.values() if isinstance(t, TrialModel)]
            ):
                cut.extend(running)
                raise OperationalError("commit", {}, psycopg.OperationalError("the connection is lost"))

        event.listen(Session, "after_commit", after_commit)
        try:
            taken = [storage.steadily(study.take)]
        finally:
            event.remove(Session, "after_commit", after_commit)
        assert cut
        assert len(study._trials()) == 2
        taken += [storage.steadily(study.take) for _ in range(2)]
        for trial in taken:
            if trial is not None:
                _ = trial.point
                study.tell(trial, [1.0])
    assert [trial is None for trial in taken] == [False, False, True]


@pytest.mark.parametrize("calls", range(4))
def test_a_trial_that_is_given_back_while_connections_end_is_tried_again_once(
    postgresql, plan, monkeypatch, calls
):
    """Whichever of the steps is the last one that the server has heard of."""
    where = database(postgresql, f"given_back_{calls}")
    with closing(Storage(where)) as storage:
        study = Study(plan(total=2), storage).open()
        trial = study.take()
        assert trial is not None
        point, left = trial.point, [calls]

        def listen(connection, cursor, statement, *_):
            if statement.lower().startswith(("insert", "update")):
                if left[0] == 0:
                    terminate(where)
                left[0] -= 1

        engine = storage._database.engine  # type: ignore[union-attr]
        event.listen(engine, "before_cursor_execute", listen)
        storage.steadily(partial(study.give_back, trial, "stopped"))
        event.remove(engine, "before_cursor_execute", listen)
        assert left[0] < 0
        again = [trial for _ in range(3) if (trial := study.take())]
        assert [of.number for of in again] == [1, 2]
        assert again[0].point == point
        assert again[0].retry_of == 0


def test_a_server_that_does_not_come_back_ends_the_sweep_in_one_line(postgresql, plan, monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (0.1, 0.1))
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
