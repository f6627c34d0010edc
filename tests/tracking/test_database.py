"""MLflow's sqlite file: made whole or not at all, and mended where the project was moved or copied."""

import contextlib
import os
import shutil
import sqlite3
import time
from multiprocessing import get_context
from pathlib import Path

import mlflow
import pytest

from howdeep.errors import UserError
from howdeep.tracking.database import PLACES
from howdeep.tracking.store import Store
from howdeep.tracking.words import KEY
from tests.tracking.work import net, said, strict, whole, work


def begin(root: Path) -> None:
    Store(f"sqlite:///{root}/mlflow.db", "study", root, strict=True).experiment_id  # noqa: B018


@pytest.mark.slow
def test_a_database_whose_making_is_killed_at_any_moment_is_made_at_the_next_start(made, tmp_path):
    killed_while_made = 0
    for n in range(10):
        process = get_context("fork").Process(target=begin, args=(tmp_path,))
        process.start()
        time.sleep(0.03 + n * 0.1)
        process.kill()
        process.join()
        killed_while_made += bool(list(tmp_path.glob("mlflow.db.*.tmp")))
        if (tmp_path / "mlflow.db").exists():
            break
    assert killed_while_made > 1
    assert Store(f"sqlite:///{tmp_path}/mlflow.db", "study", tmp_path, strict=True).find() == []
    assert not list(tmp_path.glob("mlflow.db.*"))


def half_made(path: Path, made: bytes) -> None:
    path.write_bytes(made)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        for table in ("model_versions", "registered_models"):
            database.execute(f"DROP TABLE {table}")
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")


@pytest.mark.parametrize(
    "spoil",
    [
        half_made,
        lambda path, made: path.write_bytes(b"no database" * 1000),
        lambda path, made: path.write_bytes(made[: len(made) // 2]),
        lambda path, made: path.write_bytes(made[:5000] + b"\xff" * 50_000 + made[55_000:]),
    ],
    ids=["half made", "another file", "cut", "overwritten"],
)
def test_a_damaged_database_is_one_line_with_its_remedy(made, tmp_path, capfd, spoil):
    path = tmp_path / "mlflow.db"
    spoil(path, made)
    store = Store(f"sqlite:///{path}", "study", tmp_path)
    assert work(store) == "trained"
    assert f"move {path} away, then `howdeep sync`" in said(capfd)
    with pytest.raises(UserError, match=r"move .*mlflow.db away, then `howdeep sync`"):
        work(strict(store))
    path.write_bytes(made)  # as it is made anew
    assert whole(store)


def test_an_empty_file_is_no_database_yet(tmp_path):
    (tmp_path / "mlflow.db").touch()
    assert Store(f"sqlite:///{tmp_path}/mlflow.db", "study", tmp_path, strict=True).find() == []


def addresses(root: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as database:
        return [
            value
            for table, columns in PLACES.items()
            for column in columns
            for (value,) in database.execute(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL")
        ]


@pytest.mark.parametrize("how", ["moved", "copied", "copied, then moved", "moved, and its place taken"])
def test_a_project_that_was_moved_or_copied_keeps_its_artifacts_to_itself(made, tmp_path, how):
    old, new = tmp_path / "the old äß place", tmp_path / "new place"
    old.mkdir()
    (old / "mlflow.db").write_bytes(made)
    work(Store(f"sqlite:///{old}/mlflow.db", "study", old, strict=True))
    if "copied" in how:
        shutil.copytree(old, new)
    else:
        old.rename(new)
    if how == "copied, then moved":
        new = new.rename(tmp_path / "newer")
    if how == "moved, and its place taken":
        (old / "conf").mkdir(parents=True)
    before = sorted(old.rglob("*"))
    store = Store(f"sqlite:///{new}/mlflow.db", "study", new, strict=True)
    work(store, "k2")
    assert sorted(old.rglob("*")) == before
    ours = (new / "mlartifacts").as_uri()
    assert [place for place in addresses(new) if "/study" in place and not place.startswith(ours)] == []
    (first,) = store.find(**{KEY: "k1"})
    assert [file.path for file in store.client.list_artifacts(first.info.run_id)] == ["record.json"]
    (model,) = first.outputs.model_outputs
    os.environ["MLFLOW_TRACKING_URI"] = store.uri
    try:
        example = net()[2]
        assert mlflow.pyfunc.load_model(f"models:/{model.model_id}").predict(example).shape == (4, 2)
    finally:
        del os.environ["MLFLOW_TRACKING_URI"]


def test_the_artifacts_of_another_project_that_shares_the_database_stay_where_they_are(made, tmp_path):
    here, other = tmp_path / "here", tmp_path / "other"
    for folder in (here, other):
        folder.mkdir()
    (here / "mlflow.db").write_bytes(made)
    shared = f"sqlite:///{here}/mlflow.db"
    work(Store(shared, "theirs", other, strict=True))
    work(Store(shared, "ours", here, strict=True))
    places = [place for place in addresses(here) if "/theirs" in place]
    assert places
    assert all(place.startswith((other / "mlartifacts").as_uri()) for place in places)
