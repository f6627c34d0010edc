"""Any configuration trains one step or is refused in one line, and any value that means nothing is refused.

What is tried depends on the name of a test alone, so that a new network or data set is tried beside the others and
changes nothing of what they are tried with: a failure belongs to whoever made it.
"""

import itertools
import math
import zlib
from collections.abc import Sequence
from functools import cache

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from howdeep.errors import UserError
from howdeep.nets.layers import ACTIVATIONS, INITIALISATIONS, NORMALISATIONS
from howdeep.tasks.generation import LOSSES
from howdeep.training.run import prepare_task
from tests.amount import times
from tests.choices import (
    CONF,
    EMBEDDED,
    MODELS,
    OPTIMIZERS,
    SCHEDULES,
    SMALL,
    TASKS,
    one_step,
    suiting,
)

FLAGS, SIZES = st.booleans(), st.sampled_from([1, 2, 5, 8])
MODEL = {  # what the parameters of models may be, by name
    "depth": st.integers(1, 33),
    "width": st.sampled_from([1, 4, 6, 8]),
    "heads": st.sampled_from([1, 2, 4]),
    "expansion": SIZES,
    "bottleneck": SIZES,
    "latent": SIZES,
    "stages": st.integers(1, 5),
    "activation": st.sampled_from(sorted(ACTIVATIONS)),
    "initialisation": st.sampled_from(INITIALISATIONS),
    "normalisation": st.sampled_from(NORMALISATIONS),
    "residual": FLAGS,
    "norm_first": FLAGS,
    "causal": FLAGS,
    "dropout": st.sampled_from([0, 0, 0.1, 0.9]),
    "kind": st.sampled_from(["dense", "convolutional"]),
    "positions": st.sampled_from(["learned", "sinusoidal"]),
    "forget_bias": st.sampled_from(["null", -1, 1.5]),
}
OTHER = {
    "optimizer.lr": st.sampled_from([1e-4, 1e-3, 1e-2]),
    "batch_size": st.sampled_from([1, 7, 16, 1000]),
    "train_examples": st.sampled_from([1, 2, 9, 24]),
    "patience": st.sampled_from(["null", 1, 5]),
    "trainer.gradient_clip_val": st.sampled_from(["null", "null", 0.5, 10]),
    "trainer.limit_train_batches": st.just(1),
    "diagnostics.gradient_examples": st.sampled_from([1, 2, 64]),
    "diagnostics.gap_examples": st.sampled_from([1, 2, 512]),
    "seed": st.integers(0, 2**64),
}
LOSS = {
    "task.loss": st.sampled_from(sorted(LOSSES)),
    "task.gradient_clip_val": st.sampled_from(["null", 0.5]),
}
DATA_OPTIONS = {
    "digits": {"data.in_shape": st.sampled_from(["[1,8,8]", "[4,4,4]", "[64,1,1]", "[1,2,32]", "[64]"])},
    "digit_sequences": {"data.in_shape": st.sampled_from(["[16,4]", "[8,8]", "[64,1]", "[1,64]"])},
    "sunspots": {"data.context": st.sampled_from([1, 5, 22])},
    "elnino": {"data.context": st.sampled_from([1, 24])},
    "torch_docs": {"data.context": st.sampled_from([1, 8, 33])},
}
TASK_OF = {"autoencoder": "reconstruction", "gan": "generation"}


@cache
def parameters(model: str) -> list[str]:
    """The parameters that conf/model names and this module knows values for."""
    return sorted(set(yaml.safe_load((CONF / f"model/{model}.yaml").read_text())) & set(MODEL))


def one_of(choices: Sequence[str]) -> st.SearchStrategy[str]:
    """One of the files of a folder: another file takes some of the draws, and leaves the others as they were."""
    draws = st.integers(0, 2**32 - 1)
    return draws.map(lambda draw: max(choices, key=lambda name: zlib.crc32(f"{draw} {name}".encode())))


def drawn(choices: Sequence[str]) -> list[str]:
    found: list[str] = []

    @seed(0)
    @settings(database=None, deadline=None, max_examples=100)
    @given(name=one_of(choices))
    def take(name: str) -> None:
        found.append(name)

    take()
    return found


def test_another_file_takes_some_draws_and_leaves_the_others_as_they_were():
    before, after = drawn(OPTIMIZERS), drawn([*OPTIMIZERS, "another"])
    assert set(before) == set(OPTIMIZERS)
    assert 1 < after.count("another") < len(after) / 2
    assert all(new in (old, "another") for old, new in zip(before, after, strict=True))


