"""A network that howdeep logged, served by MLflow's own command and asked over HTTP."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import Request, urlopen

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from howdeep.runs.examples import load_split
from howdeep.tracking.store import Store
from howdeep.training.run import prepare_task

pytestmark = pytest.mark.slow
SECONDS = 120  # until the test gives up; it takes a dozen


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize("overrides", [("model=cnn",), ("model=gru", "data=torch_docs", "data.context=16")])
def test_a_served_model_answers_as_the_network_does(compose, project, tmp_path, overrides):
    cfg = compose(*overrides, "model.depth=2")
    net = prepare_task(cfg).net.eval()
    example = load_split(cfg, project).validation[0][:2].numpy()
    with torch.no_grad():
        expected = net(torch.from_numpy(example)).numpy()
    store = Store(f"sqlite:///{tmp_path}/mlflow.db", "serving", tmp_path)
    run_id = store.open_parent("entry", {})
    assert run_id is not None
    config = OmegaConf.to_container(cfg.model, resolve=True)
    assert isinstance(config, dict)
    store.log_model(run_id, net, config, example)
    logged = store.client.get_run(run_id).outputs
    assert logged is not None
    (model,) = logged.model_outputs

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    port = free_port()
    command = [
        "models",
        "serve",
        "-m",
        f"models:/{model.model_id}",
        "--env-manager",
        "local",
        "--port",
        str(port),
    ]
    env = {**os.environ, "MLFLOW_TRACKING_URI": store.uri, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    with (tmp_path / "said").open("w+") as said:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command, "--host", "127.0.0.1"], cwd=elsewhere, start_new_session=True,
            env=env, stdout=said, stderr=said,
        )  # fmt: skip
        try:
            answer = ask(server, port, {"inputs": example.tolist()})
        except Exception as error:
            error.add_note((tmp_path / "said").read_text())
            raise
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()
    np.testing.assert_allclose(np.array(answer["predictions"]), expected, rtol=1e-5, atol=1e-6)


def ask(server: subprocess.Popen, port: int, question: dict) -> dict:
    """The answer to a question, as soon as the server takes one."""
    address, kind = f"http://127.0.0.1:{port}/invocations", {"Content-Type": "application/json"}
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            with urlopen(Request(address, json.dumps(question).encode(), kind), timeout=SECONDS) as answer:
                return json.load(answer)
        except URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
        assert server.poll() is None, "the server has ended"
        assert time.monotonic() < deadline, "the server does not listen"
        time.sleep(0.1)
