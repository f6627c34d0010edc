"""The simple recurrent network against `torch.nn.RNN` and its formula, and its two activations."""

import numpy as np
import pytest
import torch
from torch import nn

from howdeep.errors import UserError
from howdeep.nets.layers import RecurrentLayer
from howdeep.nets.rnn import RNN


def rnn(**options) -> RNN:
    plain = {
        "in_shape": (6, 3),
        "out_features": 2,
        "depth": 1,
        "width": 5,
        "initialisation": "default",
        "residual": False,
        "normalisation": "none",
        "dropout": 0.0,
        "activation": "tanh",
        "vocabulary": None,
        "every_step": False,
    }
    torch.manual_seed(0)
    return RNN(**(plain | options))


def hidden(net: RNN) -> list[RecurrentLayer]:
    return list(net.layers)  # type: ignore[arg-type]


FORMULAS = {"tanh": np.tanh, "relu": lambda a: np.maximum(a, 0)}


def recurrence(part: nn.RNNBase, x: np.ndarray, activation: str) -> np.ndarray:
    """The closed formula, step by step; (batch, time, features) -> (batch, time, width)."""
    w_ih, w_hh, b_ih, b_hh = (p.detach().numpy() for p in part.parameters())
    h = np.zeros((len(x), part.hidden_size))
    steps = []
    for t in range(x.shape[1]):
        h = FORMULAS[activation](x[:, t] @ w_ih.T + h @ w_hh.T + b_ih + b_hh)
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
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_plain_stack_agrees_with_torch_rnn(depth, activation):
    net = rnn(depth=depth, activation=activation)
    oracle = nn.RNN(3, 5, num_layers=depth, nonlinearity=activation, batch_first=True)
    ours = [p for layer in hidden(net) for p in layer.recurrence.parameters()]
    for copy, weight in zip(oracle.parameters(), ours, strict=True):
        copy.data.copy_(weight)
    x = torch.randn(4, 6, 3)
    torch.testing.assert_close(net(x), net.head(oracle(x)[0][:, -1]))


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_normalised_residual_stack_is_the_closed_formula(depth, activation):
    net = rnn(
        depth=depth, residual=True, normalisation="layer", initialisation="xavier", activation=activation
    ).double()
    nudge_biases(net)
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    h = x.numpy()
    for index, layer in enumerate(hidden(net)):
        a = layer_norm(recurrence(layer.recurrence, h, activation))
        h = h + a if index else a
    h = layer_norm(h) if depth > 1 else h
    expected = h[:, -1] @ net.head.weight.detach().numpy().T + net.head.bias.detach().numpy()
    np.testing.assert_allclose(net(x).detach().numpy(), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("normalisation", "own"), [("none", 0), ("batch", 10), ("layer", 10)])
def test_parameters_follow_the_formula_at_every_depth(normalisation, own):
    for depth in range(1, 33):
        net = rnn(depth=depth, normalisation=normalisation, residual=True)
        expected = 5 * (3 + 5 + 2) + (depth - 1) * 5 * (5 + 5 + 2) + depth * own + (5 * 2 + 2)
        expected += own if depth > 1 else 0  # of the sum, for the output
        assert sum(p.numel() for p in net.parameters()) == expected, depth


@pytest.mark.parametrize(("activation", "square"), [("relu", 2), ("tanh", 1)])
def test_orthogonal_recurrent_weights_have_the_gain_of_the_activation(activation, square):
    (layer,) = hidden(rnn(activation=activation, initialisation="orthogonal"))
    matrix = layer.recurrence.weight_hh_l0.detach()  # type: ignore[operator]
    torch.testing.assert_close(matrix.T @ matrix, square * torch.eye(5))


def test_relu_trains_at_depth_32_when_normalised():
    net = rnn(depth=32, width=16, activation="relu", residual=True, normalisation="layer")
    x, y = torch.randn(12, 6, 3), torch.randn(12, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        if loss < 0.1 * y.var():
            break
    assert loss < 0.1 * y.var()


@pytest.mark.parametrize(
    ("activation", "message"),
    [
        ("sigmoid", "unknown activation 'sigmoid'; there are: relu, tanh"),
        ("gelu", "unknown activation 'gelu', did you mean 'relu'?"),
        ("tan", "unknown activation 'tan', did you mean 'tanh'?"),
    ],
)
def test_an_activation_that_the_recurrence_has_not_is_told_in_one_line(activation, message):
    with pytest.raises(UserError) as error:
        rnn(activation=activation)
    assert str(error.value) == message
