"""MLflow's sqlite file: made whole or not at all, and mended where the project was moved or copied."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil
from filelock import FileLock

from howdeep.tracking.failures import database_of

ARTIFACTS = "mlartifacts"
SECONDS_TO_WAIT = 20.0  # for a lock of others, as long as MLflow itself
# Where MLflow keeps addresses of artifacts.
PLACES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
}


def lock(root: Path) -> FileLock:
    """Held by whoever makes the database, or an experiment of it."""
    (root / "scratch").mkdir(exist_ok=True)
    return FileLock(root / "scratch" / "mlflow.lock", timeout=3 * SECONDS_TO_WAIT)


def prepare(uri: str, root: Path) -> None:
    """Makes the database of an sqlite store unless it is there, and brings it in line with where the project lies.

    The caller holds the `lock`.

    Raises:
        sqlite3.Error, OSError, MlflowException, SQLAlchemyError: it cannot be made, or is damaged.
    """
    if (path := database_of(uri)) is None:
        return
    for left in path.parent.glob(f"{path.name}.[0-9]*.tmp*"):
        pid = left.name.removeprefix(f"{path.name}.").partition(".")[0]
        if not (pid.isdecimal() and psutil.pid_exists(int(pid))):  # it was killed
            left.unlink(missing_ok=True)
    if not path.exists() or path.stat().st_size == 0:
        _make(path, root)
    with closing(sqlite3.connect(path, timeout=SECONDS_TO_WAIT)) as database, database:
        # A run looks for an older one with its key; MLflow's own tables make it read the key of every run.
        database.execute("CREATE INDEX IF NOT EXISTS howdeep_tags ON tags (key, value)")
        if path.resolve().is_relative_to(root.resolve()):
            _mend(database, path, root)


def _make(path: Path, root: Path) -> None:
    """Makes it aside and renames it: MLflow creates table by table, and cannot go on where that was cut short."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # git ignores it, and `make clean` finds it
    uri = f"sqlite:///{aside}"
    try:
        SqlAlchemyStore(uri, (root / ARTIFACTS).as_uri())
        forget(uri)
        aside.replace(path)
    finally:
        forget(uri)
        for left in path.parent.glob(f"{aside.name}*"):
            left.unlink(missing_ok=True)


def forget(uri: str) -> None:
    """Closes the connections that MLflow keeps for each address; an open file would keep its place on a full disk."""
    if engine := _engines().pop(uri, None):
        engine.dispose()


def leave(uri: str, *, to_parent: bool) -> None:
    """Lets go of the connections of a database: a process and its forks must not share one.

    Args:
        to_parent: they are the parent's, which goes on with them; else they are closed, before forks are made.
    """
    if engine := _engines().get(uri):
        engine.dispose(close=not to_parent)


def _engines() -> dict[str, Any]:
    """MLflow's connections by address, of which it has no public way to close one."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    return SqlAlchemyStore._engine_map


def _mend(database: sqlite3.Connection, path: Path, root: Path) -> None:
    """Addresses of artifacts begin with the folder in which the project lay when they were made: now with this one."""
    here = f"{(root / ARTIFACTS).as_uri()}/"
    for old in _former(database, path, root, here):
        for table, columns in PLACES.items():
            for column in columns:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                    (here, len(old) + 1, len(old), old),
                )


def _former(database: sqlite3.Connection, path: Path, root: Path, here: str) -> set[str]:
    """Addresses of folders of artifacts that were this project's.

    Not those of another project that keeps its runs in this database too: that one is there, has no database in the
    same place, and this one has no artifacts of it.
    """
    found = set()
    inside = path.resolve().relative_to(root.resolve())
    for name, number, location in database.execute(
        "SELECT name, experiment_id, artifact_location FROM experiments WHERE artifact_location LIKE 'file:%'"
    ).fetchall():
        for own in (Path("/", name).as_uri().removeprefix("file:///"), str(number)):
            old = location.removesuffix(own)
            if old in (location, here) or not old.endswith(f"/{ARTIFACTS}/"):
                continue
            project = Path(unquote(urlsplit(old).path)).parent
            if not project.exists() or (project / inside).exists() or (root / ARTIFACTS / name).exists():
                found.add(old)
    return found
