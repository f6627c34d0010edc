"""One training: the same bits for the same seed, uninterrupted or resumed, and equal to a hand-written loop."""

import hashlib
import io
import math
import os
import pickle
import random
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

import pytest
import torch
from pytorch_lightning import Callback
from torch.nn import functional

from howdeep.data.batches import Batches
from howdeep.data.chosen import Chosen
from howdeep.data.examples import Examples
from howdeep.errors import UserError
from howdeep.records.record import finite
from howdeep.runs.examples import load_split
from howdeep.training.resume import HEAD, check
from howdeep.training.run import prepare_task, train
from howdeep.training.seeding import epoch_seed

IDENTITY = {"key": "k", "model": "mlp"}
SMALL = ("trainer.max_epochs=4", "train_examples=200", "model.width=16", "diagnostics.every=2")


class Killed(BaseException):
    """Stands for SIGKILL: nothing may run after it that a killed process could not run."""


class KillAfter(Callback):
    """Raises at the start of the epoch after `epoch`, when the resume point of `epoch` has been written."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == self.epoch + 1:
            raise Killed


@pytest.fixture
def fit(project, compose, tmp_path):
    """Trains a small run: `fit('model=lstm', ...)`; keyword arguments go to `train`."""

    def of(*overrides, **kwargs):
        cfg = compose(*SMALL, *overrides)
        kwargs = {"resume_point": tmp_path / "resume.ckpt", "identity": IDENTITY, **kwargs}
        return train(cfg, load_split(cfg, project), **kwargs)

    return of


def same(one, other) -> bool:
    return (
        finite(one.history.epochs) == finite(other.history.epochs)
        and finite(one.history.gradient_flow) == finite(other.history.gradient_flow)
        and (one.gap, one.best_epoch, one.cost) == (other.gap, other.best_epoch, other.cost)
        and one.weights.keys() == other.weights.keys()
        and all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
    )


RUNS = [
    ("model=mlp", "model.depth=3", "model.dropout=0.2"),
    ("model=lstm", "data=digit_sequences", "model.depth=2", "optimizer=rmsprop"),
    (
        "model=lstm",
        "data=sunspots",
        "train_examples=150",
        "optimizer=sgd",
        "optimizer.lr=0.05",
        "schedule=warmup_cosine",
    ),
    ("model=gan", "model.depth=2", "optimizer.lr=1e-3"),
    ("model=transformer", "data=digit_sequences", "model.depth=2", "model.dropout=0.1"),
    ("model=mlp", "optimizer=adamw", "schedule=cosine", "trainer.gradient_clip_val=0.5", "patience=3"),
]


@pytest.mark.parametrize("overrides", RUNS, ids=lambda o: "-".join(o))
def test_the_same_seed_gives_the_same_bits(fit, overrides):
    assert same(fit(*overrides), fit(*overrides))


@pytest.mark.parametrize("overrides", RUNS, ids=lambda o: "-".join(o))
@pytest.mark.parametrize("epoch", [0, 2])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(fit, tmp_path, overrides, epoch):
    point = tmp_path / "resume.ckpt"
    with pytest.raises(Killed):
        fit(*overrides, "checkpoint_seconds=0", callbacks=[KillAfter(epoch)])
    assert same(fit(*overrides, resume=point), fit(*overrides))


def test_another_seed_gives_another_network_and_another_order(fit):
    assert not same(fit("seed=0"), fit("seed=1"))


def test_the_parameters_equal_those_of_a_hand_written_loop_bit_for_bit(fit, project, compose):
    overrides = (
        "model.depth=2",
        "model.dropout=0.2",
        "trainer.max_epochs=3",
        "optimizer=sgd",
        "optimizer.lr=0.05",
    )
    outcome = fit(*overrides)
    cfg = compose(*SMALL, *overrides)
    split = load_split(cfg, project)
    net = prepare_task(cfg).net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    batches = Batches((split.train[0][:200], split.train[1][:200]), batch_size=64, seed=0)
    for epoch in range(outcome.best_epoch + 1):
        torch.manual_seed(epoch_seed(0, epoch))
        batches.set_epoch(epoch)
        net.train()
        for x, y in batches:
            optimizer.zero_grad()
            functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    for name, weight in net.state_dict().items():
        assert torch.equal(weight, outcome.weights[name]), name


def test_the_weights_are_those_of_the_epoch_with_the_lowest_validation_loss(fit, project, compose):
    outcome = fit("trainer.max_epochs=6", "optimizer.lr=0.05")
    losses = [row["val/loss"] for row in outcome.history.epochs]
    assert outcome.best_epoch == losses.index(min(losses))
    cfg = compose(*SMALL)
    task = prepare_task(cfg)
    task.net.load_state_dict(outcome.weights)
    measured = task.measure(Batches(load_split(cfg, project).validation, batch_size=1024))
    assert measured["loss"] == pytest.approx(min(losses), rel=1e-6)


def test_the_gap_is_validation_minus_training_loss_in_evaluation_mode(fit, project, compose):
    outcome = fit("model.dropout=0.5", "diagnostics.gap_examples=100")
    cfg = compose(*SMALL, "model.dropout=0.5")
    split, net = load_split(cfg, project), prepare_task(cfg).net
    net.load_state_dict(outcome.weights)
    net.eval()
    with torch.no_grad():
        seen = functional.cross_entropy(net(split.train[0][:100]), split.train[1][:100])
        unseen = functional.cross_entropy(net(split.validation[0]), split.validation[1])
        hits = (net(split.train[0][:100]).argmax(1) == split.train[1][:100]).float().mean()
    assert outcome.gap["best"]["loss"] == pytest.approx(float(unseen - seen), rel=1e-5)
    assert outcome.gap["best"]["train_accuracy"] == pytest.approx(float(hits))


@pytest.mark.parametrize(
    "every", [1, 100], ids=["looked at in every epoch", "only in the first and the last"]
)
def test_what_an_epoch_has_measured_is_the_gap_that_measuring_anew_would_give(fit, project, compose, every):
    outcome = fit(f"diagnostics.every={every}", "optimizer.lr=0.05", "trainer.max_epochs=6")
    task = prepare_task(cfg := compose(*SMALL))
    split = load_split(cfg, project)
    task.net.load_state_dict(outcome.weights)
    seen, unseen = (
        task.measure(Batches((x, y), batch_size=1024))
        for x, y in ((split.train[0][:200], split.train[1][:200]), split.validation)
    )
    for name in ("loss", "accuracy"):
        assert outcome.gap["best"][f"train_{name}"] == seen[name]
        assert outcome.gap["best"][name] == unseen[name] - seen[name]
    last = outcome.history.epochs[-1]
    measured = {name.removeprefix("gap/"): last[name] for name in last if name.startswith("gap/")}
    assert {name: outcome.gap["last"][name] for name in measured} == measured


def test_no_package_adds_callbacks_to_a_run(fit, tmp_path, monkeypatch):
    """Lightning would take them from whatever else is installed, so that two machines would train otherwise."""
    told = tmp_path / "other-1.0.dist-info" / "entry_points.txt"
    told.parent.mkdir()
    told.write_text("[pytorch_lightning.callbacks_factory]\nother = other:callbacks\n")
    (told.parent / "METADATA").write_text("Name: other\nVersion: 1.0\n")
    (tmp_path / "other.py").write_text("def callbacks():\n    raise RuntimeError('asked')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [found.name for found in entry_points(group="pytorch_lightning.callbacks_factory")] == ["other"]
    assert fit().state == "finished"


def test_early_stopping_ends_after_patience_epochs_without_a_better_loss(fit):
    outcome = fit("patience=2", "trainer.max_epochs=60", "optimizer.lr=0.05")
    losses = [row["val/loss"] for row in outcome.history.epochs]
    assert len(losses) < 60
    assert len(losses) - 1 - outcome.best_epoch == 2
    assert outcome.history.gradient_flow[-1]["epoch"] == len(losses) - 1


def test_a_run_without_patience_trains_all_its_epochs(fit):
    assert [row["epoch"] for row in fit().history.epochs] == [0, 1, 2, 3]


def test_diagnostics_come_every_k_epochs_and_in_the_last(fit):
    rows = fit("trainer.max_epochs=6", "diagnostics.every=2").history.epochs
    assert [row["epoch"] for row in rows if "gap/loss" in row] == [0, 2, 4, 5]
    assert [row["epoch"] for row in rows if "gradient/ratio" in row] == [0, 2, 4, 5]


def test_diagnostics_leave_the_training_as_it_is(fit):
    often, never = (
        fit("diagnostics.every=1", "model.dropout=0.3"),
        fit("diagnostics.every=100", "model.dropout=0.3"),
    )
    assert all(torch.equal(often.weights[name], never.weights[name]) for name in often.weights)


def test_clipping_bounds_the_step(fit):
    norms = []

    class Watch(Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            squares = [p.grad.square().sum() for p in pl_module.parameters() if p.grad is not None]
            norms.append(float(sum(squares)) ** 0.5)

    fit("trainer.gradient_clip_val=0.01", callbacks=[Watch()])
    assert len(norms) == 4 * math.ceil(200 / 64)
    assert max(norms) > 0.02  # before clipping they are larger: the bound is at work
    outcome = fit("trainer.gradient_clip_val=1e-9", "optimizer=sgd", "optimizer.momentum=0", "optimizer.lr=1")
    assert max(row["update_ratio"] for row in outcome.history.gradient_flow) < 1e-8


def test_a_schedule_moves_the_learning_rate_every_step(fit):
    rates = []

    class Watch(Callback):
        def on_train_batch_end(self, trainer, *_):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    fit("schedule=cosine", "optimizer.lr=0.01", callbacks=[Watch()])
    steps = 4 * math.ceil(200 / 64)
    expected = [0.01 * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(1, steps + 1)]
    assert rates == pytest.approx(expected, abs=1e-12)


def test_one_batch_can_be_overfitted(fit):
    outcome = fit("train_examples=32", "trainer.max_epochs=150", "model.width=64")
    assert outcome.gap["last"]["train_loss"] < 0.01
    assert outcome.gap["last"]["train_accuracy"] == 1


def test_a_checkpoint_of_another_run_is_refused(fit, tmp_path):
    with pytest.raises(Killed):
        fit("checkpoint_seconds=0", callbacks=[KillAfter(0)])
    mine = {"key": "k2", "model": "lstm"}
    with pytest.raises(UserError, match=r"of another run: expected .*'lstm'.*, found .*'mlp'") as caught:
        fit(resume=tmp_path / "resume.ckpt", identity=mine)
    assert "\n" not in str(caught.value)


class Hostile:
    """Reading its pickle runs a command."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.witness),)


