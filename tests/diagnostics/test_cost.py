"""Parameters and training FLOPs against closed formulas and hand-computed numbers."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.flop_counter import FlopCounterMode

from howdeep.diagnostics.cost import UNKNOWN_TO_PYTORCH, parameters, training_flops
from howdeep.nets.gru import GRU
from howdeep.nets.lstm import LSTM
from howdeep.nets.mlp import MLP
from howdeep.nets.rnn import RNN

DEPTHS = [1, 2, 4, 8, 32]
GATES = {RNN: 1, GRU: 3, LSTM: 4}
OWN = {RNN: {"activation": "tanh"}, GRU: {}, LSTM: {"forget_bias": None}}
IMAGE, SEQUENCE = torch.zeros(1, 1, 8, 8), torch.zeros(1, 16, 4)


def mlp(depth: int, **options) -> MLP:
    common = {"activation": "relu", "initialisation": "he", "dropout": 0.0}
    shared = {"residual": True, "normalisation": "batch"}
    return MLP(in_shape=[1, 8, 8], out_features=10, depth=depth, width=16, **(common | shared | options))


def recurrent(architecture, depth: int, **options) -> nn.Module:
    common = {"initialisation": "default", "dropout": 0.0, "vocabulary": None, "every_step": False}
    shared = {"in_shape": [16, 4], "residual": True, "normalisation": "layer"}
    return architecture(
        out_features=10, depth=depth, width=8, **(common | shared | OWN[architecture] | options)
    )


def lstm(depth: int, **options) -> nn.Module:
    return recurrent(LSTM, depth, **options)


def test_numbers_of_a_small_network_by_hand():
    net = nn.Linear(3, 2)  # 6 products and 6 sums forward, twice that backward
    assert parameters(net) == 8
    assert training_flops(net, torch.zeros(1, 3)) == 36


def test_frozen_parameters_are_not_counted():
    net = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    net[0].requires_grad_(False)
    assert parameters(net) == 3


@pytest.mark.parametrize("depth", DEPTHS)
def test_mlp_flops_are_six_for_each_weight(depth):
    weights = 64 * 16 + (depth - 1) * 16 * 16 + 16 * 10
    assert training_flops(mlp(depth), IMAGE) == 6 * weights


@pytest.mark.parametrize("architecture", [RNN, GRU, LSTM])
@pytest.mark.parametrize("depth", DEPTHS)
def test_recurrent_flops_are_six_for_each_weight_and_step(architecture, depth):
    weights = GATES[architecture] * 8 * ((4 + 8) + (depth - 1) * (8 + 8))
    assert training_flops(recurrent(architecture, depth), SEQUENCE) == 6 * (16 * weights + 8 * 10)


@pytest.mark.parametrize("architecture", [RNN, GRU, LSTM])
def test_characters_cost_their_steps_and_outputs_but_no_look_up(architecture):
    net = recurrent(architecture, 2, in_shape=[16], vocabulary=10, every_step=True)
    weights = GATES[architecture] * 8 * 2 * (8 + 8) + 8 * 10
    assert training_flops(net, torch.zeros(1, 16, dtype=torch.int64)) == 6 * 16 * weights


def test_the_formula_agrees_with_the_counter_where_the_counter_can_see_the_products():
    """In double precision a recurrent layer is made of matrix products, which PyTorch counts itself."""
    net = lstm(3)
    assert training_flops(net, SEQUENCE) == training_flops(net.double(), SEQUENCE.double())


class Attention(nn.Module):
    """softmax(Q K') V on given queries, keys and values; a parameter, since a net has some."""

    def __init__(self, *, causal: bool) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.causal = causal

    def forward(self, q: torch.Tensor) -> torch.Tensor:
        longer = torch.cat([q, q, q], dim=-2)  # (batch, heads, 3 * time, size)
        return scaled_dot_product_attention(
            q, longer, torch.cat([longer, longer], dim=-1), is_causal=self.causal
        )


@pytest.mark.parametrize("causal", [False, True])
def test_attention_counts_every_query_with_every_key_and_value(causal):
    net, q = Attention(causal=causal), torch.randn(1, 2, 5, 4)
    expected = 2 * 2 * 5 * 15 * (4 + 8)  # a product and a sum, heads, queries, keys, sizes of key and value
    assert training_flops(net, q) == 3 * expected
    with sdpa_kernel(SDPBackend.MATH):  # made of matrix products, which PyTorch counts itself
        assert training_flops(net, q) == 3 * expected


@pytest.mark.parametrize("fast", [True, False])
def test_a_transformer_layer_of_torch_costs_its_matrices_and_its_attention(fast):
    """In evaluation PyTorch runs it as one operation that it counts as 0, its fast path; off and put back here."""
    net = nn.TransformerEncoderLayer(8, 2, 32, batch_first=True)
    weights = 3 * 8 * 8 + 8 * 8 + 2 * 8 * 32
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(fast)
    try:
        assert training_flops(net, torch.zeros(1, 5, 8)) == 6 * (5 * weights + 2 * 5 * 5 * 8)
        assert torch.backends.mha.get_fastpath_enabled() is fast
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def test_the_formula_of_a_gpu_agrees_with_that_of_a_processor():
    """Run without data, on the meta device, where only shapes exist."""
    x, h = torch.empty(16, 1, 4, device="meta"), torch.empty(1, 1, 8, device="meta")
    weights = [torch.empty(shape, device="meta") for shape in [(32, 4), (32, 8), (32,), (32,)]]
    with FlopCounterMode(display=False, custom_mapping=UNKNOWN_TO_PYTORCH) as counter:
        lstm_mode = 2
        torch.ops.aten._cudnn_rnn(
            x, weights, 4, None, h, h, lstm_mode, 8, 0, 1, False, 0.0, False, False, [], None
        )
    assert counter.get_total_flops() == 2 * 16 * (32 * 4 + 32 * 8)


def test_the_device_of_the_example_does_not_matter():
    net = mlp(2)
    assert training_flops(net.to("meta"), IMAGE) == training_flops(mlp(2), IMAGE)


@pytest.mark.parametrize("make", [mlp, lstm])
def test_counting_leaves_the_network_and_the_random_numbers_as_they_were(make):
    net = make(3, normalisation="batch", dropout=0.5)
    net.layers[1].eval()
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    rng = torch.get_rng_state()
    training_flops(net, IMAGE if make is mlp else SEQUENCE)
    assert [module.training for module in net.modules()] == modes
    torch.testing.assert_close(net.state_dict(), state, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), rng)
    assert all(p.grad is None for p in net.parameters())


def test_a_network_that_fails_is_left_as_it_was():
    net = mlp(2)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        training_flops(net, torch.zeros(1, 3))
    assert all(module.training for module in net.modules())
