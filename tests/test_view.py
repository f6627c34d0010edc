"""MLflow is a view of the records: a store that fails, in whatever way, ends no work; real disks, locks and servers."""

import contextlib
import os
import platform
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from omegaconf import OmegaConf

from howdeep import cli, mlflow_database, mlflow_failures, served
from howdeep.errors import Stopped, UserError
from howdeep.nets.mlp import MLP
from howdeep.prepare import load_split
from howdeep.project import Project
from howdeep.synchronise import tracked_parent
from howdeep.tracking import KEY, PROCESS, Store, TrialOf
from howdeep.training.run import prepare_task
from howdeep.workers import run_all

ROOT = Path(__file__).parents[1]
WENT_ON = "the work goes on without it"
CARD = {"name": "digits", "homepage": "https://example.org/digits", "digest": "0123456789abcdef0123"}
NET = {
    "_target_": "howdeep.nets.mlp.MLP", "in_shape": [2, 3], "out_features": 2, "depth": 2, "width": 4,
    "activation": "relu", "initialisation": "he", "residual": True, "normalisation": "none", "dropout": 0.0,
}  # fmt: skip


def record(key="k1", **others):
    return {
        "key": key, "entry": "digits-mlp", "data": "digits", "model": "mlp", "task": "classification", "depth": 2,
        "matching": "width", "seed": 0, "data_checksum": "abc", "config": {"model": NET, "data": {}},
        "state": "finished", "reason": None, "best_epoch": 0,
        "epochs": [{"epoch": 0, "val/loss": 0.9}, {"epoch": 1, "val/loss": 1.0}],
        "gap": {"best": {"loss": 0.1}, "last": {"loss": 0.2}}, "gradient_flow": [], "cost": {"parameters": 10},
    } | others  # fmt: skip


def strict(store: Store) -> Store:
    """The same store for `howdeep sync`, which raises what a training goes on without."""
    return Store(store.uri, store.experiment, store.root, strict=True)


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> bytes:
    """The bytes of a database with its tables, which take two seconds to make."""
    root = tmp_path_factory.mktemp("made")
    Store(f"sqlite:///{root}/mlflow.db", "study", root).client  # noqa: B018
    return (root / "mlflow.db").read_bytes()


@pytest.fixture
def store(made, tmp_path) -> Store:
    (tmp_path / "mlflow.db").write_bytes(made)
    return Store(f"sqlite:///{tmp_path}/mlflow.db", "study", tmp_path)


@pytest.fixture
def disk(tmp_path):
    """A real file system of 1.5 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", place], capture_output=True
    ).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def work(store: Store, key: str = "k1") -> str:
    """All that a training asks of MLflow, from its entry's parent to its model; what the training gives."""
    with tracked_parent(store, "digits-mlp", {"commit": "c0"}) as parent:
        run = store.start(record(key), parent=parent, about={}, dataset=CARD)
        run.log_epochs(record()["epochs"][:1], flush=True)
        run.end(record(key), None)
        if found := store.find(howdeep__key=key):
            store.log_model(found[0].info.run_id, *net())
    return "trained"


def net():
    options = {name: value for name, value in NET.items() if name != "_target_"}
    return MLP(**options).eval(), NET, np.zeros((4, 2, 3), "float32")


def said(capfd) -> str:
    """The one line that was said."""
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1, err
    assert WENT_ON in err
    assert "howdeep sync" in err
    return err


def fill(disk: Path) -> None:
    with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def whole(store: Store) -> bool:
    """Whether a store takes a run from its begin to its end."""
    store = strict(store)
    work(store, "whole")
    return [run.info.status for run in store.find(howdeep__key="whole")] == ["FINISHED"]


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


# A database made whole or not at all


def begin(root: Path) -> None:
    Store(f"sqlite:///{root}/mlflow.db", "study", root, strict=True).experiment_id  # noqa: B018


@pytest.mark.slow
def test_a_database_whose_making_is_killed_at_any_moment_is_made_at_the_next_start(tmp_path):
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


# A project that was moved or copied


