"""The tables of a study, against the records they come from."""

import io
import random

import numpy as np
import pandas as pd
import pytest

from howdeep.errors import UserError
from howdeep.results.histories import curves
from howdeep.results.scores import csv as to_csv
from howdeep.results.scores import known, scores, select, summary
from howdeep.results.statistics import mean_interval
from howdeep.results.wording import parts


@pytest.fixture(scope="session")
def runs(records, test_scores) -> pd.DataFrame:
    return scores(records, test_scores)


def test_every_run_has_one_row_whatever_became_of_it(records, runs):
    assert sorted(runs["key"]) == sorted(record["key"] for record in records)
    assert (runs["state"] == "diverged").sum() == 1


def test_a_runs_scores_are_those_of_its_best_epoch_and_of_its_best_weights(records, test_scores, runs):
    for record in records[:5]:
        row = runs[runs["key"] == record["key"]].iloc[0]
        best = record["epochs"][record["best_epoch"]]
        assert (row["val_loss"], row["val_score"]) == (best["val/loss"], best["val/accuracy"])
        assert (row["gap_loss"], row["train_loss"]) == tuple(
            record["gap"]["best"][n] for n in ("loss", "train_loss")
        )
        last = record["gap"]["last"]
        assert (row["gap_loss_last"], row["gap_score_last"]) == (last["loss"], last["accuracy"])
        assert row["test_score"] == test_scores["runs"][record["key"]]["accuracy"]
        assert row["gradient_ratio"] == record["epochs"][-1]["gradient/ratio"]


def test_the_best_epoch_is_found_by_its_number_not_by_its_place(make_record):
    record = make_record("digits", "mlp", 1, 0)
    record["epochs"] = record["epochs"][3:]
    record["best_epoch"] = 5
    assert scores([record], {"runs": {}})["val_loss"][0] == record["epochs"][2]["val/loss"]


def test_a_diverged_run_that_had_good_epochs_has_no_score(make_record):
    record = make_record("digits", "mlp", 1, 0, diverged=True, best_epoch=1)
    row = scores([record], {"runs": {}}).iloc[0]
    assert (
        row[["train_loss", "val_loss", "val_score", "test_score", "gap_loss", "gap_score_last"]].isna().all()
    )
    assert row["epochs"] == 3


def test_a_gap_that_is_no_finite_number_is_none_in_the_table(make_record, test_scores):
    """The loss of the training examples may leave the range of a number where that of the others does not."""
    record = make_record("digits", "mlp", 1, 0)
    record["gap"] = {when: dict.fromkeys(of) for when, of in record["gap"].items()}
    row = scores([record], test_scores).iloc[0]
    assert row[["gap_loss", "gap_loss_last", "gap_loss_normalised", "gap_score_normalised"]].isna().all()


def test_the_order_of_the_records_changes_nothing(records, test_scores, runs):
    shuffled = random.Random(0).sample(records, len(records))
    assert to_csv(scores(shuffled, test_scores)) == to_csv(runs)
    assert to_csv(curves(shuffled)) == to_csv(curves(records))


def test_no_records_and_missing_test_scores_are_mistakes_of_one_line(records, test_scores):
    with pytest.raises(UserError, match="found none: train with `dvc repro`"):
        scores([], {"runs": {}})
    partly = {"runs": dict(list(test_scores["runs"].items())[1:])}
    with pytest.raises(UserError, match=r"lacks the run digits-mlp, depth 1, seed 0 .*`howdeep evaluate`"):
        scores(records, partly)


def test_a_cells_estimates_are_of_its_finished_runs_and_its_failures_are_counted(records, runs):
    cells = summary(runs)
    cell = select(cells, entry="sunspots-lstm", depth=8).iloc[0]
    assert (cell["runs"], cell["diverged"]) == (5, 1)
    finished = [
        r for r in records if r["entry"] == "sunspots-lstm" and r["depth"] == 8 and r["state"] == "finished"
    ]
    values = [record["epochs"][record["best_epoch"]]["val/mae"] for record in finished]
    assert len(values) == 4
    assert tuple(cell[["val_score", "val_score_low", "val_score_high"]]) == pytest.approx(
        mean_interval(values)
    )
    assert cell["gap_loss"] == pytest.approx(np.mean([record["gap"]["best"]["loss"] for record in finished]))
    assert cell["parameters"] == finished[0]["cost"]["parameters"]


def test_cells_are_sorted_and_the_depths_by_number(make_record):
    records = [make_record("digits", "mlp", 8, 0), make_record("digits", "mlp", 1, 0) | {"depth": 16}]
    records.append(make_record("digits", "mlp", 2, 0))
    assert summary(scores(records, {"runs": {}}))["depth"].tolist() == [2, 8, 16]


