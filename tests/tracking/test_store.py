"""MLflow as a view of the records: a real sqlite store, real processes."""

import contextlib
import os
import re
import sqlite3
import subprocess
import sys

import mlflow
import numpy as np
import pytest
import safetensors
import torch
import yaml
from mlflow import MlflowClient
from mlflow.models import infer_signature
from mlflow.pyfunc import log_model
from sqlalchemy.event import listen

from howdeep.errors import Stopped, UserError
from howdeep.nets.mlp import MLP
from howdeep.processes.locks import is_gone, this_process
from howdeep.tracking import database, models, served
from howdeep.tracking.client import locate
from howdeep.tracking.parents import tracked_parent
from howdeep.tracking.store import Store
from howdeep.tracking.words import ENTRY, KEY, KIND, MODEL, PROCESS, flat

TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
NET = {
    "_target_": "howdeep.nets.mlp.MLP", "in_shape": [2, 3], "out_features": 2, "depth": 2, "width": 4,
    "activation": "relu", "initialisation": "he", "residual": True, "normalisation": "none", "dropout": 0.0,
}  # fmt: skip
CARD = {"name": "digits", "homepage": "https://example.org/digits", "digest": "0123456789abcdef0123"}


def record(key="k1", state="finished", entry="digits-mlp"):
    return {
        "key": key, "entry": entry, "data": "digits", "model": "mlp", "task": "classification", "depth": 2,
        "matching": "width", "seed": 0, "score": {"name": "accuracy", "higher_is_better": True},
        "data_checksum": "abc", "config": {"model": {"depth": 2}, "seed": 0},
        "state": state, "reason": None if state == "finished" else "train/loss became nan in epoch 1", "best_epoch": 1,
        "epochs": [
            {"epoch": 0, "train/loss": 1.0, "val/loss": 0.9, "val/accuracy": 0.5, "gap/loss": 0.1},
            {"epoch": 1, "train/loss": 0.5, "val/loss": 0.6, "val/accuracy": 0.75},
        ],
        "gap": {"best": {"loss": 0.1, "accuracy": -0.05}, "last": {"loss": 0.2}}, "gradient_flow": [],
        "cost": {"parameters": 10, "training_flops": 60},
    }  # fmt: skip


def test_a_run_has_parameters_curves_summary_data_set_and_config(store):
    parent = store.open_parent("digits-mlp", {"commit": "c0"})
    run = store.start(record(), parent=parent, about={"commit": "c0", "dirty": "false"}, dataset=CARD)
    run.end(record(), {"seconds": 1.5, "memory_mb": 100.0})
    seen = MlflowClient(store.uri).get_run(run.run_id)
    assert seen.info.status == "FINISHED"
    assert seen.info.run_name == "digits-mlp depth 2 seed 0"
    assert seen.data.params == {"model.depth": "2", "seed": "0"}
    assert seen.data.tags[KEY] == "k1"
    assert seen.data.tags["mlflow.parentRunId"] == parent
    assert (seen.data.tags["commit"], seen.data.tags["dirty"]) == ("c0", "false")
    curve = MlflowClient(store.uri).get_metric_history(run.run_id, "val/accuracy")
    assert [(m.step, m.value) for m in curve] == [(0, 0.5), (1, 0.75)]
    assert seen.data.metrics["best/score"] == 0.75
    assert seen.data.metrics["best/gap"] == 0.05
    assert seen.data.metrics["parameters"] == 10
    assert seen.inputs is not None
    assert seen.inputs.dataset_inputs[0].dataset.name == "digits"
    artifacts = {file.path for file in MlflowClient(store.uri).list_artifacts(run.run_id)}
    assert artifacts == {"record.json"}


def strict(store):
    """The same store for `howdeep sync`, which raises what a training goes on without."""
    return Store(store.uri, store.experiment, store.root, strict=True)


def rows_of(store, run_ids):
    """Every row of every table, with names for ids; of times only whether they are there."""
    with contextlib.closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as db:
        tables = {name: db.execute(f"SELECT * FROM {name}") for (name,) in db.execute(TABLES).fetchall()}
        found = {}
        for name, cursor in tables.items():
            columns = [column[0] for column in cursor.description]
            found[name] = [dict(zip(columns, row, strict=True)) for row in cursor]
    names = dict(zip(run_ids, ("again", "diverged", "pruned"), strict=True))
    names |= {row["dataset_uuid"]: row["name"] for row in found["datasets"]}
    names |= {row["input_uuid"]: f"input of {row['destination_id']}" for row in found["inputs"]}
    names |= {str(store.root): "here"}

    def shown(column, value):
        if column.endswith(("time", "timestamp", "timestamp_ms")):
            return bool(value)
        text = repr(value)
        for id_, name in [*names.items(), *names.items()]:
            text = text.replace(id_, name)
        return re.sub("[0-9a-f]{32}", "another", text)

    return {
        name: sorted(str({column: shown(column, value) for column, value in row.items()}) for row in rows)
        for name, rows in found.items()
    }


