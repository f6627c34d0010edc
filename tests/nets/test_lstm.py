"""The long short-term memory network against `torch.nn.LSTM`, its formula, and what its forget gate promises."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from howdeep.errors import UserError
from howdeep.nets.layers import RecurrentLayer
from howdeep.nets.lstm import LSTM


def lstm(**options) -> LSTM:
    plain = {
        "in_shape": (6, 3),
        "out_features": 2,
        "depth": 1,
        "width": 5,
        "initialisation": "default",
        "residual": False,
        "normalisation": "none",
        "dropout": 0.0,
        "forget_bias": None,
        "vocabulary": None,
        "every_step": False,
    }
    torch.manual_seed(0)
    return LSTM(**(plain | options))


def hidden(net: LSTM) -> list[RecurrentLayer]:
    return list(net.layers)  # type: ignore[arg-type]


def biases(net: LSTM) -> list[np.ndarray]:
    """The sum of both bias vectors of each layer, (i, f, g, o) by (width,)."""
    parts = [layer.recurrence for layer in hidden(net)]
    sums = [part.bias_ih_l0 + part.bias_hh_l0 for part in parts]  # type: ignore[operator]
    return [total.detach().view(4, -1).numpy() for total in sums]


def recurrence(part: nn.RNNBase, x: np.ndarray) -> np.ndarray:
    """The closed formula, step by step; (batch, time, features) -> (batch, time, width)."""
    w_ih, w_hh, b_ih, b_hh = (p.detach().numpy() for p in part.parameters())
    h = c = np.zeros((len(x), part.hidden_size))
    steps = []
    for t in range(x.shape[1]):
        i, f, g, o = np.split(x[:, t] @ w_ih.T + h @ w_hh.T + b_ih + b_hh, 4, axis=1)
        c = expit(f) * c + expit(i) * np.tanh(g)
        h = expit(o) * np.tanh(c)
        steps.append(h)
    return np.stack(steps, axis=1)


def layer_norm(a: np.ndarray) -> np.ndarray:
    return (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_plain_stack_agrees_with_torch_lstm(depth):
    net, oracle = lstm(depth=depth), nn.LSTM(3, 5, num_layers=depth, batch_first=True)
    ours = [p for layer in hidden(net) for p in layer.recurrence.parameters()]
    for copy, weight in zip(oracle.parameters(), ours, strict=True):
        copy.data.copy_(weight)
    x = torch.randn(4, 6, 3)
    torch.testing.assert_close(net(x), net.head(oracle(x)[0][:, -1]))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_normalised_residual_stack_is_the_closed_formula(depth):
    net = lstm(
        depth=depth, residual=True, normalisation="layer", initialisation="he", forget_bias=1.0
    ).double()
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
        net = lstm(depth=depth, normalisation=normalisation, residual=True)
        expected = 4 * 5 * (3 + 5 + 2) + (depth - 1) * 4 * 5 * (5 + 5 + 2) + depth * own + (5 * 2 + 2)
        expected += own if depth > 1 else 0  # of the sum, for the output
        assert sum(p.numel() for p in net.parameters()) == expected, depth


@pytest.mark.parametrize("initialisation", ["default", "xavier", "he", "orthogonal"])
def test_forget_bias_is_the_sum_of_both_vectors_and_of_no_other_gate(initialisation):
    untouched = biases(lstm(depth=3, initialisation=initialisation))
    for before, after in zip(
        untouched, biases(lstm(depth=3, initialisation=initialisation, forget_bias=2.5)), strict=True
    ):
        np.testing.assert_array_equal(after[1], np.full(5, 2.5, dtype=np.float32))
        np.testing.assert_array_equal(after[[0, 2, 3]], before[[0, 2, 3]])


def test_an_open_forget_gate_remembers_the_first_step():
    """With b_f large, f = 1: then c_T depends on x_1 as much as on any other step."""
    x = torch.zeros(1, 50, 3, requires_grad=True)
    influence = {}
    for forget_bias in (-5.0, 20.0):
        (gradient,) = torch.autograd.grad(lstm(in_shape=(50, 3), forget_bias=forget_bias)(x).sum(), x)
        influence[forget_bias] = (gradient[0, 0].norm() / gradient[0, -1].norm()).item()
    assert influence[-5.0] < 1e-12
    assert influence[20.0] > 0.1


@pytest.mark.parametrize(
    ("forget_bias", "message"),
    [
        ("one", "forget_bias must be a finite number, got 'one'"),
        (math.inf, "forget_bias must be a finite number, got inf"),
        (True, "forget_bias must be a finite number, got True"),
    ],
)
def test_a_forget_bias_that_is_no_number_is_told_in_one_line(forget_bias, message):
    with pytest.raises(UserError) as error:
        lstm(forget_bias=forget_bias)
    assert str(error.value) == message


def test_chrono_starts_forget_gates_at_spans_up_to_the_longest_and_input_gates_at_their_opposite():
    for part in biases(lstm(depth=2, width=2000, chrono_steps=101)):
        i, f, _, _ = part
        np.testing.assert_allclose(i, -f)
        spans = np.exp(f)
        assert spans.min() >= 1
        assert spans.max() <= 100
        assert np.mean(spans) == pytest.approx((1 + 100) / 2, rel=0.05)  # uniform


@pytest.mark.parametrize("options", [{"chrono_steps": 1}, {"chrono_steps": 9, "forget_bias": 1.0}])
def test_a_chrono_start_that_means_nothing_is_told_in_one_line(options):
    with pytest.raises(UserError, match="chrono_steps must be at least 2, and forget_bias null beside it"):
        lstm(**options)
