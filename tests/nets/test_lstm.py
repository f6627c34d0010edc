"""The long short-term memory network against `torch.nn.LSTM`, its formula, and what it promises."""

import math

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from howdeep.errors import UserError
from howdeep.nets.lstm import LSTM, HiddenLayer


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
    }
    torch.manual_seed(0)
    return LSTM(**(plain | options))


def hidden(net: LSTM) -> list[HiddenLayer]:
    return list(net.layers)  # type: ignore[arg-type]


def biases(net: LSTM) -> list[np.ndarray]:
    """The sum of both bias vectors of each layer, (i, f, g, o) by (width,)."""
    sums = [layer.lstm.bias_ih_l0 + layer.lstm.bias_hh_l0 for layer in hidden(net)]  # type: ignore[operator]
    return [total.detach().view(4, -1).numpy() for total in sums]


def recurrence(part: nn.LSTM, x: np.ndarray) -> np.ndarray:
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
    ours = [p for layer in hidden(net) for p in layer.lstm.parameters()]
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
        a = layer_norm(recurrence(layer.lstm, h))
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


def test_no_residual_in_the_first_layer_even_where_shapes_agree():
    plain, residual = lstm(width=3), lstm(width=3, residual=True)
    x = torch.randn(4, 6, 3)
    assert torch.equal(plain(x), residual(x))


def test_a_residual_layer_with_zero_weights_is_the_identity():
    net = lstm(depth=3, residual=True)
    for layer in hidden(net)[1:]:
        for p in layer.lstm.parameters():
            nn.init.zeros_(p)
    x = torch.randn(4, 6, 3)
    assert torch.equal(net(x), net.head(hidden(net)[0](x)[:, -1]))


def test_batch_norm_is_taken_over_batch_and_time_and_evaluation_uses_running_statistics():
    (layer,) = hidden(lstm(normalisation="batch"))
    x = torch.randn(4, 6, 3)
    h = layer.lstm(x)[0]  # (batch, time, width)
    rows = h.reshape(-1, 5)
    mean, var = rows.mean(0), rows.var(0, unbiased=False)
    torch.testing.assert_close(layer(x), (h - mean) / (var + 1e-5).sqrt())
    running_mean, running_var = 0.1 * mean, 0.9 + 0.1 * rows.var(0)  # momentum 0.1, from 0 and 1
    torch.testing.assert_close(layer.eval()(x), (h - running_mean) / (running_var + 1e-5).sqrt())


def test_dropout_acts_on_every_layer_in_training_only():
    net, seen = lstm(depth=3, width=400, dropout=0.5), []
    for layer in net.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output == 0))
    x = torch.randn(4, 6, 3)
    net(x)
    assert [zero.double().mean().item() for zero in seen] == pytest.approx([0.5] * 3, abs=0.03)
    seen.clear()
    assert torch.equal(net.eval()(x), net(x))
    assert not any(zero.any() for zero in seen)


@pytest.mark.parametrize("depth", [1, 4, 32])
def test_hooks_see_one_hidden_activation_a_layer(depth):
    net, seen = lstm(depth=depth, residual=True, normalisation="layer"), []
    for layer in net.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    output = net(torch.randn(4, 6, 3))
    assert [tuple(h.shape) for h in seen] == [(4, 6, 5)] * depth
    torch.testing.assert_close(net.head(net.norm(seen[-1][:, -1])), output)


def test_the_first_matrix_of_each_layer_is_its_input_weight():
    for layer in hidden(lstm(depth=3, normalisation="layer")):
        assert next(p for p in layer.parameters() if p.ndim >= 2) is layer.lstm.weight_ih_l0


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
def test_gradients_reach_every_parameter(normalisation):
    net = lstm(depth=32, normalisation=normalisation, residual=True, initialisation="orthogonal")
    nn.functional.mse_loss(net(torch.randn(8, 6, 3)), torch.randn(8, 2)).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or p.grad.norm() < 1e-7]
    # The output's batch normalisation subtracts what the one just before it adds.
    assert without == (["layers.31.norm.bias"] if normalisation == "batch" else [])


@pytest.mark.parametrize("depth", [1, 4, 32])
def test_one_batch_can_be_overfitted_at_every_depth(depth):
    net = lstm(depth=depth, width=16, normalisation="layer", residual=True)
    x, y = torch.randn(12, 6, 3), torch.randn(12, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.1 * y.var()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"depth": 0}, "depth must be a whole number of at least 1, got 0"),
        ({"depth": "two"}, "depth must be a whole number of at least 1, got 'two'"),
        ({"width": -3}, "width must be a whole number of at least 1, got -3"),
        ({"dropout": 1}, "dropout must be a number from 0 to below 1, got 1"),
        ({"residual": 1}, "residual must be true or false, got 1"),
        ({"normalisation": "layers"}, "unknown normalisation 'layers', did you mean 'layer'?"),
        ({"initialisation": "hee"}, "unknown initialisation 'hee', did you mean 'he'?"),
        ({"forget_bias": "one"}, "forget_bias must be a finite number, got 'one'"),
        ({"forget_bias": math.inf}, "forget_bias must be a finite number, got inf"),
        ({"in_shape": [6, -3]}, "in_shape must be a list of whole numbers such as [1, 8, 8], got [6, -3]"),
        (
            {"in_shape": [1, 8, 8]},
            "lstm reads sequences of shape (time, features), got in_shape (1, 8, 8): "
            "choose data=digit_sequences or data=sunspots, or model=mlp",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(option, message):
    with pytest.raises(UserError) as error:
        lstm(**option)
    assert str(error.value) == message