def test_an_experiment_that_another_machine_makes_meanwhile_is_the_one(store, monkeypatch):
    find, first = store.client.get_experiment_by_name, []

    def made_in_between(name: str) -> object:
        if not first:
            first.append(store.client.create_experiment(name))
            return None
        return find(name)

    monkeypatch.setattr(store.client, "get_experiment_by_name", made_in_between)
    assert [store.experiment_id] == first


def test_a_run_in_a_deleted_experiment_is_refused_in_one_line(store):
    store.client.delete_experiment(store.experiment_id)
    with pytest.raises(
        UserError, match=r"the experiment study was deleted: restore it with `mlflow exp.* -x 1`"
    ):
        strict(store).start(record(), parent=None, about={}, dataset=CARD)


def test_curves_are_buffered_and_every_epoch_is_sent_once(store):
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    rows = record()["epochs"]
    run.log_epochs(rows[:1])
    assert MlflowClient(store.uri).get_metric_history(run.run_id, "val/loss") == []
    run.log_epochs(rows[:1], flush=True)
    run.log_epochs(rows, flush=True)
    assert [m.step for m in MlflowClient(store.uri).get_metric_history(run.run_id, "val/loss")] == [0, 1]


def test_a_diverged_run_ends_failed_with_its_reason(store):
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    run.end(record(state="diverged") | {"gap": None}, None)
    seen = MlflowClient(store.uri).get_run(run.run_id)
    assert seen.info.status == "FAILED"
    assert "nan in epoch 1" in seen.data.tags["howdeep.reason"]


@pytest.mark.parametrize(("error", "status"), [(Stopped(15), "KILLED"), (RuntimeError(), "FAILED")])
def test_a_run_that_ends_early_keeps_its_epochs(store, error, status):
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    run.abort(error, record()["epochs"][:1])
    seen = MlflowClient(store.uri).get_run(run.run_id)
    assert (seen.info.status, seen.data.metrics["val/loss"]) == (status, 0.9)


def test_the_same_key_replaces_the_older_run(store):
    first = store.start(record(), parent=None, about={}, dataset=CARD)
    second = store.start(record(), parent=None, about={}, dataset=CARD)
    assert [run.info.run_id for run in store.find(howdeep__key="k1")] == [second.run_id] != [first.run_id]


def test_entries_that_hold_the_same_network_keep_a_run_each(store):
    own = store.start(record(), parent=None, about={}, dataset=CARD)
    other = store.start(record() | {"entry": "other"}, parent=None, about={}, dataset=CARD)
    found = {run.info.run_id for run in store.find(howdeep__key="k1")}
    assert found == {own.run_id, other.run_id}


def test_an_entry_has_one_parent_however_often_it_starts(store):
    assert store.open_parent("digits-mlp", {}) == store.open_parent("digits-mlp", {})
    assert store.open_parent("digits-mlp", {}) != store.open_parent("other", {})


