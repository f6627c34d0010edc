"""Generation: distances against torchmetrics and hand-computed numbers, and a training equal to one by hand."""

from typing import Any

import pytest
import torch
from pytorch_lightning import Callback
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.image.kid import KernelInceptionDistance

from howdeep.data.batches import Batches
from howdeep.data.examples import Split
from howdeep.diagnostics.gradients import gradient_flow
from howdeep.errors import UserError
from howdeep.records.record import finite
from howdeep.runs.examples import load_split
from howdeep.tasks.generation import LOSSES, Generation, Judge, judge_of, overlap, share_among
from howdeep.training.run import prepare_task, train
from howdeep.training.seeding import epoch_seed

SMALL = ("model=gan", "trainer.max_epochs=3", "train_examples=200", "model.width=16", "diagnostics.every=2")
RUNS = [
    ("model.depth=2",),
    ("model.depth=2", "task.loss=hinge", "model.dropout=0.2", "schedule=cosine", "optimizer=adamw"),
    ("model.kind=convolutional", "model.width=4", "model.depth=2", "task.gradient_clip_val=0.5"),
]


class Killed(BaseException):
    """Stands for SIGKILL."""


class KillAfterOneEpoch(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            raise Killed


class Listen(Callback):
    """Listens to every step, so that Lightning's own loop runs."""

    def on_train_batch_end(self, *_):
        pass


class Fixed(nn.Module):
    """A generator of given examples, whatever the noise."""

    latent = 1

    def __init__(self, made: Tensor) -> None:
        super().__init__()
        self.made = made
        self.discriminator = nn.Linear(1, 1)

    def generator(self, z: Tensor) -> Tensor:
        return self.made[: len(z)]

    def fixed_noise(self, n: int) -> Tensor:
        return torch.zeros(n, 1)


@pytest.fixture
def fit(project, compose, tmp_path):
    def of(*overrides, **kwargs):
        cfg = compose(*SMALL, *overrides)
        kwargs = {"resume_point": tmp_path / "resume.ckpt", "identity": {"key": "k"}, **kwargs}
        return train(cfg, load_split(cfg, project), **kwargs)

    return of


@pytest.fixture
def split(project, compose) -> Split:
    return load_split(compose(*SMALL), project)


@pytest.fixture
def task(compose):
    """A task with a net that was not trained: `task('model.depth=3')`."""
    return lambda *overrides: prepare_task(compose(*SMALL, *overrides))


def making(made: Tensor, split: Split) -> Generation:
    """A task whose generator makes these examples."""
    options: dict[str, Any] = {"optimizer": None, "schedule": None, "gradient_clip_val": None}
    task = Generation(net=Fixed(made), loss="hinge", **options)
    task.prepare(split)
    return task


def same(one, other) -> bool:
    return (
        finite(one.history.epochs) == finite(other.history.epochs)
        and finite(one.history.gradient_flow) == finite(other.history.gradient_flow)
        and (one.gap, one.best_epoch, one.cost) == (other.gap, other.best_epoch, other.cost)
        and all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
        and torch.equal(one.artifacts["samples"], other.artifacts["samples"])
    )


def test_the_distance_is_that_of_torchmetrics(split):
    judge, (x, _) = judge_of(split.train), split.validation
    made = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    with pytest.warns(UserWarning, match="will save all extracted features"):
        metric = KernelInceptionDistance(judge.features, subsets=1, subset_size=len(x))
    metric.update(x, real=True)
    metric.update(made, real=False)
    assert judge.distance(x, made) == pytest.approx(float(metric.compute()[0]), abs=1e-5)
    assert judge.score(x, made) == {"loss": judge.distance(x, made), "kid": judge.distance(x, made)}


def test_the_distance_of_four_examples_equals_its_formula():
    a, b = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [3.0]])
    kernel = lambda p, q: (p * q + 1) ** 3  # noqa: E731
    expected = kernel(1, 2) + kernel(0, 3) - (kernel(1, 0) + kernel(1, 3) + kernel(2, 0) + kernel(2, 3)) / 2
    assert Judge(nn.Identity(), nn.Identity()).distance(a, b) == pytest.approx(expected)


def test_classes_overlap_by_what_their_frequencies_have_in_common():
    real = torch.tensor([0, 0, 1, 2])
    assert overlap(real, torch.tensor([2, 1, 0, 0])) == 1
    assert overlap(real, torch.tensor([1, 1, 1, 1])) == 0.25
    assert overlap(real, torch.tensor([3, 3, 0, 3, 3])) == pytest.approx(0.2)


def test_points_are_among_members_within_the_distance_of_a_third_neighbour():
    members = torch.tensor([[0.0], [1.0], [2.0], [3.0], [100.0]])  # radii 3, 2, 2, 3, 99
    points = torch.tensor([[-3.0], [-3.1], [6.0], [1.0], [199.5]])
    assert share_among(points, members) == 3 / 5


