"""Parameters and training FLOPs against closed formulas and hand-computed numbers."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from howdeep.diagnostics.cost import RECURRENT_LAYERS, parameters, training_flops
from howdeep.nets.lstm import LSTM
from howdeep.nets.mlp import MLP

DEPTHS = [1, 2, 4, 8, 32]


def mlp(depth: int, **options) -> MLP:
    common = {"activation": "relu", "initialisation": "he", "dropout": 0.0}
    shared = {"residual": True, "normalisation": "batch"}
    return MLP(in_shape=[1, 8, 8], out_features=10, depth=depth, width=16, **(common | shared | options))


def lstm(depth: int, **options) -> LSTM:
    common = {"initialisation": "default", "dropout": 0.0, "forget_bias": None}
    shared = {"residual": True, "normalisation": "layer"}
    return LSTM(in_shape=[16, 4], out_features=10, depth=depth, width=8, **(common | shared | options))


def test_numbers_of_a_small_network_by_hand():
    net = nn.Linear(3, 2)  # 6 products and 6 sums forward, twice that backward
    assert parameters(net) == 8
    assert training_flops(net, [3]) == 36


def test_frozen_parameters_are_not_counted():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    net[0].requires_grad_(False)
    assert parameters(net) == 3


@pytest.mark.parametrize("depth", DEPTHS)
def test_mlp_flops_are_six_for_each_weight(depth):
    weights = 64 * 16 + (depth - 1) * 16 * 16 + 16 * 10
    assert training_flops(mlp(depth), [1, 8, 8]) == 6 * weights


@pytest.mark.parametrize("depth", DEPTHS)
def test_lstm_flops_are_six_for_each_weight_and_step(depth):
    weights = 4 * 8 * (4 + 8) + (depth - 1) * 4 * 8 * (8 + 8)
    assert training_flops(lstm(depth), [16, 4]) == 6 * (16 * weights + 8 * 10)


def test_the_formula_agrees_with_the_counter_where_the_counter_can_see_the_products():
    """In double precision a recurrent layer is made of matrix products, which PyTorch counts itself."""
    net = lstm(3)
    assert training_flops(net, [16, 4]) == training_flops(net.double(), [16, 4])


def test_the_formula_of_a_gpu_agrees_with_that_of_a_processor():
    """Run without data, on the meta device, where only shapes exist."""
    x, h = torch.empty(16, 1, 4, device="meta"), torch.empty(1, 1, 8, device="meta")
    weights = [torch.empty(shape, device="meta") for shape in [(32, 4), (32, 8), (32,), (32,)]]
    with FlopCounterMode(display=False, custom_mapping=RECURRENT_LAYERS) as counter:
        lstm_mode = 2
        torch.ops.aten._cudnn_rnn(
            x, weights, 4, None, h, h, lstm_mode, 8, 0, 1, False, 0.0, False, False, [], None
        )
    assert counter.get_total_flops() == 2 * 16 * (32 * 4 + 32 * 8)


@pytest.mark.parametrize("make", [mlp, lstm])
def test_counting_leaves_the_network_and_the_random_numbers_as_they_were(make):
    net = make(3, normalisation="batch", dropout=0.5)
    net.layers[1].eval()
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    rng = torch.get_rng_state()
    training_flops(net, [1, 8, 8] if make is mlp else [16, 4])
    assert [module.training for module in net.modules()] == modes
    torch.testing.assert_close(net.state_dict(), state, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(p.grad is None for p in net.parameters())


def test_a_network_that_fails_is_left_as_it_was():
    net = mlp(2)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        training_flops(net, [3])
    assert all(module.training for module in net.modules())
