"""What MLflow's pages call a run and its numbers."""

from pathlib import Path

import pytest

from howdeep.records.fingerprint import settings
from howdeep.records.record import describe
from howdeep.study import params
from howdeep.study.composition import compose_train
from howdeep.tracking.words import GAP, TrialOf, cell_of, is_summary, of_test, params_of, run_name, summary
from tests.tracking.work import record

ROOT = Path(__file__).parents[2]
PLAN = params.read(ROOT / "params.yaml")


@pytest.mark.parametrize("name", PLAN.entries)
def test_a_run_of_the_default_study_has_at_most_thirty_parameters_and_none_that_is_no_setting(name):
    entry = PLAN.entry(name)
    for cell in PLAN.cells(entry):
        cfg = compose_train(ROOT / "conf", PLAN.overrides(entry, cell))
        found = dict(params_of(describe(cfg, key="k", entry=name, checksum="", config=settings(cfg))))
        assert len(found) <= 30
        assert (found["model.depth"], found["matching"]) == (str(cell.depth), cell.matching)
        assert {"seed", "optimizer", "optimizer.lr", "schedule", "model.width", "trainer.max_epochs"} <= set(
            found
        )
        assert not [of for of in found if of.endswith("_") or of.partition(".")[0] == "diagnostics"]
        assert not {"data.sources", "data.licence", "data.homepage"} & set(found)
        assert "None" not in found.values()


@pytest.mark.parametrize(
    ("score", "higher", "train", "val", "gap"),
    [
        ("accuracy", True, 1.0, 0.75, 0.25),
        ("accuracy", True, 0.5, 0.75, -0.25),
        ("mae", False, 0.25, 0.5, 0.25),
    ],
)
def test_the_gap_of_a_run_is_positive_where_it_does_worse_on_what_it_has_not_seen(
    score, higher, train, val, gap
):
    of = record(
        score={"name": score, "higher_is_better": higher},
        epochs=[{"epoch": 0, "val/loss": 0.9, f"val/{score}": val}],
        gap={"best": {"loss": 0.1, score: val - train}, "last": {}},
    )
    found = {name: value for name, value, _ in summary(of, None)}
    assert found[GAP] == gap
    assert found["best/score"] == val


def test_a_run_that_diverged_has_no_gap_and_no_score():
    of = record(state="diverged", best_epoch=None, gap=None)
    assert [name for name, _, _ in summary(of, None)] == ["parameters"]


def test_what_a_run_reached_on_the_test_examples_has_one_name_in_all_tasks():
    assert of_test("mae", {"loss": 0.25, "mae": 0.5}) == [("test/loss", 0.25, 0), ("test/score", 0.5, 0)]
    assert of_test("kid", {"kid": float("nan"), "precision": 1.0}) == []


def test_names_say_entry_depth_what_is_held_equal_and_seed():
    assert run_name(record(), None) == "digits-mlp depth 2 seed 0"
    assert run_name(record(matching="flops"), None) == "digits-mlp depth 2, equal training FLOPs, seed 0"
    assert cell_of(record(matching="parameters")) == "digits-mlp depth 2, equal parameters"
    assert run_name(record(entry=None), TrialOf("s", 3)) == "0003 digits-mlp depth 2 seed 0"


def test_a_model_has_what_is_of_the_whole_run_and_no_curve():
    values = [
        *summary(record(), {"seconds": 1.0, "memory_mb": 2.0}),
        *of_test("accuracy", {"loss": 1, "accuracy": 1}),
    ]
    assert all(is_summary(name) for name, _, _ in values)
    assert not any(map(is_summary, ("train/loss", "val/accuracy", "gap/loss", "gradient/ratio")))
