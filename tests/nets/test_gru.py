"""The gated recurrent unit against `torch.nn.GRU` and its formula."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from howdeep.nets.gru import GRU
from howdeep.nets.layers import RecurrentLayer


def gru(**options) -> GRU:
    plain = {
        "in_shape": (6, 3),
        "out_features": 2,
        "depth": 1,
        "width": 5,
        "initialisation": "default",
        "residual": False,
        "normalisation": "none",
        "dropout": 0.0,
        "vocabulary": None,
        "every_step": False,
    }
    torch.manual_seed(0)
    return GRU(**(plain | options))


def hidden(net: GRU) -> list[RecurrentLayer]:
    return list(net.layers)  # type: ignore[arg-type]


def recurrence(part: nn.RNNBase, x: np.ndarray) -> np.ndarray:
    """The closed formula, step by step; (batch, time, features) -> (batch, time, width)."""
    w_ih, w_hh, b_ih, b_hh = (p.detach().numpy() for p in part.parameters())
    h = np.zeros((len(x), part.hidden_size))
    steps = []
    for t in range(x.shape[1]):
        r_x, z_x, n_x = np.split(x[:, t] @ w_ih.T + b_ih, 3, axis=1)
        r_h, z_h, n_h = np.split(h @ w_hh.T + b_hh, 3, axis=1)
        r, z = expit(r_x + r_h), expit(z_x + z_h)
        h = (1 - z) * np.tanh(n_x + r * n_h) + z * h
        steps.append(h)
    return np.stack(steps, axis=1)


def layer_norm(a: np.ndarray) -> np.ndarray:
    return (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)


def nudge_biases(net: nn.Module) -> None:
    """Away from 0, where a bias in the wrong place would not be seen."""
    for name, p in net.named_parameters():
        if "bias_" in name:
            nn.init.normal_(p)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_plain_stack_agrees_with_torch_gru(depth):
    net, oracle = gru(depth=depth), nn.GRU(3, 5, num_layers=depth, batch_first=True)
    ours = [p for layer in hidden(net) for p in layer.recurrence.parameters()]
    for copy, weight in zip(oracle.parameters(), ours, strict=True):
        copy.data.copy_(weight)
    x = torch.randn(4, 6, 3)
    torch.testing.assert_close(net(x), net.head(oracle(x)[0][:, -1]))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_normalised_residual_stack_is_the_closed_formula(depth):
    net = gru(depth=depth, residual=True, normalisation="layer", initialisation="xavier").double()
    nudge_biases(net)
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    h = x.numpy()
    for index, layer in enumerate(hidden(net)):
        a = layer_norm(recurrence(layer.recurrence, h))
        h = h + a if index else a
    h = layer_norm(h) if depth > 1 else h
    expected = h[:, -1] @ net.head.weight.detach().numpy().T + net.head.bias.detach().numpy()
    np.testing.assert_allclose(net(x).detach().numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("normalisation", "own"), [("none", 0), ("batch", 10), ("layer", 10)])
def test_parameters_follow_the_formula_at_every_depth(normalisation, own):
    for depth in range(1, 33):
        net = gru(depth=depth, normalisation=normalisation, residual=True)
        expected = 3 * 5 * (3 + 5 + 2) + (depth - 1) * 3 * 5 * (5 + 5 + 2) + depth * own + (5 * 2 + 2)
        expected += own if depth > 1 else 0  # of the sum, for the output
        assert sum(p.numel() for p in net.parameters()) == expected, depth


def test_a_closed_update_gate_remembers_nothing_new():
    """With b_z large, z = 1 and h_t = h_(t-1) = 0, whatever comes."""
    (layer,) = hidden(gru())
    _, update, _ = layer.recurrence.bias_ih_l0.detach().chunk(3)  # type: ignore[operator]
    update.fill_(200.0)
    assert not layer(torch.randn(4, 6, 3)).any()