def test_two_entries_of_one_architecture_are_never_mixed(make_record):
    records = [
        make_record("digits", "mlp", 1, seed, entry=entry) for entry in ("plain", "wide") for seed in (0, 1)
    ]
    cells = summary(scores(records, {"runs": {}}))
    assert cells[["name", "runs"]].values.tolist() == [["plain", 2], ["wide", 2]]


def test_a_line_is_named_by_its_architecture_and_by_what_is_matched(make_record):
    records = [make_record("digits", "mlp", 1, 0, matching=matching) for matching in ("width", "flops")]
    named = [["mlp, equal training FLOPs"], ["mlp, equal training FLOPs", "mlp, equal width"], ["mlp"]]
    for chosen, names in zip((records[1:], records, records[:1]), named, strict=True):
        assert summary(scores(chosen, {"runs": {}}))["name"].tolist() == names


def test_an_entry_of_an_architecture_stands_beside_the_other_under_a_name_of_its_own(make_record):
    entries = ["digits-cnn-plain", "digits-cnn", "digits-mlp"]
    records = [make_record("digits", entry.split("-")[1], 1, 0, entry=entry) for entry in entries]
    assert summary(scores(records, {"runs": {}}))["name"].tolist() == ["cnn", "cnn-plain", "mlp"]


def test_networks_trained_against_each_other_have_a_gradient_ratio_each(make_record):
    records = [make_record("digits", "gan", 4, seed) for seed in (0, 1)]
    for record, ratio in zip(records, (2.0, 8.0), strict=True):
        record["epochs"][-1]["gradient/generator_ratio"] = ratio
    table = scores([*records, make_record("digits", "mlp", 1, 0)], {"runs": {}})
    cells = summary(table)
    gan = select(cells, model="gan").iloc[0]
    assert gan["gradient_ratio_generator"] == pytest.approx(4)
    assert np.isnan(gan["gradient_ratio"])
    assert parts(select(cells, model="gan")) == {
        "discriminator": "gradient_ratio_discriminator",
        "generator": "gradient_ratio_generator",
    }
    assert parts(select(cells, model="mlp")) == {"": "gradient_ratio"}


def test_a_study_in_which_all_diverged_still_has_its_tables(make_record):
    records = [make_record("digits", "mlp", 1, seed, diverged=True) for seed in (0, 1)]
    cells = summary(scores(records, {"runs": {}}))
    assert cells["diverged"].tolist() == [2]
    assert known(cells, "val_score").size == 0
    assert curves(records).empty


def test_csv_has_six_significant_digits_whole_numbers_whole_and_gaps_for_missing_values(records, runs):
    text = to_csv(runs)
    again = pd.read_csv(io.StringIO(text), dtype={"key": str})
    assert again["val_loss"].to_numpy() == pytest.approx(runs["val_loss"].to_numpy(), rel=1e-5, nan_ok=True)
    digits = [
        len(value.lstrip("-0.").replace(".", ""))
        for value in pd.read_csv(io.StringIO(text), dtype=str)["val_loss"].dropna()
    ]
    assert max(digits) == 6
    diverged = next(line for line in text.splitlines() if ",diverged," in line)
    assert ",diverged,3,,False,,,mae,False,,,,,,,," in diverged


def test_with_answers_the_test_samples_own_error_is_that_of_the_mean_over_the_runs(make_record):
    """Two runs that are right on the same 15 of 20 examples, but for one that the second misses."""
    records = [make_record("digits", "mlp", 1, seed) for seed in (0, 1)]
    answers = {"digits-mlp/label": np.zeros(20, dtype=np.int16)}
    for record in records:
        wrong = 5 + record["seed"]
        answers[f"{record['key']}/predicted"] = (np.arange(20) < wrong).astype(np.int16)
    cell = summary(scores(records, {"runs": {}}), {"digits-mlp": 20}, answers).iloc[0]
    right = np.array([0.0] * 5 + [0.5] + [1.0] * 14)
    assert cell["test_sample"] == pytest.approx(1.96 * right.std(ddof=1) / np.sqrt(20))


def test_the_test_samples_own_error_is_told_of_accuracies_where_their_number_is_known(runs):
    cells = summary(runs, {"digits-mlp": 400, "sunspots-lstm": 60})
    cell = select(cells, entry="digits-mlp", depth=1).iloc[0]
    p = cell["test_score"]
    assert cell["test_sample"] == pytest.approx(1.96 * np.sqrt(p * (1 - p) / 400))
    assert known(select(cells, entry="sunspots-lstm"), "test_sample").size == 0
    assert known(select(cells, entry="breast_cancer-mlp"), "test_sample").size == 0