@st.composite
def valid_overrides(draw, model: str, data: str) -> list[str]:
    """Options that all mean something; together they may still be refused."""
    groups = {
        "data": data, "model": model, "optimizer": draw(one_of(OPTIMIZERS)), "schedule": draw(one_of(SCHEDULES)),
    }  # fmt: skip
    if draw(st.integers(0, 3)) == 0:
        groups["task"] = draw(one_of(TASKS))
    values = {f"model.{name}": MODEL[name] for name in parameters(model)} | OTHER | DATA_OPTIONS.get(data, {})
    if groups.get("task", TASK_OF.get(model)) == "generation":
        values |= LOSS
    drawn = groups | {name: draw(strategy) for name, strategy in values.items()}
    return [f"{name}={value}" for name, value in drawn.items()]


FEW = settings(
    database=None, deadline=None, max_examples=times(2, 3), suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip


# Half of all pairs, chosen by their names; each pair is tried with its defaults in test_composition.py.
PAIRS = [
    (model, data)
    for model, data in itertools.product(MODELS, EMBEDDED)
    if zlib.crc32(f"{data} with {model}".encode()) % 2
]


def test_each_network_and_each_data_set_is_in_a_pair():
    assert [sorted(set(names)) for names in zip(*PAIRS, strict=True)] == [MODELS, EMBEDDED]


@pytest.mark.slow
@pytest.mark.parametrize(("model", "data"), PAIRS)
def test_any_configuration_trains_one_step_or_is_refused_in_one_line(compose, project, tmp_path, model, data):
    @seed(zlib.crc32(f"{model} {data}".encode()))
    @FEW
    @given(overrides=valid_overrides(model, data))
    def holds(overrides: list[str]) -> None:
        trains_or_is_refused(compose(*overrides, "trainer.max_epochs=1"), project, tmp_path)

    holds()


def trains_or_is_refused(cfg, project, folder) -> None:
    outcome = one_step(cfg, project, folder)
    if isinstance(outcome, str):
        assert outcome
        assert "\n" not in outcome
        return
    if outcome.weights is None:
        assert outcome.state == "diverged"
        assert is_unbounded(cfg.model)
        return
    (row,) = outcome.history.epochs
    assert math.isfinite(row["train/loss"])
    before = prepare_task(cfg).net.state_dict()
    moved = any(not torch.equal(weight, before[name]) for name, weight in outcome.weights.items())
    assert moved or is_unbounded(cfg.model)


def is_unbounded(model) -> bool:
    """Whether gradients may leave the range of a float, and clipping by an infinite norm leave nothing of them.

    A layer that dropout silences has no variance to normalise by, and without normalisation nothing bounds the sums; a
    network that knows neither setting is one without normalisation.
    """
    return "normalisation" not in model or model.normalisation == "none" or model.get("dropout", 0) > 0


HUGE = 10**30
NOT_WHOLE = ["0", "-1", "1.5", "nan", "inf", "null", "two", "true", "[1]", "{a:1}", "''", HUGE]
NOT_ABOVE_0 = ["0", "-0.5", "nan", "inf", "fast", "true", "[1]"]
NOT_SHARE = ["-0.1", "1", "2", "nan", "much", "null", "[0.1]"]
NOT_FLAG = ["5", "0", "maybe", "null", "[true]"]
NO_NAME = ["xyz", "''", "5", "null", "true", "[relu]"]
MEANINGLESS = {
    **{name: NOT_WHOLE for name in ("depth", "width", "heads", "expansion", "bottleneck", "latent")},
    "stages": [value for value in NOT_WHOLE if value != HUGE],  # an image is halved while it can be
    **{name: NO_NAME for name in ("activation", "initialisation", "normalisation", "kind", "positions")},
    **{name: NOT_FLAG for name in ("residual", "norm_first", "causal")},
    "dropout": NOT_SHARE,
    "forget_bias": ["nan", "inf", "open", "true", "[1]"],
    "chrono_steps": ["0", "1", "-3", "1.5", "long", "true", "[9]"],
    "in_shape": ["[]", "[0,64]", "[-1,64]", "64", "null", "image", "[1.5]", "[3]"],
    "out_features": [*NOT_WHOLE, "77"],
    "vocabulary": ["0", "5", "many", "[1]", "null", HUGE],
    "every_step": NOT_FLAG,
    "_target_": ["null", "nothing", "howdeep.nets.mlp.MPL", "howdeep.nets.none.None"],
}
NOT_CLIPPED = [*NOT_ABOVE_0, HUGE * 10.0**300]


def refusals() -> dict[tuple[str, ...], list]:
    """Overrides that compose or not, and the key whose value is wrong: ("model=mlp", "model.depth").

    A network is without data here: `suiting` chooses them, lest a wrong value be refused for data that do not suit.
    """
    wrong: dict[tuple[str, ...], list] = {}
    for model in MODELS:
        names = yaml.safe_load((CONF / f"model/{model}.yaml").read_text())
        wrong |= {
            (f"model={model}", f"model.{name}"): MEANINGLESS[name] for name in names if name in MEANINGLESS
        }
    wrong |= {(name,): ["nan", *NO_NAME[:-2], "[xyz]"] for name in ("model", "data", "optimizer", "schedule")}
    sequences = ("model=lstm", "data=torch_docs")
    wrong |= {
        ("data.in_shape",): MEANINGLESS["in_shape"],
        ("data.out_features",): [*NOT_WHOLE, "3", "77"],
        ("data.vocabulary",): ["5", "89"],
        (*sequences, "data.out_features"): [*NOT_WHOLE, "3", "97"],
        (*sequences, "data.vocabulary"): MEANINGLESS["vocabulary"],
        (*sequences, "data.every_step"): NOT_FLAG,
        (*sequences, "data.context"): [*NOT_WHOLE, "1000000"],
        ("model=lstm", "data=sunspots", "data.context"): [*NOT_WHOLE, "1000000"],
        ("data.examples.validation_fraction",): ["0", "1", "-1", "2", "nan", "x", "null", "true", "1e-9"],
        ("data.examples.seed",): ["-1", "1.5", "x", "null", "true"],
        ("optimizer.lr",): [*NOT_ABOVE_0, "null"],
        ("optimizer.betas",): ["5", "[0.9]", "[a,b]", "[2,0.9]", "[nan,0.9]", "null"],
        ("optimizer=sgd", "optimizer.momentum"): ["-1", "nan", "x", "null", "[1]"],
        ("optimizer=rmsprop", "optimizer.alpha"): ["-1", "nan", "x", "null", "[1]"],
        ("optimizer=adamw", "optimizer.weight_decay"): ["-1", "nan", "x", "null", "[1]"],
        ("schedule=warmup_cosine", "schedule.warmup"): [*NOT_SHARE, "true"],
        ("+schedule.steps",): ["5"],
        ("+task.labels",): ["5"],
        ("task._target_",): ["null", "nothing", "howdeep.nets.mlp.MLP"],
        ("trainer.max_epochs",): NOT_WHOLE,
        ("trainer.devices",): ["0", "2", "-1", "null", "auto", "true"],
        ("trainer.accelerator",): ["tpu", "5", "null"],
        ("trainer.precision",): ["64-true", "16", "x", "null"],
        ("trainer.deterministic",): NOT_FLAG,
        ("trainer.profiler",): ["x", "5", "true"],
        ("trainer.limit_train_batches",): ["0", "-1", "1.5", "0.5", "null", "x", "true", "nan"],
        ("trainer.gradient_clip_val",): NOT_CLIPPED,
        ("model=gan", "task.gradient_clip_val"): NOT_CLIPPED,
        ("model=gan", "task.loss"): NO_NAME,
        ("model=gan", "trainer.gradient_clip_val"): ["1"],
        ("seed",): ["-1", "1.5", "null", "x", "true", "nan", "[1]"],
        ("batch_size",): NOT_WHOLE,
        ("patience",): [value for value in NOT_WHOLE if value != "null"],
        ("train_examples",): [value for value in NOT_WHOLE if value != "null"],
        ("diagnostics",): ["5", "x"],
        ("diagnostics.every",): NOT_WHOLE,
        ("diagnostics.gap_examples",): NOT_WHOLE,
        ("diagnostics.gradient_examples",): NOT_WHOLE,
        ("checkpoint_seconds",): ["-1", "nan", "x", "null", "[1]"],
        ("matching",): ["x", "5", "null"],
        ("matching=parameters", "reference"): ["5", "x"],
        ("matching=parameters", "reference.depth"): [*NOT_WHOLE, "1001"],
        ("matching=flops", "reference.width"): [value for value in NOT_WHOLE if value != "null"],
    }
    return wrong


REFUSALS = refusals()
# Refusals that need not name the key: of sizes that only fail together, and of values that torch and Hydra refuse.
OTHERWISE = ("is too large for this machine's memory", "torch.optim.", "expected the name of a file")


@pytest.fixture(scope="module")
def outcome_of(compose, project, tmp_path_factory):
    """What becomes of overrides: an outcome, or what they were refused with; each is tried once."""
    folder = tmp_path_factory.mktemp("refusals")

    @cache
    def of(*overrides: str):
        try:
            return one_step(compose(*overrides), project, folder)
        except UserError as error:
            return str(error)

    return of


@pytest.mark.slow
@pytest.mark.parametrize("wrong", sorted(REFUSALS), ids=" ".join)
def test_a_value_that_means_nothing_is_refused_in_one_line_that_names_it(outcome_of, project, wrong):
    *others, key = wrong
    value = REFUSALS[wrong][zlib.crc32(" ".join(wrong).encode()) % len(REFUSALS[wrong])]
    if key.startswith("model.") and len(others) == 1:  # a text alone has a vocabulary
        of_text = key == "model.vocabulary"
        others += [f"data={'torch_docs' if of_text else suiting(others[0].removeprefix('model='), project)}"]
    assert not isinstance(outcome_of(*others, *SMALL), str), "refused for another reason"
    outcome = outcome_of(*others, *(of for of in SMALL if not of.startswith(f"{key}=")), f"{key}={value}")
    assert isinstance(outcome, str), f"{key}={value} was trained"
    assert "\n" not in outcome
    assert key.rpartition(".")[2].removeprefix("+") in outcome or any(kind in outcome for kind in OTHERWISE)


FOUND = {  # explicit, whatever is drawn: what once ended in a traceback, or was trained without meaning anything
    (
        "model=gan",
        "task=classification",
    ): "expects a model with out_features, but gan has none: leave out task",
    ("model=mlp", "task=reconstruction"): "expects a model with bottleneck, but mlp has none: leave out task",
    ("data.out_features=5",): "an output for each of the 10 classes, got 5: set data.out_features=10",
    (
        "model=lstm",
        "data=torch_docs",
        "data.out_features=5",
    ): "an output for each of the 89 characters, got 5",
    (
        "model.in_shape=[3]",
    ): "model.in_shape must be what the data has, [1, 8, 8], got [3]: set data.in_shape",
    (
        "model=lstm",
        "data=torch_docs",
        "model.vocabulary=5",
    ): "model.vocabulary must be what the data has, 89, got 5",
    ("model=lstm", "data=digit_sequences", "data.in_shape=[64]", "data.vocabulary=65"): "must be null, since",
    ("model.depth=1000000000",): "model.depth must be at most 1000, got 1000000000",
    ("model.width=1000000000000000",): "too large for this machine's memory: choose smaller sizes",
    ("trainer.devices=2",): "trainer.devices must be 1, got 2: train several runs side by side instead",
    ("trainer.precision=64-true",): "unknown trainer.precision '64-true', did you mean '32-true'?",
    ("trainer.limit_train_batches=0",): "must be 1.0 for all, or a whole number of batches, got 0",
    ("trainer.limit_train_batches=0.01",): "must be 1.0 for all, or a whole number of batches, got 0.01",
    ("trainer.gradient_clip_val=-1",): "trainer.gradient_clip_val must be above 0, or null, got -1",
    ("trainer.profiler=x",): "unknown trainer.profiler 'x'; there are: advanced, pytorch, simple",
    ("optimizer.betas=[0.9]",): "torch.optim.Adam refuses its values: list index out of range",
    ("optimizer.betas=[0.9,nan]",): "torch.optim.Adam refuses its values: Invalid beta parameter at index 1",
    (f"batch_size={HUGE}",): "batch_size must be a whole number of at least 1, and at most 2147483647",
    ("checkpoint_seconds=nan",): "checkpoint_seconds must be a finite number, got nan",
    ("diagnostics=5",): "diagnostics must hold its settings, as in diagnostics.every=5, got 5",
    ("model=null",): "expected the name of a file for each folder of conf/, as in model=mlp",
    ("model._target_=nothing",): "model._target_ must be a class of a file in howdeep/nets",
    ("+task.labels=5",): "howdeep.tasks.classification.Classification refuses its values: ",
    ("+schedule.steps=5",): "howdeep.training.schedules.constant refuses its values: ",
}


@pytest.mark.parametrize("overrides", FOUND, ids=" ".join)
def test_a_mistake_that_was_found_stays_one_line(compose, project, tmp_path, overrides):
    try:
        outcome = one_step(compose(*overrides, "trainer.max_epochs=1"), project, tmp_path)
    except UserError as error:
        outcome = str(error)
    assert isinstance(outcome, str), "trained"
    assert FOUND[overrides] in outcome
    assert "\n" not in outcome
