"""Storages that cannot be used: one line each, and what there is stays as it was."""

import sqlite3
import subprocess
import sys
import textwrap

import pytest
from filelock import FileLock

from howdeep.errors import UserError
from howdeep.sweeping import storage as module
from howdeep.sweeping.pool import run
from howdeep.sweeping.storage import Storage
from howdeep.sweeping.study import Study


def one(trial) -> float:
    return 1.0


@pytest.mark.slow
def test_a_study_lives_in_sqlite_as_well(plan, tmp_path):
    where = f"sqlite:///{tmp_path}/new/sweep.db"
    (results,) = run([plan(total=4)], where, one, 2)
    assert len(results) == 4
    assert run([plan(total=4)], where, one, 2) == [results]


def test_mlflows_own_database_is_refused(plan, tmp_path):
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.execute("create table experiments (experiment_id integer)")
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(
        UserError, match=r"^sqlite:.*mlflow.db is MLflow's database: a sweep needs a storage of its own"
    ):
        run([plan()], f"sqlite:///{tmp_path}/mlflow.db", one, 1)
    assert (tmp_path / "mlflow.db").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"shopping list", "is no journal of Optuna, or damaged in line 1"),
        (b"{\n}\n", "is no journal of Optuna, or damaged in line 1"),
        (
            b'{"op_code":0,"worker_id":"a","study_name":"s","directions":[1]}\n\xff\xfe\n{"op_code":4}\n',
            "line 2",
        ),
        (b'{"op_code":99,"worker_id":"a"}\n', "is no journal of Optuna, or damaged: restore it"),
    ],
)
def test_a_damaged_journal_is_told_with_its_line_and_left_alone(plan, tmp_path, content, line):
    path = tmp_path / "sweep.journal"
    path.write_bytes(content)
    with pytest.raises(UserError, match=line) as caught:
        run([plan()], str(path), one, 1)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_line_that_a_killed_writer_left_half_written_is_dropped(plan, tmp_path):
    path = tmp_path / "sweep.journal"
    run([plan(total=2)], str(path), one, 1)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":4,"study')
    (results,) = run([plan(total=3)], str(path), one, 1)
    assert len(results) == 3
    assert path.read_bytes().startswith(whole + b'{"op_code":4,"worker_id"')


@pytest.mark.parametrize("name", [".sweep.journal.queue", ".sweep.journal.append"])
def test_a_journal_that_another_process_keeps_locked_is_told_so(plan, tmp_path, monkeypatch, name):
    monkeypatch.setattr(module, "SECONDS_TO_WAIT", 0.1)
    lock = str(tmp_path / name)
    script = f"import filelock; a = filelock.FileLock({lock!r}); a.acquire(); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(
            UserError, match=r"sweep.journal has been locked by another process for .* s: stop that"
        ):
            run([plan()], str(tmp_path / "sweep.journal"), one, 1)
        other.kill()
    assert len(run([plan()], str(tmp_path / "sweep.journal"), one, 1)[0]) == 6


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("mysql://me@host/db", "the storage of a sweep is a path to a journal"),
        ("postgresql://me:secret@127.0.0.1:1/db", r"cannot be used \(connection failed: [^\n]*refused"),
        ("postgresql://me@127.0.0.1:port/db", "cannot be used"),
        ("sqlite:////proc/no/sweep.db", "cannot"),
        ("/proc/no/sweep.journal", "cannot"),
        ("/tmp", "cannot be read: Is a directory"),
    ],
)
def test_a_storage_that_cannot_be_reached_is_one_line_without_its_password(plan, where, line):
    with pytest.raises(UserError, match=line) as caught:
        run([plan()], where, one, 1)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_killed_holder_does_not_keep_the_journal_locked(plan, tmp_path):
    path = tmp_path / "sweep.journal"
    Study(plan(), Storage(str(path))).open()
    script = textwrap.dedent(f"""
        import os, signal
        from howdeep.sweeping.storage import Storage
        with Storage({str(path)!r}).lock():
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    with Storage(str(path)).lock():
        assert (
            FileLock(path.with_name(f".{path.name}.queue")).is_locked is False
        )  # of this process, by another object
