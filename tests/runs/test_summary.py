"""What `howdeep train` says of a run in one line."""

import pytest

from howdeep.errors import UserError
from howdeep.runs.job import summary
from howdeep.runs.trial import objective_values


def test_it_says_how_the_best_epoch_validates(make_record):
    record = make_record("digits", "mlp", 2, 0)
    best = record["epochs"][record["best_epoch"]]
    said = summary(record, 1.25)
    assert said.startswith(f"mlp depth 2 on digits, seed 0: val loss {best['val/loss']:.4g}, val accuracy ")
    assert f"in epoch {record['best_epoch'] + 1} of 20; overfitting gap +" in said


def test_overfit_is_about_the_training_loss_after_the_last_epoch(make_record):
    record = make_record("digits", "mlp", 2, 0)
    record["gap"]["last"] |= {"train_loss": 0.000123, "train_accuracy": 1.0}
    said = summary(record, 1.25, "overfit")
    assert (
        said == "mlp depth 2 on digits, seed 0: train loss 0.000123, train accuracy 1 after 20 epochs (1.2 s)"
    )


def test_what_is_no_finite_number_has_words(make_record):
    record = make_record("digits", "mlp", 2, 0)
    record["gap"] = {when: dict.fromkeys(of) for when, of in record["gap"].items()}
    assert "overfitting gap nan (" in summary(record, 1.25)
    assert "train loss nan, train accuracy nan after" in summary(record, 1.25, "overfit")
    with pytest.raises(UserError, match=r"^gap/loss became no finite number$"):
        objective_values(record, {"val/loss": "minimize", "gap/loss": "minimize"})