def addresses(root: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(root / "mlflow.db")) as database:
        return [
            value
            for table, columns in mlflow_database.PLACES.items()
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


# Leftovers


def models(store: Store) -> list[str]:
    return [str(model.status) for model in store.client.search_logged_models([store.experiment_id])]


def test_the_model_of_a_run_that_is_replaced_goes_with_it(store):
    for _ in range(3):
        work(store)
    assert models(store) == ["READY"]


class Killer(torch.nn.Module):
    def forward(self, _):
        os.kill(os.getpid(), signal.SIGKILL)


def killed_in_a_model(store: Store) -> None:
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    run.end(record(), None)
    store.log_model(run.run_id, Killer(), *net()[1:])


def test_a_model_that_a_kill_left_half_written_is_deleted_and_logged_again(store):
    store.experiment_id  # noqa: B018
    process = get_context("fork").Process(target=killed_in_a_model, args=(store,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert models(store) == ["PENDING"]
    store.close_abandoned()
    assert models(store) == []
    (run,) = store.find(**{KEY: "k1"})
    store.log_model(run.info.run_id, *net())
    assert models(store) == ["READY"]


def test_a_model_that_another_process_is_writing_is_let_alone(store):
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    store.client.create_logged_model(
        store.experiment_id, "model", run.run_id, tags={PROCESS: f"elsewhere:{os.getpid()}:0"}
    )
    store.close_abandoned()
    assert models(store) == ["PENDING"]


def test_a_retry_takes_the_place_of_every_trial_that_it_retries(store):
    for number in (3, 7, 8):
        store.start(record(), parent=None, about={}, dataset=CARD, trial=TrialOf("s", number)).abort(
            Stopped(9), []
        )
    trial = TrialOf("s", 9, replaces=(7, 3))
    store.start(record(), parent=None, about={}, dataset=CARD, trial=trial).end(record(), None)
    assert sorted((run.data.tags["howdeep.trial"], run.info.status) for run in store.find()) == [
        ("8", "KILLED"),
        ("9", "FINISHED"),
    ]


def test_a_chain_of_retries_is_known_to_its_last(tmp_path):
    from howdeep.sweeping.plan import Plan
    from howdeep.sweeping.space import FloatRange, Space
    from howdeep.sweeping.storage import Storage
    from howdeep.sweeping.study import Study

    study = Study(Plan("s", Space({"x": FloatRange(0, 1)}), 3), Storage(str(tmp_path / "journal"))).open()
    first = study.take()
    assert first is not None
    study.give_back(first, "stopped")
    second = study.take()
    assert second is not None
    assert (first.replaces, second.replaces) == ((), (first.number,))
    study.give_back(second, "stopped")
    third = study.take()
    assert third is not None
    assert third.replaces == (second.number, first.number)


@pytest.mark.slow
def test_readme_says_how_the_place_of_replaced_runs_is_freed(store, root):
    words = (root / "README.md").read_text()
    command = next(part for part in words.split("`") if "mlflow gc" in part)
    work(store)
    (old,) = store.find(**{KEY: "k1"})
    (model,) = old.outputs.model_outputs
    work(store)
    artifacts = store.root / "mlartifacts/study"
    folders = [artifacts / old.info.run_id, artifacts / "models" / model.model_id]
    assert all(folder.exists() for folder in folders)
    env = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_TRACKING")}
    path = f"{Path(sys.executable).parent}:{env['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=store.root, env={**env, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not any(list(folder.rglob("record.json")) or list(folder.rglob("MLmodel")) for folder in folders)
    assert models(store) == ["READY"]


# What MLflow lacks is rebuilt


@pytest.fixture
def home(tmp_path, project) -> Project:
    """A project of its own, with the prepared data of the others."""
    shutil.copytree(project.conf, tmp_path / "home/conf")
    shutil.copy(project.params, tmp_path / "home")
    (tmp_path / "home/data").symlink_to(project.root / "data")
    return Project(tmp_path / "home")


@pytest.fixture
def command(home, monkeypatch, capfd):
    """Runs a command in this process, which has paid the imports; what it said, without what it printed."""
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    }
    monkeypatch.chdir(home.root)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)

    def run(*args: str) -> str:
        assert cli.main(list(args)) == 0, capfd.readouterr()
        return capfd.readouterr().err

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


SMALL = ("model=mlp", "data=digits", "model.width=8", "trainer.max_epochs=2", "train_examples=64")
SWEEP = (
    "-m",
    "hydra/sweeper=optuna",
    "hydra.sweeper.n_jobs=2",
    "hydra.sweeper.study=s",
    "model.depth=1,2,3,4",
)


def test_what_mlflow_lacks_of_single_runs_and_sweeps_is_rebuilt_once(home, command):
    gone = "tracking.uri=http://127.0.0.1:9"
    assert WENT_ON in command("train", *SMALL, gone)
    assert (
        command("train", *SWEEP, *SMALL, "hydra.sweeper.n_trials=2", gone).count(WENT_ON) == 0
    )  # as told before
    command("train", *SWEEP, *SMALL, "hydra.sweeper.n_trials=4")
    store = Store(f"sqlite:///{home.root}/mlflow.db", "howdeep", home.root, strict=True)
    half = store.start(record(), parent=None, about={}, dataset=CARD, trial=TrialOf("s", 0))
    store.set_tags(half.run_id, {PROCESS: f"{platform.node()}:1:0"})  # its process has ended
    assert "3 single runs and trials to 'howdeep'" in command("sync")
    assert "single runs" not in command("sync")
    (single,) = store.find(howdeep__kind="run")
    assert (single.info.status, single.data.tags["howdeep.rebuilt"]) == ("FINISHED", "true")
    (parent,) = store.find(howdeep__kind="sweep")
    trials = sorted(store.find(howdeep__kind="trial"), key=lambda run: run.info.run_name)
    assert [run.data.tags["howdeep.trial"] for run in trials] == ["0", "1", "2", "3"]
    assert [run.data.tags.get("howdeep.rebuilt") for run in trials] == ["true", "true", None, None]
    first, last = (run.data.tags.keys() - {"howdeep.rebuilt"} for run in (trials[0], trials[3]))
    assert first == last
    for run in trials:
        assert (run.info.status, run.data.tags["mlflow.parentRunId"]) == ("FINISHED", parent.info.run_id)
        assert run.data.metrics["best/loss"] > 0


def test_a_parent_that_was_deleted_is_made_again_around_its_runs(home, command):
    command("train", *SWEEP, *SMALL, "hydra.sweeper.n_trials=2")
    store = Store(f"sqlite:///{home.root}/mlflow.db", "howdeep", home.root, strict=True)
    (old,) = store.find(howdeep__kind="sweep")
    store.client.delete_run(old.info.run_id)
    command("sync")
    (new,) = store.find(howdeep__kind="sweep")
    assert {run.data.tags["mlflow.parentRunId"] for run in store.find(howdeep__kind="trial")} == {
        new.info.run_id
    }


def test_a_store_that_cannot_be_used_is_no_success_of_sync(home, command, capfd):
    (home.root / "mlflow.db").write_text("no database" * 100)
    assert cli.main(["sync"]) == 1
    assert capfd.readouterr().err.count("\n") == 1


# Models without pickle

DATA = {"rnn": "sunspots", "lstm": "sunspots", "gru": "torch_docs", "transformer": "torch_docs"}


@pytest.mark.parametrize("model", sorted(path.stem for path in (ROOT / "conf/model").glob("*.yaml")))
def test_every_architecture_is_a_model_without_pickle(store, compose, project, monkeypatch, model):
    cfg = compose(f"model={model}", f"data={DATA.get(model, 'digits')}", "model.depth=2")
    trained = prepare_task(cfg).net.eval()
    example = load_split(cfg, project).validation[0][:4].numpy()
    run_id = store.open_parent("entry", {})
    store.log_model(run_id, trained, OmegaConf.to_container(cfg.model, resolve=True), example)
    (logged,) = store.client.get_run(run_id).outputs.model_outputs
    folder = store.root / "mlartifacts/study/models" / logged.model_id
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} <= {
        "", ".json", ".py", ".safetensors", ".txt", ".yaml"
    }  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    loaded = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    for n in (1, 3):  # any number of examples
        with torch.no_grad():
            expected = trained(torch.from_numpy(example[:n])).numpy()
        np.testing.assert_array_equal(loaded.predict(example[:n]), expected)


def test_a_model_whose_config_names_something_else_is_not_loaded(tmp_path):
    served.write(tmp_path / "net", net()[0], {**NET, "_target_": "subprocess.Popen"})
    with pytest.raises(ValueError, match=r"expected one of the nets in howdeep.nets"):
        served._load_pyfunc(str(tmp_path / "net"))


# Words


@pytest.mark.parametrize(
    ("uri", "secrets"),
    [
        ("http://me:s3cr%2Ft@host", ("s3cr%2Ft", "s3cr/t")),
        ("http://me:a/s3cr@t@host", ("a/s3cr@t",)),
        ("mysql+pymysql://me:s3cr@host/db", ("s3cr",)),
        ("postgresql://host/db?user=me&password=s3cr%20t", ("s3cr%20t", "s3cr t")),
        ("https://host/?access_token=s3cr", ("s3cr",)),
    ],
)
def test_no_password_stands_in_a_reason(uri, secrets):
    for words in (uri, f"GET {uri}/api failed", *(f"login as me with {secret} failed" for secret in secrets)):
        assert "s3cr" not in mlflow_failures.told(OSError(words), uri)