def test_runs_of_a_dead_process_are_closed_and_those_of_a_living_one_are_not(store):
    live = store.start(record("live"), parent=None, about={}, dataset=CARD)
    dead = store.start(record("dead"), parent=None, about={}, dataset=CARD)
    ended = subprocess.run(
        [sys.executable, "-c", "from howdeep.processes.locks import this_process; print(this_process())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    store.client.set_tag(dead.run_id, PROCESS, ended.stdout.strip())
    assert store.close_abandoned() == 1
    assert store.client.get_run(dead.run_id).info.status == "KILLED"
    assert store.client.get_run(live.run_id).info.status == "RUNNING"


def test_what_another_host_has_left_running_is_told_and_ended_by_its_name(store):
    with tracked_parent(store, "an-entry", {}) as parent:
        mine, its = (
            store.start(record(key), parent=parent, about={}, dataset=CARD) for key in ("mine", "its")
        )
        store.set_tags(its.run_id, {PROCESS: "old-box:1:2.00"})
    store.set_tags(parent, {PROCESS: "old-box:1:2.00"})
    store.client.update_run(parent, status="RUNNING")
    (line,) = store.open_elsewhere()
    assert re.fullmatch(
        r"2 runs in MLflow's experiment 'study' \(.*an-entry.*\) are RUNNING on the host old-box since 20[-\d: ]+: if "
        r"that host is gone, end them with `howdeep sync --take-over old-box`",
        line,
    )
    assert store.open_elsewhere(**{ENTRY: "another"}) == []
    assert (store.close_abandoned(), store.close_abandoned("another")) == (0, 0)
    assert store.close_abandoned("old-box") == 2
    assert store.open_elsewhere() == []
    assert store.client.get_run(its.run_id).info.status == "KILLED"
    assert store.client.get_run(mine.run_id).info.status == "RUNNING"


def test_who_goes_on_with_an_entry_is_told_of_its_runs_on_another_host(store, capfd):
    with tracked_parent(store, "an-entry", {}) as parent:
        tags = record("its") | {"entry": "an-entry"}
        its = store.start(tags, parent=parent, about={}, dataset=CARD)
        store.set_tags(its.run_id, {PROCESS: "old-box:1:2.00"})
    assert "old-box" not in capfd.readouterr().err
    with tracked_parent(store, "another", {}):
        assert "old-box" not in capfd.readouterr().err
    with tracked_parent(store, "an-entry", {}):
        assert "howdeep: 1 runs in MLflow's experiment 'study'" in capfd.readouterr().err


def test_a_process_is_known_by_host_id_and_start():
    assert not is_gone(this_process())
    host, pid, started = this_process().rsplit(":", 2)
    assert is_gone(f"{host}:{pid}:{float(started) - 100}")  # the same id, taken by a later process
    assert not is_gone(f"elsewhere:{pid}:{started}")


def test_keys_are_those_of_runs_that_ended_by_themselves(store):
    store.start(record("finished"), parent=None, about={}, dataset=CARD).end(record("finished"), None)
    store.start(record("diverged"), parent=None, about={}, dataset=CARD).end(
        record("diverged", "diverged"), None
    )
    store.start(record("killed"), parent=None, about={}, dataset=CARD).abort(Stopped(15), [])
    store.start(record("running"), parent=None, about={}, dataset=CARD)
    store.client.delete_run(store.find(**{KEY: "finished"})[0].info.run_id)
    store.start(record("finished"), parent=None, about={}, dataset=CARD).end(record("finished"), None)
    found = store.client.search_runs([store.experiment_id], f"tags.`{KIND}` = 'run'")
    by_themselves = {run.data.tags[KEY] for run in found if run.info.status in ("FINISHED", "FAILED")}
    assert store.keys() == by_themselves == {"finished", "diverged"}


def test_keys_of_another_study_in_the_same_store_are_its_own(store):
    store.start(record("here"), parent=None, about={}, dataset=CARD).end(record("here"), None)
    other = Store(store.uri, "another study", store.root)
    other.start(record("there"), parent=None, about={}, dataset=CARD).end(record("there"), None)
    assert (store.keys(), other.keys()) == ({"here"}, {"there"})


def test_a_run_is_looked_up_by_its_key_without_reading_those_of_all_others(store):
    asked = []
    store.client  # noqa: B018 it opens the database
    listen(database._engines()[store.uri], "before_cursor_execute", lambda *told: asked.append(told[2:4]))
    store.find(**{KEY: "k1"})
    store.start(record(), parent=None, about={}, dataset=CARD)
    looks = [(query, values) for query, values in asked if KEY in values and query.startswith("SELECT")]
    assert len(looks) == 2
    with contextlib.closing(sqlite3.connect(store.uri.removeprefix("sqlite:///"))) as db:
        for query, values in looks:
            plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values)]
            assert any("howdeep_tags (key=? AND value=?)" in step for step in plan), plan
            assert not any(step.startswith("SCAN runs") for step in plan), plan


def test_any_number_of_tags_can_be_set_at_once(store):
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    tags = {f"verdict/{n}": str(n) for n in range(250)}
    store.set_tags(run.run_id, tags)
    assert tags.items() <= store.client.get_run(run.run_id).data.tags.items()


@pytest.mark.slow
def test_two_first_writers_do_not_crash(tmp_path):
    code = (
        "from pathlib import Path; from howdeep.tracking.store import Store; import sys; p = Path(sys.argv[1]);"
        "Store(f'sqlite:///{p}/mlflow.db', 'study', p).experiment_id"
    )
    first, second = (
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    )
    errors = [process.communicate()[1] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), errors
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", "study", tmp_path)
    assert {e.name for e in store.client.search_experiments()} == {"Default", "study"}


def test_a_logged_model_predicts_what_the_net_predicts(store, monkeypatch):
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    run.end(record(), None)
    net = MLP(**{name: value for name, value in NET.items() if name != "_target_"}).eval()
    example = np.random.default_rng(0).normal(size=(4, 2, 3)).astype("float32")
    address = os.environ.get("MLFLOW_TRACKING_URI")
    store.log_model(run.run_id, net, NET, example)
    assert os.environ.get("MLFLOW_TRACKING_URI") == address  # the next config would read it
    (output,) = store.client.get_run(run.run_id).outputs.model_outputs
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = mlflow.pyfunc.load_model(f"models:/{output.model_id}")
    np.testing.assert_allclose(
        model.predict(example), net(torch.from_numpy(example)).detach().numpy(), rtol=1e-6
    )
    assert model.metadata.signature.inputs.inputs[0].shape == (-1, 2, 3)


