"""MLflow is a view of the records: a store that fails, in whatever way, ends no work; real disks, locks and servers."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from howdeep.errors import Stopped, UserError
from howdeep.processes.workers import run_all
from howdeep.tracking.parents import tracked_parent
from howdeep.tracking.store import Store
from tests.tracking.work import CARD, record, said, strict, whole, work


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def test_a_store_that_can_be_used_says_nothing(store, capfd):
    assert work(store) == "trained"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("opened", [True, False], ids=["opened before", "not yet opened"])
def test_a_full_disk_is_one_line_and_room_makes_it_whole(made, disk, tmp_path, capfd, opened):
    (disk / "mlflow.db").write_bytes(made)
    store = Store(f"sqlite:///{disk}/mlflow.db", "study", tmp_path)
    if opened:
        store.experiment_id  # noqa: B018
    fill(disk)
    assert work(store) == "trained"
    assert "disk is full" in said(capfd) or opened
    (disk / "filler").unlink()
    assert whole(store)


def test_a_full_disk_for_artifacts_is_one_line_and_the_run_is_rebuilt_later(made, disk, tmp_path, capfd):
    (tmp_path / "mlflow.db").write_bytes(made)
    (tmp_path / "mlartifacts").symlink_to(disk)
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", "study", tmp_path)
    store.experiment_id  # noqa: B018
    fill(disk)
    assert work(store) == "trained"
    assert "No space left on device" in said(capfd)
    assert strict(store).keys() == set()  # so that `howdeep sync` adds it
    (disk / "filler").unlink()
    assert whole(store)


def test_a_disk_that_is_full_while_the_database_is_made_leaves_nothing(disk, capfd):
    with (disk / "filler").open("wb") as file:
        file.write(b"x" * 1_300_000)
    store = Store(f"sqlite:///{disk}/mlflow.db", "study", disk)
    assert work(store) == "trained"
    said(capfd)
    assert {path.name for path in disk.iterdir()} <= {"filler", "scratch"}
    (disk / "filler").unlink()
    assert strict(store).find() == []


def test_a_database_that_may_only_be_read_is_one_line(made, disk, tmp_path, capfd):
    (disk / "mlflow.db").write_bytes(made)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    store = Store(f"sqlite:///{disk}/mlflow.db", "study", tmp_path)
    assert work(store) == "trained"
    assert "readonly database" in said(capfd)
    with pytest.raises(UserError, match="readonly database"):
        strict(store).close_abandoned()


@pytest.mark.slow
def test_a_database_that_stays_locked_is_one_line_for_all_workers(store, capfd):
    store.experiment_id  # noqa: B018
    with contextlib.closing(sqlite3.connect(store.root / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        clock = time.monotonic()
        assert [result for _, result in run_all(lambda key: work(store, key), "abcdef", 3)] == ["trained"] * 6
        assert time.monotonic() - clock < 45
    assert "database is locked" in said(capfd)
    assert whole(store)


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mysql+mysqlconnector://me:PW@127.0.0.1/runs", "No module named"),
        ("postgresql+pg8000://me:PW@127.0.0.1:1/runs", "No module named"),
        ("http://me:PW@127.0.0.1:1", "connection refused"),
        ("http://me:PW@nowhere.invalid", ""),
        ("sqlite:////proc/none/PW.db", ""),
    ],
)
def test_a_driver_or_a_server_that_is_not_there_is_one_line_without_the_password(
    uri, reason, tmp_path, capfd, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    store = Store(uri, "study", tmp_path)
    assert work(store) == "trained"
    line = said(capfd)
    assert reason in line
    assert "PW@" not in line
    assert work(store) == "trained"
    assert capfd.readouterr().err == ""
    with pytest.raises(UserError) as refused:
        strict(store).close_abandoned()
    assert "\n" not in str(refused.value)
    assert "PW@" not in str(refused.value)


@pytest.mark.slow
def test_a_server_that_accepts_and_stays_silent_is_one_line(tmp_path, capfd, monkeypatch):
    assert (
        int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        * (1 + int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]))
        <= 20
    )
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        store = Store(f"http://127.0.0.1:{silent.getsockname()[1]}", "study", tmp_path)
        clock = time.monotonic()
        assert work(store) == "trained"
        assert time.monotonic() - clock < 10
    assert "does not answer" in said(capfd)


def test_what_names_no_kind_of_store_is_an_error(tmp_path):
    with pytest.raises(UserError, match="cannot be opened: expected an address such as") as refused:
        work(Store("foo://me:PW@bar", "study", tmp_path))
    assert "PW" not in str(refused.value)


def test_an_experiment_that_is_deleted_meanwhile_is_one_line(store, capfd):
    store.experiment_id  # noqa: B018
    MlflowClient(store.uri).delete_experiment(store.experiment_id)
    assert work(store) == "trained"
    said(capfd)


def test_a_parent_that_is_deleted_meanwhile_is_one_line(store, capfd):
    with tracked_parent(store, "digits-mlp", {}) as parent:
        store.start(record(), parent=parent, about={}, dataset=CARD).end(record(), None)
        assert parent is not None
        MlflowClient(store.uri).delete_run(parent)
    said(capfd)


def test_a_bug_of_ours_is_none_of_mlflows(store):
    with pytest.raises(KeyError):
        store.start({"no": "record"}, parent=None, about={}, dataset=CARD)
    assert not store.lost


def test_a_stop_is_no_failure_of_mlflow(store):
    with pytest.raises(Stopped), tracked_parent(store, "digits-mlp", {}):
        raise Stopped(signal.SIGTERM)
    assert not store.lost
    assert [run.info.status for run in store.find()] == ["KILLED"]


def test_of_many_workers_one_says_that_the_store_is_lost(made, disk, tmp_path, capfd):
    (disk / "mlflow.db").write_bytes(made)
    store = Store(f"sqlite:///{disk}/mlflow.db", "study", tmp_path)
    store.experiment_id  # noqa: B018
    fill(disk)
    assert [result for _, result in run_all(lambda key: work(store, key), "abcdefgh", 4)] == ["trained"] * 8
    said(capfd)
