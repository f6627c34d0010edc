"""Settings are refused by name, before anything is trained, or they mean what they say."""

import inspect

import pytest
import torch
import yaml
from pytorch_lightning import Trainer

from howdeep.errors import UserError
from howdeep.runs.examples import load_split
from howdeep.training.run import prepare_task, train
from howdeep.training.settings import ADDED, REFUSED, TRAINER

MODELS = ("mlp", "autoencoder", "gan")  # each with another task


@pytest.fixture
def fit(project, compose, tmp_path):
    def of(*overrides):
        cfg = compose("trainer.max_epochs=1", "train_examples=64", "model.width=4", *overrides)
        return train(cfg, load_split(cfg, project), resume_point=tmp_path / "x.ckpt", identity={})

    return of


def refusal(compose, *overrides) -> str:
    with pytest.raises(UserError) as refused:
        prepare_task(compose(*overrides))
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_every_setting_of_lightnings_trainer_is_vetted(root):
    known = [*TRAINER, *ADDED, *REFUSED]
    assert sorted(known) == sorted(inspect.signature(Trainer).parameters)
    for path in (root / "conf/trainer").glob("*.yaml"):
        assert set(yaml.safe_load(path.read_text())) == {*TRAINER, "_target_"}


@pytest.mark.parametrize("name", REFUSED)
def test_what_lightning_would_ignore_or_take_otherwise_is_refused(compose, name):
    said = refusal(compose, f"+trainer.{name}=2")
    assert said.startswith(f"trainer.{name} must not be there, got 2: ")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("+trainer.max_epoch=2", "got trainer.max_epoch, did you mean 'max_epochs'?"),
        ("+trainer._convert_=all", "trainer._convert_ must not be there, got 'all'"),
        ("trainer.precision=16-mixed", "must be 32-true or bf16-mixed on a processor, got '16-mixed'"),
        ("+trainer.gradient_clip_algorithm=value", "needs trainer.gradient_clip_val, got null"),
        ("+trainer.gradient_clip_algorithm=x", "unknown trainer.gradient_clip_algorithm 'x'"),
    ],
)
def test_what_means_nothing_is_refused(compose, override, words):
    assert words in refusal(compose, override)


def test_lightning_takes_no_setting_from_the_environment(compose, monkeypatch):
    for name in ("NUM_NODES", "MAX_EPOCHS", "GRADIENT_CLIP_ALGORITHM"):
        monkeypatch.setenv(f"PL_TRAINER_{name}", "2")
        assert refusal(compose).startswith(f"PL_TRAINER_{name} must not be set in the environment")
        monkeypatch.delenv(f"PL_TRAINER_{name}")


@pytest.mark.parametrize(
    "overrides",
    [
        ("+trainer.gradient_clip_algorithm=value", "trainer.gradient_clip_val=0.1"),
        ("trainer.precision=bf16-mixed",),
        ("trainer.precision=bf16-mixed", "trainer.gradient_clip_val=0.1"),
        ("trainer.precision=bf16-mixed", "trainer.gradient_clip_val=0.1", "optimizer.fused=false"),
        ("trainer.deterministic=false", "trainer.limit_train_batches=1"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("model", MODELS)
def test_no_check_of_lightning_is_left_to_the_training(fit, compose, model, overrides):
    try:
        prepare_task(compose(f"model={model}", *overrides))
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 -- either is right, a failing fit is not
    else:
        assert fit(f"model={model}", *overrides).state == "finished"


def test_clipping_by_value_bounds_each_number_of_the_gradient(fit, compose):
    bound = ("+trainer.gradient_clip_algorithm=value", "trainer.gradient_clip_val=1e-6")
    plain = ("optimizer=sgd", "optimizer.momentum=0", "optimizer.lr=1", "trainer.limit_train_batches=1")
    before, after = prepare_task(compose("model.width=4")).net.state_dict(), fit(*bound, *plain).weights
    moved = [float((after[name] - before[name]).abs().max()) for name in before if "weight" in name]
    assert max(moved) == pytest.approx(1e-6, rel=0.1)


BARE = ("~optimizer.fused", "~optimizer.weight_decay")
STEPLESS = {
    ("optimizer._target_=torch.optim.LBFGS", "~optimizer.betas", *BARE): "closure",
    ("optimizer._target_=torch.optim.SparseAdam", *BARE): "dense gradients",
    ("optimizer.fused=false", "+optimizer.capturable=true"): "capturable",
    ("optimizer.fused=false", "+optimizer.differentiable=true"): "in-place",
}


@pytest.mark.parametrize("overrides", STEPLESS, ids=" ".join)
def test_an_optimizer_that_cannot_take_a_step_is_refused(compose, overrides):
    said = refusal(compose, *overrides)
    assert "refuses its values" in said
    assert STEPLESS[overrides] in said


def test_looking_at_settings_draws_no_random_number(compose):
    before = torch.get_rng_state()
    with pytest.raises(UserError):
        prepare_task(compose("optimizer.betas=[0.9,nan]"))
    assert torch.equal(torch.get_rng_state(), before)