def model_of(store, log):
    """A run with a model: all rows of the database, the model's MLmodel, the names and the texts of its files."""
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    run.end(record(), None)
    log(run.run_id)
    (folder,) = store.root.glob("mlartifacts/study/models/*/artifacts")
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    about = yaml.safe_load(files.pop("MLmodel").read_text())
    for name in ("artifact_path", "model_id", "model_uuid", "run_id", "utc_time_created"):
        assert about.pop(name)
    texts = {name: path.read_bytes() for name, path in files.items() if path.suffix != ".pyc"}
    return rows_of(store, [run.run_id] * 3), about, set(files), texts


def test_a_logged_model_has_the_rows_and_files_that_mlflow_gives_it(store, tmp_path, monkeypatch):
    (tmp_path / "client").mkdir()
    (tmp_path / "client/mlflow.db").write_bytes((tmp_path / "mlflow.db").read_bytes())
    other = Store(f"sqlite:///{tmp_path}/client/mlflow.db", "study", tmp_path / "client")
    net = MLP(**{name: value for name, value in NET.items() if name != "_target_"}).eval()
    example = np.zeros((4, 2, 3), "float32")
    served.write(tmp_path / "net", net, NET)
    served.copy_code(tmp_path / "howdeep")

    def by_mlflow(run_id):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", other.uri)
        with mlflow.start_run(run_id=run_id):
            pins = [
                f"torch=={torch.__version__.split('+')[0]}",
                f"safetensors=={safetensors.__version__}",
                *("numpy", "pandas", "pydantic>=2", "pillow", "pyarrow"),
            ]
            log_model(
                name="digits-mlp depth 2", loader_module="howdeep.tracking.served", data_path=str(tmp_path / "net"),
                tags=models.tags_of(other.client.get_run(run_id).data.tags),
                signature=infer_signature(example, np.zeros((4, 2), "float32")), input_example=example,
                pip_requirements=pins, code_paths=[str(tmp_path / "howdeep")],
            )  # fmt: skip
        other.set_tags(run_id, {MODEL: "logged"})

    ours = model_of(store, lambda run_id: store.log_model(run_id, net, NET, example))
    assert {name for name, rows in ours[0].items() if rows} >= {
        "logged_models", "logged_model_metrics", "logged_model_params", "logged_model_tags"
    }  # fmt: skip
    theirs = model_of(other, by_mlflow)
    measured, all_of_step_0 = (set(rows.pop("logged_model_metrics")) for rows in (ours[0], theirs[0]))
    assert ours == theirs
    assert measured < all_of_step_0  # not what the first epoch measured, before there was a model
    assert any("best/score" in row for row in measured)
    assert not any("val/" in row for row in measured)


def test_a_store_that_cannot_be_opened_is_one_line(tmp_path):
    (tmp_path / "mlflow.db").write_text("this is no database" * 100)
    with pytest.raises(
        UserError, match=r"cannot be used \(file is not a database\): move .*mlflow.db away"
    ) as caught:
        Store(f"sqlite:///{tmp_path}/mlflow.db", "study", tmp_path, strict=True).find()
    assert "\n" not in str(caught.value)


def test_an_sqlite_file_is_meant_relative_to_the_project(tmp_path):
    assert locate("sqlite:///mlflow.db", tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    assert locate("sqlite:////elsewhere/m.db", tmp_path) == "sqlite:////elsewhere/m.db"
    assert locate("http://127.0.0.1:5000", tmp_path) == "http://127.0.0.1:5000"


def test_a_config_is_flattened_to_its_leaves():
    assert flat({"a": {"b": 1, "c": [1, 2]}, "d": None}) == [("a.b", 1), ("a.c", [1, 2]), ("d", None)]


def test_a_forked_worker_can_write_to_the_store_its_parent_opened(store):
    from howdeep.processes.workers import run_all

    store.experiment_id  # noqa: B018  (opens the parent's connection)

    def work(key):
        store.start(record(key), parent=None, about={}, dataset=CARD).end(record(key), None)
        return os.getpid()

    keys = [f"{n}" for n in range(20)]
    pids = {pid for _, pid in run_all(work, keys, 4)}
    assert os.getpid() not in pids
    assert store.keys() == set(keys)


def test_several_first_writers_of_a_data_set_do_not_crash(store):
    from howdeep.processes.workers import run_all

    store.experiment_id  # noqa: B018

    def work(n):
        for other in range(10):  # all of them begin with data sets that the store has not seen
            card = {**CARD, "name": f"data{other}"}
            store.start(record(f"{n}-{other}"), parent=None, about={}, dataset=card)
        return n

    assert len(list(run_all(work, range(4), 4))) == 4