def test_a_generator_of_the_real_examples_reaches_the_best_of_every_measure(split):
    x, y = split.validation
    measured = making(x, split).measure(Batches((x, y), batch_size=100))
    assert measured["kid"] == measured["loss"] <= 0
    assert (measured["precision"], measured["recall"]) == (1, 1)
    assert measured["coverage"] > 0.95  # but for the judge's mistakes


def test_a_generator_of_one_class_covers_one_tenth_and_is_precise_but_recalls_little(split):
    (known, classes), held_out = split.train, split.validation
    ones = known[classes == 1]
    made = ones.repeat(4, 1, 1, 1)[: len(held_out[0])]
    measured = making(made, split).measure(Batches(held_out, batch_size=1000))
    assert measured["coverage"] == pytest.approx(0.1, abs=0.04)
    assert measured["precision"] > 0.8
    assert measured["recall"] < 0.2
    assert measured["kid"] > 0.1


def test_a_generator_that_knows_the_training_examples_by_heart_has_a_gap(split):
    x, y = split.train
    task = making(x, split)
    of_training, of_validation = (
        task.measure(Batches(part, batch_size=1000)) for part in ((x[:360], y[:360]), split.validation)
    )
    assert of_validation["kid"] - of_training["kid"] > 0


def test_baselines_are_noise_far_away_and_training_examples_as_near_as_can_be(split):
    found = Generation.baselines(split.train, split.validation, {})
    noise, known = found["uniform noise"], found["training examples"]
    assert noise["kid"] > 1
    assert noise["precision"] < 0.05
    assert abs(known["kid"]) < 0.03
    assert known["coverage"] > 0.9
    assert found == Generation.baselines(split.train, split.validation, {})


def test_the_judge_tells_classes_apart_and_its_features_are_of_size_1(split):
    judge, (x, y) = judge_of(split.train), split.validation
    assert (judge.logits(judge.features(x)).argmax(1) == y).float().mean() > 0.95
    assert judge.features(split.train[0]).square().mean() == pytest.approx(1, rel=1e-4)


def test_the_judge_is_the_same_whatever_was_drawn_before_and_trained_once(split, monkeypatch):
    x, y = split.train[0][:50], split.train[1][:50]
    judges = []
    for seed in (1, 2):
        monkeypatch.setattr("howdeep.tasks.generation._judges", {})
        torch.manual_seed(seed)
        state, threads = torch.get_rng_state(), torch.get_num_threads()
        judges.append(judge_of((x, y)))
        assert torch.equal(torch.get_rng_state(), state)
        assert torch.get_num_threads() == threads
    one, other = ([*judge.features.parameters(), *judge.logits.parameters()] for judge in judges)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert judge_of((x.clone(), y.clone())) is judges[1]
    assert judge_of((x + 1, y)) is not judges[1]


def test_losses_equal_their_formulas():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([0.5, -3.0])
    p, q = real.sigmoid(), fake.sigmoid()
    plain, hinge = LOSSES["non-saturating"], LOSSES["hinge"]
    torch.testing.assert_close(plain.discriminator(real, fake), -p.log().mean() - (1 - q).log().mean())
    torch.testing.assert_close(plain.generator(fake), -q.log().mean())
    assert hinge.discriminator(real, fake) == (0 + 2) / 2 + (1.5 + 0) / 2
    assert hinge.generator(fake) == 1.25


@pytest.mark.parametrize("overrides", RUNS, ids=lambda o: "-".join(o))
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(fit, tmp_path, overrides):
    with pytest.raises(Killed):
        fit(*overrides, "checkpoint_seconds=0", callbacks=[KillAfterOneEpoch()])
    assert same(fit(*overrides, resume=tmp_path / "resume.ckpt"), fit(*overrides))


@pytest.mark.parametrize("overrides", RUNS, ids=lambda o: "-".join(o))
def test_a_whole_epoch_in_one_go_equals_lightnings_own_loop_bit_for_bit(fit, overrides):
    assert same(fit(*overrides), fit(*overrides, callbacks=[Listen()]))


def test_the_parameters_equal_those_of_a_hand_written_loop_bit_for_bit(fit, split, task):
    overrides = ("model.depth=2", "model.dropout=0.2", "optimizer=sgd", "optimizer.lr=0.01")
    outcome, net = fit(*overrides), task(*overrides).net
    nets = (net.discriminator, net.generator)
    by_discriminator, by_generator = (torch.optim.SGD(n.parameters(), lr=0.01, momentum=0.9) for n in nets)
    batches = Batches((split.train[0][:200], split.train[1][:200]), batch_size=64, seed=0)
    for epoch in range(outcome.best_epoch + 1):
        torch.manual_seed(epoch_seed(0, epoch))
        batches.set_epoch(epoch)
        net.train()
        for x, _ in batches:
            made = net.generator(torch.randn(len(x), net.latent))
            real, fake = net.discriminator(torch.cat([x, made.detach()])).split(len(x))
            by_discriminator.zero_grad()
            (functional.softplus(-real).mean() + functional.softplus(fake).mean()).backward()
            by_discriminator.step()
            by_generator.zero_grad()
            functional.softplus(-net.discriminator(made)).mean().backward()
            by_generator.step()
    for name, weight in net.state_dict().items():
        assert torch.equal(weight, outcome.weights[name]), name


