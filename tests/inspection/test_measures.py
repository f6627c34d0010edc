"""What claims measure inside networks, of networks of which the answer is known."""

import copy
import math

import pytest
import torch

from howdeep.data.examples import Split
from howdeep.inspection import measures
from howdeep.inspection.measures import Trained
from howdeep.training.run import build


def draw(*sizes: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


def split_of(x: torch.Tensor, y: torch.Tensor) -> Split:
    half = len(x) // 2
    return Split((x[:half], y[:half]), (x[half:], y[half:]), None)


def trained(net, split: Split, gradients=(1.0,), other=None) -> Trained:
    return Trained(net, net, other or net, split, torch.tensor(gradients, dtype=torch.float64))


@pytest.fixture
def mlp(compose):
    def of(seed: int, *overrides: str):
        torch.manual_seed(seed)
        return build(compose("model=mlp", "model.depth=4", "model.width=16", *overrides).model).eval()

    return of


@pytest.fixture
def digits():
    x = draw(240, 1, 8, 8)
    return split_of(x, x.flatten(1)[:, :3].argmax(1))


def test_gradients_are_told_as_a_ratio_and_as_powers_of_ten_in_either_direction(mlp, digits):
    runs = [trained(mlp(0), digits, of) for of in ((1e-3, 1.0), (100.0, 5.0, 1.0), (0.0, 1.0))]
    assert measures.gradient_ratio_at_start(runs) == pytest.approx([1e-3, 100.0, 0.0])
    vanishing, exploding, gone = measures.gradient_distance_at_start(runs)
    assert (vanishing, exploding) == pytest.approx((3.0, 2.0))
    assert math.isfinite(gone)


def test_a_network_is_matched_with_its_copy_layer_by_layer_and_explained_alike(mlp, digits):
    net = mlp(0)
    runs = [trained(of, digits) for of in (net, copy.deepcopy(net), net)]
    assert measures.layers_matched(runs) == pytest.approx([1 - 1 / 4] * 3)
    assert measures.attribution_agreement(runs) == pytest.approx([1.0] * 3)


def test_networks_with_other_weights_are_explained_less_alike(mlp, digits):
    found = measures.attribution_agreement([trained(mlp(seed), digits) for seed in range(3)])
    assert max(found) < 0.9


def test_a_network_with_the_weights_of_its_untrained_control_is_explained_by_its_architecture_alone(
    mlp, digits
):
    alike, other = (
        trained(mlp(0), digits)._replace(other=mlp(0)),
        trained(mlp(0), digits)._replace(other=mlp(1)),
    )
    same, differs = measures.attribution_without_training([alike, other])
    assert same == pytest.approx(1.0)
    assert differs < 0.9


def test_a_probe_gains_nothing_where_the_layer_is_that_of_the_control(mlp, digits):
    net = mlp(0, "model.normalisation=none")
    assert measures.probe_gain([trained(net, digits)]) == [0.0]


def test_a_probe_of_a_layer_that_is_the_input_gains_nothing_over_the_input(mlp):
    net = mlp(0, "model.depth=1", "model.width=64", "model.normalisation=none", "model.residual=false")
    x = draw(240, 1, 8, 8).abs()  # which rectified units let through
    with torch.no_grad():
        layer = next(module for module in net.layers.modules() if isinstance(module, torch.nn.Linear))
        layer.weight.copy_(torch.eye(64))
        layer.bias.zero_()
    found = measures.probe_of_last_layer([trained(net, split_of(x, (x.flatten(1)[:, 0] > 0.5).long()))])
    assert found == [0.0]


def test_equal_attention_has_two_of_t_steps_on_the_marks(compose):
    net = build(compose("model=transformer", "data=adding", "data.steps=10", "model.depth=2").model)
    x = torch.zeros(12, 10, 2)
    x[:, [2, 7], 1] = 1
    for block in net.layers:
        torch.nn.init.zeros_(block.attention.query.weight)
        torch.nn.init.zeros_(block.attention.query.bias)
    found = measures.attention_on_marks([trained(net, split_of(x, x[:, :1, 0]))])
    assert found == pytest.approx([0.2])


def test_integrated_gradients_of_a_network_that_is_nearly_linear_miss_little(mlp, digits):
    [error] = measures.completeness_error([trained(mlp(0), digits)])
    assert 0 <= error < 0.05