def framed(content: bytes) -> bytes:
    """As howdeep writes a checkpoint, so that nothing but its content can be held against it."""
    return HEAD + hashlib.sha256(content).digest() + content


@pytest.mark.parametrize("wrapped", [False, True])
def test_reading_a_hostile_checkpoint_runs_nothing(fit, tmp_path, wrapped):
    content = io.BytesIO()
    torch.save({"howdeep": IDENTITY, "x": Hostile(tmp_path / "pwned")}, content)
    plain = pickle.dumps(Hostile(tmp_path / "pwned"))
    for number, hostile in enumerate((content.getvalue(), plain)):
        path = tmp_path / f"{number}.ckpt"
        path.write_bytes(framed(hostile) if wrapped else hostile)
        with pytest.raises(UserError, match="not a readable howdeep checkpoint"):
            fit(resume=path)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("seed", range(20))
def test_a_checkpoint_with_a_flipped_bit_is_refused(tmp_path, checkpoint, seed):
    content = bytearray(checkpoint)
    place = random.Random(seed).randrange(8 * len(content))
    content[place // 8] ^= 1 << place % 8
    (tmp_path / "x.ckpt").write_bytes(bytes(content))
    with pytest.raises(UserError, match="not a readable howdeep checkpoint"):
        check(tmp_path / "x.ckpt", IDENTITY)


@pytest.fixture(scope="module")
def checkpoint(compose, project, tmp_path_factory) -> bytes:
    """Of a run that was killed after its first epoch."""
    point, cfg = tmp_path_factory.mktemp("killed") / "resume.ckpt", compose(*SMALL, "checkpoint_seconds=0")
    with suppress(Killed):
        train(cfg, load_split(cfg, project), resume_point=point, identity=IDENTITY, callbacks=[KillAfter(0)])
    check(point, IDENTITY)
    return point.read_bytes()


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_file_that_is_no_checkpoint_is_refused(fit, tmp_path, content):
    (tmp_path / "x.ckpt").write_bytes(content)
    with pytest.raises(UserError, match="not a readable howdeep checkpoint"):
        fit(resume=tmp_path / "x.ckpt")
    with pytest.raises(UserError, match="no such file"):
        fit(resume=tmp_path / "absent.ckpt")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("optimizer.lr=0", "optimizer.lr must be a number above 0, got 0"),
        ("optimizer.lr=-0.1", "above 0, got -0.1"),
        ("optimizer.lr=fast", "above 0, got 'fast'"),
        ("optimizer.lr=nan", "above 0, got nan"),
        ("optimizer.betas=[2,0.9]", "Invalid beta"),
        ("model.depth=0", "depth must be a whole number of at least 1, got 0"),
        ("model.depth=-1", "got -1"),
        ("model.depth=two", "got 'two'"),
        ("batch_size=0", "batch_size must be"),
        ("trainer.max_epochs=0", "trainer.max_epochs must be"),
        ("patience=0", "patience must be"),
        ("train_examples=1.5", "train_examples must be"),
        ("diagnostics.every=0", "diagnostics.every must be"),
        ("seed=-1", "seed must be"),
        ("matching=parameter", "unknown matching 'parameter', did you mean 'parameters'?"),
        ("data.in_shape=[1,8,9]", "holds 72 numbers, an example of digits 64"),
        ("model=lstm", "lstm reads sequences of shape"),
        ("task=forecasting", "forecasting expects windows (batch, time, variables)"),
        ("task=language_modelling", "language modelling expects outputs (batch, time, vocabulary)"),
        ("data.vocabulary=65", "data.vocabulary must be null, since digits holds numbers, got 65"),
        ("data=torch_docs", "mlp reads numbers, but torch_docs holds symbols"),
        ("+model.heads=2", "refuses its values"),
        ("+trainer.max_epoch=2", "did you mean 'max_epochs'?"),
    ],
)
def test_a_setting_that_cannot_be_trained_is_refused_in_one_line(fit, override, words):
    with pytest.raises(UserError) as caught:
        fit(override)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(
    torch.cuda.is_available(), reason="this machine has a GPU, so that asking for one is no mistake"
)
def test_a_gpu_that_is_not_there_is_one_line(fit):
    with pytest.raises(UserError, match=r"expects a GPU .* use trainer=cpu"):
        fit("trainer=gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that this PyTorch can use")
