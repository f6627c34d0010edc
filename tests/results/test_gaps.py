"""The gap in its four views, against numbers worked out by hand."""

import math

import numpy as np
import pytest

from howdeep.results.gaps import at_equal_loss, chance_loss, chance_score, gap_at_loss, normalised, trajectory
from howdeep.results.scores import scores, select

METHODS = {"majority": {"val": {"loss": 2.3, "accuracy": 0.1}, "test": {"loss": 2.2, "accuracy": 0.12}}}


def test_a_normalised_gap_is_0_without_overfitting_and_1_where_nothing_generalises():
    assert normalised(0.0, train=0.2, chance=2.2) == 0
    assert normalised(2.0, train=0.2, chance=2.2) == 1  # the validation loss is chance
    assert normalised(-0.9, train=1.0, chance=0.1, higher_is_better=True) == 1
    assert normalised(-0.09, train=1.0, chance=0.1, higher_is_better=True) == pytest.approx(0.1)


def test_where_nothing_was_learned_there_is_nothing_to_normalise_by():
    assert math.isnan(normalised(0.1, train=2.3, chance=2.2))
    assert math.isnan(normalised(0.1, train=0.1, chance=0.2, higher_is_better=True))
    assert math.isnan(normalised(0.1, train=0.5, chance=math.nan))


def test_chance_is_what_the_trivial_method_of_the_score_reaches():
    assert chance_score("accuracy", METHODS, "val") == 0.1
    assert chance_score("accuracy", METHODS, "test") == 0.12
    assert chance_loss("accuracy", METHODS, 0.5, 0.9) == 2.3
    assert math.isnan(chance_score("mae", METHODS, "val"))
    assert math.isnan(chance_loss("mae", {}, 0.5, 0.9))


def test_of_a_share_of_the_variance_chance_is_the_variance():
    assert chance_score("mse_ratio", {}, "val") == 1
    assert chance_loss("mse_ratio", {}, train_loss=0.1, train_score=0.2) == 0.5


def test_the_gap_at_a_loss_lies_between_the_epochs_around_it():
    losses, gaps = np.array([1.0, 0.6, 0.2]), np.array([0.0, 0.1, 0.5])
    assert gap_at_loss(losses, gaps, 0.5) == pytest.approx(0.2)  # a quarter of the way from .6 to .2
    assert gap_at_loss(losses, gaps, 0.6) == pytest.approx(0.1)
    assert gap_at_loss(losses, gaps, 1.0) == 0
    assert math.isnan(gap_at_loss(losses, gaps, 0.1))
    assert math.isnan(gap_at_loss(losses, gaps, 1.1))


def test_of_a_loss_that_rises_again_the_first_crossing_counts():
    assert gap_at_loss(np.array([1.0, 0.4, 0.8, 0.2]), np.array([0.0, 0.1, 9, 9]), 0.4) == pytest.approx(0.1)


def test_runs_are_compared_at_the_lowest_loss_that_all_of_them_reached():
    fast = np.array([[1.0, 0.0], [0.1, 0.9]])
    slow = np.array([[1.0, 0.0], [0.55, 0.2]])
    level, gaps = at_equal_loss([fast, slow, np.empty((0, 2))])
    assert level == 0.55
    assert gaps == pytest.approx([0.45, 0.2, math.nan], nan_ok=True)
    assert math.isnan(at_equal_loss([np.empty((0, 2))])[0])


def test_a_line_alone_decides_its_level_and_every_depth_of_it_is_read_there(make_record):
    records = [make_record("digits", "mlp", depth, 0) for depth in (1, 2)]
    records.append(make_record("breast_cancer", "mlp", 1, 0))
    for record, lowest in zip(records, (0.5, 0.25, 0.1), strict=True):
        record["epochs"][0] |= {"gap/train_loss": 1.0, "gap/loss": 0.0}
        record["epochs"][10] |= {"gap/train_loss": lowest, "gap/loss": 1 - lowest}
        for row in record["epochs"][11:]:
            row.pop("gap/loss", None)
    table = scores(records, {"runs": {}})
    digits = select(table, data="digits")
    assert digits["equal_train_loss"].tolist() == [0.5, 0.5]
    assert digits["gap_loss_equal"].tolist() == pytest.approx([0.5, 0.5])
    assert select(table, data="breast_cancer")["equal_train_loss"].tolist() == [0.1]


def test_a_run_that_diverged_has_no_gap_of_any_kind(make_record):
    lost = make_record("digits", "mlp", 1, 0, diverged=True)
    assert len(trajectory(lost)) == 0
    row = scores([lost, make_record("digits", "mlp", 2, 0)], {"runs": {}}).iloc[0]
    assert row[["gap_loss_normalised", "gap_score_normalised", "gap_loss_equal"]].isna().all()


def test_the_table_normalises_by_the_baselines_of_the_validation_set(make_record):
    record = make_record("digits", "mlp", 1, 0)
    row = scores([record], {"runs": {}, "baselines": {"digits": METHODS}}).iloc[0]
    gap = record["gap"]["best"]
    assert row["gap_loss_normalised"] == pytest.approx(gap["loss"] / (2.3 - gap["train_loss"]))
    assert row["gap_score_normalised"] == pytest.approx(gap["accuracy"] / (0.1 - gap["train_accuracy"]))