def test_the_gap_is_the_distance_to_validation_minus_that_to_training_examples(fit, split, task):
    outcome, of = fit(), task()
    of.net.load_state_dict(outcome.weights)
    of.prepare(split)
    seen = of.measure(Batches((split.train[0][:200], split.train[1][:200]), batch_size=64))
    unseen = of.measure(Batches(split.validation, batch_size=64))
    assert outcome.gap["best"]["kid"] == pytest.approx(unseen["kid"] - seen["kid"], abs=1e-9)
    best = outcome.history.epochs[outcome.best_epoch]
    assert best["val/kid"] == best["val/loss"] == pytest.approx(unseen["kid"], rel=1e-6)


def test_the_gradient_of_either_net_is_followed_by_its_own_loss(split, task):
    of = task("model.depth=3")
    rows = gradient_flow(of, (split.train[0][:32], split.train[1][:32]))
    assert [(row["part"], row["layer"]) for row in rows] == [
        (part, layer) for part in ("generator", "discriminator") for layer in (1, 2, 3)
    ]
    net = of.net.train()
    made = net.generator(net.fixed_noise(32))
    weight = net.generator.layers[0].linear.weight
    (expected,) = torch.autograd.grad(functional.softplus(-net.discriminator(made)).mean(), weight)
    assert rows[0]["weight_gradient"] == pytest.approx(float(expected.norm()), rel=1e-5)
    real, fake = (net.discriminator(x) for x in (split.train[0][:32], made.detach()))
    weight = net.discriminator.layers[2].linear.weight
    loss = functional.softplus(-real).mean() + functional.softplus(fake).mean()
    (expected,) = torch.autograd.grad(loss, weight)
    assert rows[5]["weight_gradient"] == pytest.approx(float(expected.norm()), rel=1e-5)


def test_both_nets_are_watched_while_they_are_trained(fit):
    outcome = fit("model.depth=2")
    flow = [row for row in outcome.history.gradient_flow if row["epoch"] == 2]
    assert len(flow) == 4
    assert all(0 < row["update_ratio"] < 1 for row in flow)
    last = outcome.history.epochs[-1]
    assert {"gradient/generator_ratio", "gradient/discriminator_ratio", "gap/kid"} <= set(last)


def test_clipping_bounds_the_step_of_both_nets(fit):
    overrides = ("task.gradient_clip_val=1e-9", "optimizer=sgd", "optimizer.momentum=0", "optimizer.lr=1")
    assert max(row["update_ratio"] for row in fit(*overrides).history.gradient_flow) < 1e-7


def test_a_schedule_moves_both_learning_rates_every_step(fit):
    rates = []

    class Watch(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            rates.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])

    fit("schedule=cosine", "optimizer.lr=0.004", callbacks=[Watch()])
    assert torch.tensor(rates).tolist() == [pytest.approx([rate] * 2) for rate in (0.003, 0.001, 0)]


def test_diagnostics_leave_the_training_as_it_is(fit):
    often, never = fit("diagnostics.every=1"), fit("diagnostics.every=100")
    assert all(torch.equal(often.weights[name], never.weights[name]) for name in often.weights)


def test_a_diverged_game_is_an_outcome_and_not_a_crash(fit):
    outcome = fit("optimizer=sgd", "optimizer.lr=1e12", "model.normalisation=none")
    assert outcome.state == "diverged"


def test_artifacts_are_a_few_images_and_the_same_each_time(fit, split, task):
    samples = fit().artifacts["samples"]
    assert samples.shape == (16, 1, 8, 8)
    of = task()
    assert torch.equal(of.artifacts(split)["samples"], of.artifacts(split)["samples"])
    assert of.training


def test_tables_can_be_generated_too_and_leave_no_images(fit):
    outcome = fit("data=breast_cancer")
    assert outcome.state == "finished"
    assert outcome.artifacts == {}


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["task.loss=hing"], "unknown loss 'hing', did you mean 'hinge'?"),
        (["task.gradient_clip_val=0"], "gradient_clip_val must be above 0, or null, got 0"),
        (["task.gradient_clip_val=much"], "gradient_clip_val must be a finite number, got 'much'"),
        (["trainer.gradient_clip_val=0.5"], "set task.gradient_clip_val"),
        (["model=mlp", "task=generation"], "with a generator and a discriminator, got MLP: choose model=gan"),
        (["train_examples=1"], "scored on at least 2 examples, got 1"),
    ],
)
def test_what_cannot_be_played_is_refused_in_one_line(fit, overrides, words):
    with pytest.raises(UserError) as caught:
        fit(*overrides)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "examples",
    [
        (torch.zeros(4, 5, dtype=torch.int64), torch.zeros(4, dtype=torch.int64)),
        (torch.zeros(4, 22, 1), torch.zeros(4, 1)),
    ],
    ids=["characters", "series"],
)
def test_examples_without_numbers_or_classes_are_refused_in_one_line(examples):
    with pytest.raises(UserError, match=r"^generation expects examples of numbers with a class each[^\n]*$"):
        judge_of(examples)
