"""Matching: the width of each depth against formulas made by hand, against trying every width, and in a training."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from howdeep.diagnostics.cost import parameters, training_flops
from howdeep.errors import UserError
from howdeep.records.fingerprint import run_key
from howdeep.records.fingerprint import settings as settings_of
from howdeep.runs.examples import load_split
from howdeep.study.composition import compose_train
from howdeep.study.matching import match, nearest_width
from howdeep.training.run import build, train

PLAIN_MLP = ["model=mlp", "model.normalisation=none"]
FAMILIES = [
    ["model=mlp"],
    ["model=cnn"],
    ["model=rnn", "data=sunspots", "data.context=6"],
    ["model=gru", "data=sunspots", "data.context=6"],
    ["model=lstm", "data=torch_docs", "data.context=6"],
    ["model=transformer", "data=digit_sequences"],
    ["model=transformer", "data=torch_docs", "data.context=6", "model.positions=sinusoidal", "model.heads=1"],
    ["model=gan"],
    ["model=gan", "model.kind=convolutional"],
    ["model=autoencoder"],
    ["model=autoencoder", "model.kind=convolutional"],
]


def mlp_parameters(depth: int, width: int, inputs: int = 64, outputs: int = 10) -> int:
    return inputs * width + width + (depth - 1) * (width * width + width) + width * outputs + outputs


def mlp_flops(depth: int, width: int, inputs: int = 64, outputs: int = 10) -> int:
    return 3 * 2 * (inputs * width + (depth - 1) * width * width + width * outputs)


def cost(cfg) -> tuple[int, int]:
    """Parameters and training FLOPs of the network that a config builds."""
    characters = cfg.data.vocabulary is not None
    x = torch.zeros(1, *cfg.data.in_shape, dtype=torch.int64 if characters else torch.float32)
    net = build(cfg.model)
    return parameters(net), training_flops(net, x)


@pytest.mark.parametrize(("matching", "of"), [("parameters", mlp_parameters), ("flops", mlp_flops)])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_the_width_of_an_mlp_is_the_one_that_its_formula_gives(compose, matching, of, depth):
    cfg = compose(*PLAIN_MLP, f"model.depth={depth}", f"matching={matching}", "model.width=100")
    wanted = of(8, 100)
    assert cfg.model.width == min(range(1, 2000), key=lambda width: abs(of(depth, width) - wanted))


def test_the_reference_itself_keeps_its_width(compose):
    assert compose("model.depth=8", "matching=flops", "model.width=17").model.width == 17


def test_a_reference_of_its_own_takes_the_place_of_the_model_s_width(compose):
    cfg = compose(
        *PLAIN_MLP, "model.depth=3", "matching=parameters", "reference.depth=3", "reference.width=50"
    )
    assert (cfg.model.width, cfg.reference.width) == (50, 50)


def test_the_config_tells_the_width_that_was_asked_for_and_gives_the_same_network_once_more(compose):
    cfg = compose(*PLAIN_MLP, "model.depth=2", "matching=parameters", "model.width=100")
    assert cfg.reference.width == 100
    solved = cfg.model.width
    match(cfg)
    assert cfg.model.width == solved != 100


def test_at_equal_width_the_reference_is_no_part_of_a_run(compose):
    one, other = compose("model.depth=2"), compose("model.depth=2", "reference.depth=4")
    assert "reference" not in settings_of(one)
    assert run_key(one, "data") == run_key(other, "data")
    matched = compose("model.depth=2", "matching=parameters")
    assert settings_of(matched)["reference"] == {"depth": 8, "width": 64}


@settings(derandomize=True, database=None, deadline=None)
@given(
    a=st.integers(0, 50), b=st.integers(0, 5000), c=st.integers(0, 10**5), step=st.integers(1, 8),
    wanted=st.integers(1, 10**6),
)  # fmt: skip
def test_the_nearest_width_is_that_of_trying_them_all(a, b, c, step, wanted):
    assume(a or b)

    def of(width):
        return a * width**2 + b * width + c

    tried = range(step, 2 + step + max(step, wanted), step) if wanted < 1000 else None
    found = nearest_width(of, wanted, step=step)
    assert found % step == 0
    assert found >= step
    distance = abs(of(found) - wanted)
    for other in tried or (found - step, found + step):
        if other >= step:
            assert distance <= abs(of(other) - wanted)


def test_a_steep_cost_takes_few_guesses():
    guesses = []

    def of(width):
        guesses.append(width)
        return width**6 + 1

    assert nearest_width(of, 1000**6) == 1000
    assert len(guesses) < 40


@pytest.mark.slow
@pytest.mark.parametrize("matching", ["parameters", "flops"])
@pytest.mark.parametrize("family", FAMILIES, ids=" ".join)
def test_every_depth_of_every_architecture_costs_the_same_or_is_refused(project, family, matching):
    part = ("parameters", "flops").index(matching)
    overrides = ["tracking.uri=null", *family, f"matching={matching}", "reference.depth=6"]
    reference = compose_train(project.conf, [*overrides, "model.depth=6"])
    wanted, refusals = cost(reference)[part], []
    for depth in (1, 2, 3, 5, 6, 11, 16):
        try:
            cfg = compose_train(project.conf, [*overrides, f"model.depth={depth}"])
        except UserError as error:
            refusals.append(str(error))
        else:
            assert abs(cost(cfg)[part] - wanted) <= 0.02 * wanted
    assert len(refusals) < 7  # the reference itself is met
    assert all("but the nearest width" in line and "\n" not in line for line in refusals)


def test_a_width_that_cannot_be_met_is_refused_with_the_nearest_one(compose):
    wanted = mlp_parameters(1, 5)
    assert mlp_parameters(8, 3) < wanted < mlp_parameters(8, 5)
    nearest = min((3, 4, 5), key=lambda width: abs(mlp_parameters(8, width) - wanted))
    with pytest.raises(UserError) as caught:
        compose(*PLAIN_MLP, "model.depth=8", "matching=parameters", "reference.depth=1", "reference.width=5")
    line = str(caught.value)
    assert f"the {wanted} parameters of depth 1 at width 5, within 2%" in line
    assert f"the nearest width {nearest} has {mlp_parameters(8, nearest)} (" in line
    assert "choose another reference.width" in line
    assert "\n" not in line


def test_the_width_of_a_transformer_is_a_multiple_of_its_heads(compose):
    cfg = compose(
        "model=transformer", "data=digit_sequences", "model.depth=2", "matching=parameters", "model.heads=8",
        "model.width=256",
    )  # fmt: skip
    assert cfg.model.width % 8 == 0
    assert cfg.model.width > 256


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["matching=parameter"], "unknown matching 'parameter', did you mean 'parameters'?"),
        (["matching=null"], "unknown matching None"),
        (["matching=flops", "reference.depth=0"], "reference.depth must be a whole number of at least 1, got 0"),
        (["matching=flops", "reference.depth=1001"], "reference.depth must be at most 1000, got 1001"),
        (["matching=flops", "reference.width=wide"], "reference.width must be a whole number of at least 1"),
        (["matching=flops", "reference=null"], "reference must hold depth and width"),
        (["matching=flops", "~reference.depth"], "reference must hold depth and width"),
        (["matching=flops", "~model.width"], "matching=flops expects a model with width, got none"),
        (["matching=parameters", "model.depth=two"], "model.depth must be a whole number"),
        (["matching=parameters", "model.depth=2000"], "model.depth must be at most 1000"),
        (["matching=parameters", "model.width=1.5"], "width must be a whole number of at least 1, got 1.5"),
        (["matching=parameters", "model=cnn", "data=sunspots"], "cnn reads images"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_in_one_line(compose, overrides, words):
    with pytest.raises(UserError, match=words) as caught:
        compose(*overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("matching", ["parameters", "flops"])
@pytest.mark.parametrize(
    "family", [["model=mlp"], ["model=lstm", "data=sunspots", "model.width=16"]], ids=" ".join
)
def test_trained_networks_of_two_depths_have_cost_the_same(project, compose, tmp_path, family, matching):
    small = ["trainer.max_epochs=1", "train_examples=64", "reference.depth=4", f"matching={matching}"]
    costs = []
    for depth in (1, 4):
        cfg = compose(*family, *small, f"model.depth={depth}")
        outcome = train(cfg, load_split(cfg, project), resume_point=tmp_path / f"{depth}", identity={})
        costs.append(outcome.cost["parameters" if matching == "parameters" else "training_flops"])
    assert costs[0] != costs[1]  # two networks
    assert costs[0] == pytest.approx(costs[1], rel=0.02)