def test_a_gpu_trains_to_the_same_bits_twice(fit):
    assert same(fit("trainer=gpu", "model.depth=2"), fit("trainer=gpu", "model.depth=2"))


class Listen(Callback):
    """Listens to every step, so that Lightning's own loop runs."""

    def on_train_batch_end(self, *_):
        pass


@pytest.mark.parametrize("overrides", RUNS, ids=lambda o: "-".join(o))
def test_a_whole_epoch_in_one_go_equals_lightnings_own_loop_bit_for_bit(fit, overrides):
    assert same(fit(*overrides), fit(*overrides, callbacks=[Listen()]))


@pytest.mark.parametrize("callbacks", [[], [Listen()]], ids=["whole epochs", "Lightning's own loop"])
def test_global_step_counts_the_steps_of_the_optimizer(fit, callbacks):
    class Count(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            steps.append(trainer.global_step)

    steps: list[int] = []
    fit(callbacks=[Count(), *callbacks])
    assert steps == [4, 8, 12, 16]
    steps.clear()
    fit("model=gan", callbacks=[Count(), *callbacks])
    assert steps == [8, 16, 24, 32]  # both networks take one in each batch


def test_training_can_be_limited_to_the_first_batches(fit):
    assert same(
        fit("trainer.limit_train_batches=2"), fit("trainer.limit_train_batches=2", callbacks=[Listen()])
    )


def test_a_run_on_examples_that_are_chosen_from_a_map_is_to_the_bit_that_on_copies(
    compose, project, tmp_path, monkeypatch
):
    cfg = compose("trainer.max_epochs=3", "model.width=16", "diagnostics.every=2")
    copies = load_split(cfg, project)
    monkeypatch.setattr(Chosen, "whole", None)  # which would copy them all
    mapped = copies._replace(**{part: _chosen(getattr(copies, part)) for part in ("train", "validation")})
    first, second = (
        train(cfg, split, resume_point=tmp_path / "resume.ckpt", identity=IDENTITY)
        for split in (copies, mapped)
    )
    assert same(first, second)


def _chosen(examples: Examples) -> Examples:
    x, y = examples
    order = torch.randperm(len(x))
    whole = torch.empty_like(x)
    whole[order] = x
    return cast(torch.Tensor, Chosen(whole, order, torch.device("cpu"))), y
