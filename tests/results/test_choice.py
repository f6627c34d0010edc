"""Which depth to choose, on studies in which it is known."""

import pandas as pd
import pytest

from howdeep.results.choice import choices
from howdeep.results.scores import scores, summary
from tests.results.test_verdict import scored, study

NOTHING = pd.DataFrame()


def chosen(records, cost=lambda depth: 100 * depth, baselines=NOTHING):
    for record in records:
        record["cost"] = record["cost"] | {"training_flops": cost(record["depth"])}
        for epoch in record["epochs"]:
            epoch["val/accuracy"] = record["score_is"]
    runs = scores(records, scored(records))
    return choices(runs, summary(runs), baselines, {"accuracy": 0.005}).to_dict("records")


def test_the_cheapest_that_is_not_shown_worse_than_the_best_is_chosen(make_record):
    [row] = chosen(study(make_record, {1: 0.8, 2: 0.9, 4: 0.9005, 8: 0.7}))
    assert (row["best"], row["depth"], row["cost"]) == (4, 2, 2.0)
    assert row["against_best"] == "no difference"


def test_the_best_is_chosen_where_all_others_are_worse(make_record):
    [row] = chosen(study(make_record, {1: 0.8, 2: 0.85, 8: 0.95}))
    assert (row["best"], row["depth"], row["cost"]) == (8, 8, 8.0)
    assert row["against_best"] is None or pd.isna(row["against_best"])


@pytest.mark.parametrize("factor", [1.0, 0.95])
def test_of_depths_that_cost_alike_the_shallowest_is_chosen(make_record, factor):
    [row] = chosen(
        study(make_record, {1: 0.9, 8: 0.9}), cost=lambda depth: 1000 if depth == 1 else 1000 * factor
    )
    assert row["depth"] == 1


def test_an_entry_is_asked_once_at_equal_width(make_record):
    levels = {1: 0.9, 2: 0.9}
    wide = study(make_record, levels)
    alike = [dict(r, key=f"p{r['key']}", matching="parameters") for r in study(make_record, levels)]
    [row] = chosen([*wide, *alike])
    assert row["matching"] == "width"
    [row] = chosen(alike)
    assert row["matching"] == "parameters"


def test_the_best_simple_method_has_its_word(make_record):
    line = {
        "task": "classification",
        "data": "digits",
        "model": "mlp",
        "entry": "digits-mlp",
        "matching": "width",
    }
    of = pd.DataFrame([line | {"depth": 1, "verdict": "worse"}, line | {"depth": 2, "verdict": "better"}])
    [row] = chosen(study(make_record, {1: 0.9, 2: 0.9}), baselines=of)
    assert row["beats_simple"] == "worse"
