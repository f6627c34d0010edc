"""Losses that are no finite numbers end a run, and the best epoch is the one whose recorded loss is lowest."""

import math

import pytest
import torch

from howdeep.records.record import finite
from howdeep.runs.examples import load_split
from howdeep.tasks.classification import Classification
from howdeep.training.run import train

SMALL = ("trainer.max_epochs=4", "train_examples=200", "model.width=16", "diagnostics.every=100")


@pytest.fixture
def fit(project, compose, tmp_path):
    def of(*overrides):
        cfg = compose(*SMALL, *overrides)
        return train(cfg, load_split(cfg, project), resume_point=tmp_path / "x.ckpt", identity={})

    return of


def test_a_diverged_run_is_an_outcome_and_not_a_crash(fit):
    outcome = fit("optimizer=sgd", "optimizer.lr=1e9", "model.normalisation=none")
    assert outcome.state == "diverged"
    assert "became nan in epoch" in outcome.reason or "became inf in epoch" in outcome.reason
    assert outcome.weights is None
    assert outcome.gap is None


def test_a_diverged_run_diverges_again_to_the_same_record(fit):
    one, other = (fit("optimizer=sgd", "optimizer.lr=1e9", "model.normalisation=none") for _ in range(2))
    assert finite(one.history.epochs) == finite(other.history.epochs)


@pytest.mark.parametrize("power", [0, 1, 2, 3, 4, 5, 9])
def test_a_loss_beyond_single_precision_has_diverged(fit, power):
    """The loss of an autoencoder is added up in double precision, where it may be finite and nowhere else."""
    steps = ("trainer.max_epochs=1", "trainer.limit_train_batches=1")
    outcome = fit("model=autoencoder", f"optimizer.lr=1e{power}", *steps)
    losses = [outcome.history.epochs[0][name] for name in ("train/loss", "val/loss")]
    fits = all(math.isfinite(loss) and loss <= torch.finfo(torch.float32).max for loss in losses)
    assert outcome.state == ("finished" if fits else "diverged")
    assert outcome.best_epoch == (0 if fits else None)


def test_patience_and_the_best_epoch_follow_the_numbers_of_the_record(fit, monkeypatch):
    """Each loss is a little lower, by less than single precision can tell."""
    losses, validate = iter([1 - step * 1e-12 for step in range(12)]), Classification.validate
    monkeypatch.setattr(Classification, "validate", lambda *of: validate(*of) | {"loss": next(losses)})
    outcome = fit("patience=2", "trainer.max_epochs=8")
    rows = [row["val/loss"] for row in outcome.history.epochs if "gap/loss" not in row]
    assert rows == sorted(rows, reverse=True)
    assert len(outcome.history.epochs) == 8
    assert outcome.best_epoch == 7
