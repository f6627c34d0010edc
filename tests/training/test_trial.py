"""A training in parts, against the same training in one go."""

import pytest

from howdeep.runs.examples import load_split
from howdeep.training.run import train
from howdeep.training.trial import Trial

PARTS = {
    "dropout": ["model=mlp", "model.dropout=0.2", "train_examples=300"],
    "schedule": ["model=mlp", "schedule=cosine", "optimizer=sgd", "train_examples=300"],
    "two optimizers": ["model=gan", "task=generation", "train_examples=300"],
    "patience": ["data=sunspots", "model=lstm", "model.width=8", "patience=2", "optimizer.lr=0.1"],
}


def losses_at_once(cfg, split, folder) -> list[float]:
    outcome = train(cfg, split, resume_point=folder / "never.ckpt", identity={})
    return [row["val/loss"] for row in outcome.history.epochs]


@pytest.mark.parametrize("overrides", PARTS.values(), ids=PARTS)
def test_parts_are_the_epochs_of_the_whole_bit_for_bit(compose, project, tmp_path, overrides):
    cfg = compose(*overrides, "trainer.max_epochs=7")
    split = load_split(cfg, project)
    whole = losses_at_once(cfg, split, tmp_path)
    trial = Trial(cfg, split)
    for epochs in (2, 3, 7):
        trial.train(epochs)
        assert list(trial.losses) == whole[:epochs]
    assert trial.loss == min(whole)


def test_where_patience_is_out_nothing_more_is_trained(compose, project):
    cfg = compose(
        "model=mlp", "train_examples=64", "patience=1", "optimizer.lr=0.5", "trainer.max_epochs=200"
    )
    trial = Trial(cfg, load_split(cfg, project))
    trial.train(100)
    done = trial.losses
    assert len(done) < 100
    trial.train(200)
    assert trial.losses is done


def test_a_trial_that_diverges_has_no_loss_and_goes_no_further(compose, project):
    cfg = compose(
        "model=mlp", "train_examples=64", "optimizer=sgd", "optimizer.lr=1e30", "trainer.max_epochs=9"
    )
    trial = Trial(cfg, load_split(cfg, project))
    for epochs in (3, 6):
        trial.train(epochs)
        assert trial.loss is None
        assert "became" in str(trial.diverged)
