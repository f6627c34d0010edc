"""Models of MLflow: without pickle, none that a kill left half written, none of a run that was replaced."""

import os
import signal
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow.entities import LoggedModelOutput
from omegaconf import OmegaConf

from howdeep.errors import Stopped
from howdeep.runs.examples import load_split
from howdeep.tracking import served
from howdeep.tracking.models import drop
from howdeep.tracking.store import Store
from howdeep.tracking.words import KEY, PROCESS, TrialOf, of_test
from howdeep.training.run import prepare_task
from tests.choices import MODELS, suiting
from tests.tracking.work import CARD, NET, net, record, work


def models(store: Store) -> list[str]:
    return [str(model.status) for model in store.client.search_logged_models([store.experiment_id])]


def test_the_model_of_a_run_that_is_replaced_goes_with_it(store):
    for _ in range(3):
        work(store)
    assert models(store) == ["READY"]


def test_a_model_has_the_summary_of_its_run_and_no_score_of_its_first_epoch(store):
    one = record(epochs=[{"epoch": 0, "val/loss": 0.9, "val/accuracy": 0.161}], best_epoch=0)
    run = store.start(one, parent=None, about={}, dataset=CARD)
    run.end(one, None)
    store.log_model(run.run_id, *net())
    [model] = store.client.search_logged_models([store.experiment_id])
    found = {metric.key: metric.value for metric in model.metrics}
    assert found["best/score"] == 0.161
    assert not [name for name in found if name.startswith(("val/", "train/", "gap/"))]


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


def broken_off(store: Store) -> str:
    """A run of which a model was written in vain, as one of an older howdeep: it is among the outputs of the run."""
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    run.end(record(), None)
    model = store.client.create_logged_model(store.experiment_id, "model", run.run_id).model_id
    store.client.log_outputs(run.run_id, [LoggedModelOutput(model, step=0)])
    drop(store.client, model)
    return run.run_id


def test_a_run_gets_what_it_lacks_and_may_be_replaced_though_a_model_of_it_was_deleted(store):
    store.strict = True
    run_id = broken_off(store)
    store.complete(*store.find(), record(), of_test("accuracy", {"accuracy": 0.875}))
    assert store.client.get_run(run_id).data.metrics["test/score"] == 0.875
    store.log_model(run_id, *net())
    store.complete(*store.find(), record(), of_test("accuracy", {"accuracy": 0.5}))
    [model] = store.client.search_logged_models([store.experiment_id])
    assert {of.key: of.value for of in model.metrics}["test/score"] == 0.5
    store.delete(store.find())
    assert (store.find(), models(store)) == ([], [])


def test_a_model_that_cannot_be_written_is_none_of_the_outputs_of_its_run(store):
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    run.end(record(), None)
    with pytest.raises(TypeError):
        store.log_model(run.run_id, *net()[:2], None)
    (found,) = store.find()
    assert models(store) == []
    assert not (found.outputs and found.outputs.model_outputs)


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


@pytest.mark.parametrize("model", MODELS)
def test_every_architecture_is_a_model_without_pickle(store, compose, project, monkeypatch, model):
    cfg = compose(f"model={model}", f"data={suiting(model, project)}", "model.depth=2")
    trained = prepare_task(cfg).net.eval()
    asked, example = trained, load_split(cfg, project).validation[0][:4].numpy()
    if model == "gan":  # what is asked makes examples, of noise
        asked, example = trained.get_submodule("generator"), torch.randn(4, cfg.model.latent).numpy()
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
            expected = asked(torch.from_numpy(example[:n])).numpy()
        np.testing.assert_array_equal(loaded.predict(example[:n]), expected)


def test_a_model_whose_config_names_something_else_is_not_loaded(tmp_path):
    served.write(tmp_path / "net", net()[0], {**NET, "_target_": "subprocess.Popen"})
    with pytest.raises(ValueError, match=r"expected one of the nets in howdeep.nets"):
        served._load_pyfunc(str(tmp_path / "net"))
