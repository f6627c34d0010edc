"""The data set of a run has its schema and its profile in MLflow: those of its data card."""

import json
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from howdeep.data import prepared
from howdeep.files import reading
from tests.choices import EMBEDDED
from tests.tracking.work import CARD, record


def dataset(store, run_id: str) -> Any:
    """The one data set of a run."""
    inputs = MlflowClient(store.uri).get_run(run_id).inputs
    assert inputs is not None
    (of,) = inputs.dataset_inputs
    return of.dataset


def logged(store, card) -> tuple[list, dict]:
    """Schema and profile as MLflow gives them back."""
    run = store.start(record(), parent=None, about={}, dataset=card)
    of = dataset(store, run.run_id)
    return json.loads(of.schema)["mlflow_colspec"], json.loads(of.profile)


def test_digits_have_64_features_ten_classes_and_their_counts(store, project):
    card = reading.json_map(project.prepared("digits") / "card.json", "")
    schema, profile = logged(store, card)
    assert schema == [
        {"name": "features", "type": "float32 (64)"},
        {"name": "class", "type": "one of 10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"},
    ]
    assert (profile["train_examples"], profile["test_examples"], profile["range"]) == (1438, 359, "0 to 16")
    counts = [int(n) for n in profile["test examples of each class"].split(", ")]
    assert (len(counts), sum(counts)) == (10, 359)


@pytest.mark.parametrize("data", EMBEDDED)
def test_every_data_set_has_named_fields_and_the_number_of_its_examples(store, project, data):
    card = reading.json_map(project.prepared(data) / "card.json", "")
    schema, profile = logged(store, card)
    assert all(field["name"] and field["type"] for field in schema)
    assert {part: profile[f"{part}_examples"] for part in ("train", "test")} == card["examples"]
    assert profile["licence"] == card["licence"]


def test_targets_that_are_numbers_have_their_names(store):
    x, y = np.arange(12.0).reshape(6, 2), np.arange(12.0).reshape(6, 2) ** 2
    of = prepared.numbers(train=(x[:4], y[:4]), test=(x[4:], y[4:]), targets=["weight", "pulse"])
    schema, profile = logged(store, CARD | of.card)
    assert [field["name"] for field in schema] == ["features", "weight", "pulse"]
    assert (profile["train_examples"], profile["test_examples"]) == (4, 2)


def test_a_card_of_which_little_is_known_is_a_data_set_without_a_profile(store):
    run = store.start(record(), parent=None, about={}, dataset=CARD)
    of = dataset(store, run.run_id)
    assert (of.name, of.schema, of.profile) == ("digits", None, None)
