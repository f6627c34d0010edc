"""`howdeep ui` as people use it: a real process, asked over HTTP."""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from mlflow import MlflowClient

from howdeep.nets.mlp import MLP
from howdeep.tracking.store import Store
from howdeep.tracking.words import PROCESS

pytestmark = pytest.mark.slow
# MLflow leaves the address of the store that it used last, in another test, in the environment.
ENV = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
CARD = {"name": "digits", "homepage": "https://example.org/digits", "digest": "0123456789abcdef0123"}
NET = {
    "_target_": "howdeep.nets.mlp.MLP", "in_shape": [2, 3], "out_features": 2, "depth": 2, "width": 4,
    "activation": "relu", "initialisation": "he", "residual": True, "normalisation": "none", "dropout": 0.0,
}  # fmt: skip
RECORD = {
    "key": "k1", "entry": "digits-mlp", "data": "digits", "model": "mlp", "task": "classification", "depth": 2,
    "matching": "width", "seed": 0, "score": {"name": "accuracy", "higher_is_better": True},
    "data_checksum": "abc", "config": {"model": NET}, "state": "finished",
    "reason": None, "best_epoch": 0, "epochs": [{"epoch": 0, "val/loss": 0.9}],
    "gap": {"best": {"loss": 0.1}}, "gradient_flow": [], "cost": {"parameters": 10},
}  # fmt: skip
SECONDS = 60  # until the test gives up; it takes a few


class Served(NamedTuple):
    process: subprocess.Popen[str]
    port: int

    def ask(self, path: str, question: Any = None, **headers: str) -> bytes:
        """GETs a path, or POSTs a question as JSON."""
        data = None if question is None else json.dumps(question).encode()
        headers = {"Content-Type": "application/json", **headers}
        with urlopen(
            Request(f"http://127.0.0.1:{self.port}{path}", data, headers), timeout=SECONDS
        ) as answer:
            return answer.read()

    def stop(self, number: signal.Signals) -> tuple[int, str]:
        """Exit code, and what stood on stderr after the first line."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, err


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A project with a store of one run, which has a metric and an artifact; it was moved since."""
    folder = tmp_path_factory.mktemp("ui") / "before"
    folder.mkdir()
    (folder / "conf").mkdir()
    (folder / "params.yaml").touch()
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    experiment = client.create_experiment("study", (folder / "mlartifacts" / "study").as_uri())
    run = client.create_run(experiment, run_name="depth=4-seed=0").info.run_id
    client.log_metric(run, "val/loss", 0.25, step=3)
    client.log_dict(run, {"depth": 4}, "config.json")
    client.set_terminated(run)
    return folder.rename(folder.with_name("after"))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def served(store) -> Iterator[Served]:
    """The UI of that project, from the moment that it says its address."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "howdeep", "ui", "--port", str(port)],
        cwd=store, env=ENV, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        assert process.stderr.readline() == f"MLflow: http://127.0.0.1:{port} (Ctrl-C ends it)\n"
        yield Served(process, port)
    finally:
        process.kill()
        process.communicate()


def test_the_ui_answers_with_its_page_and_with_the_runs_of_the_project(served):
    assert b"<title>MLflow</title>" in served.ask("/")
    found = json.loads(served.ask("/ajax-api/2.0/mlflow/experiments/search", {"max_results": 10}))
    (experiment,) = (e["experiment_id"] for e in found["experiments"] if e["name"] == "study")
    (run,) = json.loads(
        served.ask("/ajax-api/2.0/mlflow/runs/search", {"experiment_ids": [experiment], "max_results": 10})
    )["runs"]
    assert run["info"]["run_name"] == "depth=4-seed=0"
    (metric,) = run["data"]["metrics"]
    assert (metric["key"], metric["value"], metric["step"]) == ("val/loss", 0.25, 3)
    artifact = served.ask(f"/get-artifact?path=config.json&run_uuid={run['info']['run_id']}")
    assert json.loads(artifact) == {"depth": 4}


def test_a_training_that_logs_to_a_server_leaves_one_run_and_one_model(served, tmp_path, capfd):
    store = Store(f"http://me:PW@127.0.0.1:{served.port}", "served", tmp_path, strict=True)
    net = MLP(**{name: value for name, value in NET.items() if name != "_target_"}).eval()
    for _ in range(2):  # the second one takes the place of the first
        run = store.start(RECORD, parent=None, about={}, dataset=CARD)
        run.end(RECORD, None)
        store.log_model(run.run_id, net, NET, np.zeros((4, 2, 3), "float32"))
    dead = {PROCESS: f"{platform.node()}:1:0"}
    store.client.create_logged_model(store.experiment_id, "half written", run.run_id, tags=dead)
    store.close_abandoned()
    models = store.client.search_logged_models([store.experiment_id])
    assert [(model.name, str(model.status)) for model in models] == [("digits-mlp depth 2", "READY")]
    assert [found.info.run_id for found in store.find()] == [run.run_id]
    assert [file.path for file in store.client.list_artifacts(run.run_id)] == ["record.json"]
    assert "PW" not in "".join(capfd.readouterr())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_ui_ends_in_order_and_without_a_word(served, number):
    served.ask("/")
    assert served.stop(number) == (0, "")
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", served.port))


def test_ctrl_c_while_the_ui_starts_is_one_line(served):
    time.sleep(0.5)  # in the middle of its imports
    code, err = served.stop(signal.SIGINT)
    assert (code, err.count("\n")) == (130, 1)


def test_a_stop_that_an_import_dropped_ends_the_ui_before_it_serves(store):
    swallowed = """
import os, signal, sys
from types import SimpleNamespace
from howdeep import cli
from howdeep.errors import Stopped
from howdeep.tracking import ui

def server(*_):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except Stopped:
        pass
    return SimpleNamespace(run=lambda sockets: print("served", file=sys.stderr), started=True)

ui._server = server
sys.exit(cli.main(sys.argv[1:]))
"""
    done = subprocess.run(
        [sys.executable, "-c", swallowed, "ui", "--port", str(free_port())],
        cwd=store, env=ENV, capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 130
    (_address, line) = done.stderr.splitlines()
    assert "stopped" in line


def test_the_ui_serves_this_machine_alone(served):
    with pytest.raises(HTTPError, match="403") as refused:
        served.ask("/", Host="evil.example")  # another site's page whose name leads to 127.0.0.1
    refused.value.close()


def test_a_store_that_cannot_be_opened_and_a_port_that_cannot_be_are_one_line(store, monkeypatch, tmp_path):
    (tmp_path / "bad.db").write_text("not a database")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/bad.db")
    for port, said in (
        ("0", "whole number of at least 1"),
        ("70000", "65535"),
        (str(free_port()), "file is not a database"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "howdeep", "ui", "--port", port],
            cwd=store, capture_output=True, text=True, timeout=SECONDS,
        )  # fmt: skip
        assert done.returncode != 0
        assert said in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
