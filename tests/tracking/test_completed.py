"""Runs that are in MLflow get what they lack, and only that: of an older howdeep, and of `evaluate`."""

import pytest

from howdeep.tracking.words import KEY, KIND, MODEL, of_test
from tests.tracking.work import CARD, net, record

TEST = of_test("accuracy", {"loss": 0.5, "accuracy": 0.875})
OF = record(gap={"best": {"loss": 0.1, "accuracy": -0.05}, "last": {}}) | {
    "epochs": [{"epoch": 0, "val/loss": 0.9, "val/accuracy": 0.75}]
}


@pytest.fixture
def requests(store, monkeypatch) -> list[str]:
    """The runs to which something was logged."""
    client, sent = store.client, []
    log = client.log_batch
    monkeypatch.setattr(
        client,
        "log_batch",
        lambda run_id, *args, **kwargs: (sent.append(run_id), log(run_id, *args, **kwargs)),
    )
    return sent


def test_a_run_of_an_older_howdeep_gets_its_name_tags_parameters_and_metrics_in_one_request(store, requests):
    made = store.client.create_run(
        store.experiment_id, run_name="depth=2-seed=0", tags={KIND: "run", KEY: "k1", MODEL: "logged"}
    ).info.run_id
    store.client.log_param(made, "model._target_", "howdeep.nets.mlp.MLP")
    store.client.log_metric(made, "best/accuracy", 0.75)
    store.client.set_terminated(made)
    model = store.client.create_logged_model(store.experiment_id, "model", made).model_id
    from mlflow.entities import LoggedModelOutput

    store.client.log_outputs(made, [LoggedModelOutput(model, step=0)])
    for _ in range(2):
        store.complete(*store.find(), OF, TEST)
    assert requests == [made]
    (run,) = store.find()
    assert (run.info.run_id, run.info.run_name) == (made, "digits-mlp depth 2 seed 0")
    assert run.data.tags["howdeep.folder"] == "depth=2-seed=0"
    assert run.data.params["model.depth"] == "2"
    ours = {"best/score": 0.75, "best/gap": 0.05, "test/score": 0.875, "test/loss": 0.5}
    assert ours.items() <= run.data.metrics.items()
    found = store.client.get_logged_model(model)
    assert ours.items() <= {metric.key: metric.value for metric in found.metrics}.items()
    assert found.tags["howdeep.cell"] == "digits-mlp depth 2"


def test_a_run_that_lacks_nothing_is_written_to_no_more(store, requests):
    run = store.start(OF, parent=None, about={}, dataset=CARD)
    run.end(OF, None, TEST)
    requests.clear()
    store.complete(*store.find(), OF, TEST)
    assert requests == []


def test_the_test_score_comes_to_a_run_and_to_its_model_and_a_new_one_takes_its_place(store, requests):
    run = store.start(OF, parent=None, about={}, dataset=CARD)
    run.end(OF, None)
    store.log_model(run.run_id, *net())
    requests.clear()
    for value in (0.875, 0.875, 0.5):
        store.add(*store.find(), of_test("accuracy", {"accuracy": value}))
    assert len(requests) == 2
    assert store.client.get_run(run.run_id).data.metrics["test/score"] == 0.5
    [model] = store.client.search_logged_models([store.experiment_id])
    assert (model.name, model.tags["howdeep.entry"]) == ("digits-mlp depth 2", "digits-mlp")
    newest = {
        metric.key: metric.value for metric in sorted(model.metrics, key=lambda metric: metric.timestamp)
    }
    assert newest["test/score"] == 0.5
