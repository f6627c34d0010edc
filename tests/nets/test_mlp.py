"""The multilayer perceptron against its formula in numpy, and against what it promises."""

import math

import numpy as np
import pytest
import torch
from scipy.special import erf, expit
from torch import nn

from howdeep.errors import UserError
from howdeep.nets.mlp import MLP, HiddenLayer

FORMULAS = {
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": expit,
    "tanh": np.tanh,
    "gelu": lambda a: a * (1 + erf(a / math.sqrt(2))) / 2,
}


def mlp(**options) -> MLP:
    plain = {
        "in_shape": (1, 2, 3),
        "out_features": 4,
        "depth": 1,
        "width": 5,
        "activation": "relu",
        "initialisation": "default",
        "residual": False,
        "normalisation": "none",
        "dropout": 0.0,
    }
    torch.manual_seed(0)
    return MLP(**(plain | options))


def hidden(net: MLP) -> list[HiddenLayer]:
    return list(net.layers)  # type: ignore[arg-type]


def stir(net: nn.Module) -> nn.Module:
    """Gives every parameter and running statistic a value of its own, so that a forgotten one shows."""
    with torch.no_grad():
        for value in [*net.parameters(), *net.buffers()]:
            if value.is_floating_point():
                value.uniform_(0.2, 1.0).mul_(torch.where(torch.rand_like(value) < 0.3, -1, 1))
    for name, buffer in net.named_buffers():
        if name.endswith("running_var"):
            buffer.abs_()
    return net


def normalised(norm: nn.Module, a: np.ndarray) -> np.ndarray:
    values = {name: v.detach().numpy() for name, v in [*norm.named_parameters(), *norm.named_buffers()]}
    if isinstance(norm, nn.Identity):
        return a
    if isinstance(norm, nn.LayerNorm):
        mean, var = a.mean(1, keepdims=True), a.var(1, keepdims=True)
    else:
        mean, var = values["running_mean"], values["running_var"]
    return (a - mean) / np.sqrt(var + 1e-5) * values["weight"] + values["bias"]


def by_hand(net: MLP, x: np.ndarray, activation: str, residual: bool) -> np.ndarray:
    h = x.reshape(len(x), -1)
    for index, layer in enumerate(hidden(net)):
        bias = layer.linear.bias
        a = h @ layer.linear.weight.detach().numpy().T + (0 if bias is None else bias.detach().numpy())
        a = FORMULAS[activation](normalised(layer.norm, a))
        h = h + a if residual and index else a
    h = normalised(net.norm, h)
    return h @ net.head.weight.detach().numpy().T + net.head.bias.detach().numpy()


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
@pytest.mark.parametrize("activation", FORMULAS)
@pytest.mark.parametrize(("depth", "residual"), [(1, False), (1, True), (2, False), (2, True), (3, True)])
def test_output_is_the_closed_formula(depth, residual, activation, normalisation):
    net = mlp(depth=depth, activation=activation, normalisation=normalisation, residual=residual)
    stir(net.double()).eval()
    x = torch.randn(7, 1, 2, 3, dtype=torch.float64)
    expected = by_hand(net, x.numpy(), activation, residual)
    np.testing.assert_allclose(net(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("normalisation", "own"), [("none", 5), ("batch", 10), ("layer", 15)])
def test_parameters_follow_the_formula_at_every_depth(normalisation, own):
    for depth in range(1, 33):
        net = mlp(depth=depth, normalisation=normalisation, residual=True)
        expected = (6 * 5 + own) + (depth - 1) * (5 * 5 + own) + (5 * 4 + 4)
        expected += 10 if depth > 1 and normalisation != "none" else 0  # of the sum, for the output
        assert sum(p.numel() for p in net.parameters()) == expected, depth


def test_first_layer_has_no_residual_even_where_shapes_agree():
    plain, residual = mlp(width=6), mlp(width=6, residual=True)
    x = torch.randn(3, 1, 2, 3)
    assert torch.equal(plain(x), residual(x))


def test_a_residual_layer_with_zero_weights_is_the_identity():
    net = mlp(depth=3, residual=True)
    for layer in hidden(net)[1:]:
        nn.init.zeros_(layer.linear.weight)
        nn.init.zeros_(layer.linear.bias)
    x = torch.randn(3, 1, 2, 3)
    assert torch.equal(net(x), net.head(hidden(net)[0](x.flatten(1))))


def test_dropout_zeroes_its_share_and_scales_the_rest_in_training_only():
    net = mlp(width=20_000, dropout=0.25, activation="sigmoid")  # a sigmoid itself is never 0
    x = torch.randn(1, 6)
    layer = hidden(net)[0]
    kept = layer.eval()(x)
    assert torch.equal(kept, layer(x))
    dropped = layer.train()(x)
    zero = dropped == 0
    assert zero.double().mean().item() == pytest.approx(0.25, abs=5 * math.sqrt(0.25 * 0.75 / 20_000))
    torch.testing.assert_close(dropped[~zero], kept[~zero] / 0.75)


@pytest.mark.parametrize("depth", [1, 4, 32])
def test_hooks_see_one_hidden_activation_a_layer(depth):
    net, seen = mlp(depth=depth, residual=True, normalisation="batch"), []
    for layer in net.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    output = net(torch.randn(3, 1, 2, 3))
    assert [tuple(h.shape) for h in seen] == [(3, 5)] * depth
    torch.testing.assert_close(net.head(net.norm(seen[-1])), output)


def test_the_first_matrix_of_each_layer_is_its_linear_weight():
    for layer in hidden(mlp(depth=3, normalisation="batch")):
        assert next(p for p in layer.parameters() if p.ndim >= 2) is layer.linear.weight


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
def test_gradients_reach_every_parameter(normalisation):
    net = mlp(depth=32, width=16, activation="gelu", normalisation=normalisation, residual=True)
    nn.functional.mse_loss(net(torch.randn(8, 1, 2, 3)), torch.randn(8, 4)).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or p.grad.norm() < 1e-6] == []


@pytest.mark.parametrize("depth", [1, 8, 32])
def test_one_batch_can_be_overfitted_at_every_depth(depth):
    net = mlp(depth=depth, width=32, initialisation="he", normalisation="batch", residual=True)
    x, y = torch.randn(24, 1, 2, 3), torch.randint(4, (24,))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.2 < math.log(4)


def test_the_same_seed_gives_the_same_weights():
    first, second = (mlp(depth=3, initialisation="orthogonal").state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"depth": 0}, "depth must be a whole number of at least 1, got 0"),
        ({"depth": -1}, "depth must be a whole number of at least 1, got -1"),
        ({"depth": "two"}, "depth must be a whole number of at least 1, got 'two'"),
        ({"depth": 1.5}, "depth must be a whole number of at least 1, got 1.5"),
        ({"depth": True}, "depth must be a whole number of at least 1, got True"),
        ({"depth": None}, "depth must be a whole number of at least 1, got None"),
        ({"width": 0}, "width must be a whole number of at least 1, got 0"),
        ({"out_features": 0}, "out_features must be a whole number of at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be a number from 0 to below 1, got 1.0"),
        ({"dropout": -0.1}, "dropout must be a number from 0 to below 1, got -0.1"),
        ({"dropout": "half"}, "dropout must be a number from 0 to below 1, got 'half'"),
        ({"dropout": math.nan}, "dropout must be a number from 0 to below 1, got nan"),
        ({"residual": "maybe"}, "residual must be true or false, got 'maybe'"),
        ({"activation": "rellu"}, "unknown activation 'rellu', did you mean 'relu'?"),
        ({"activation": None}, "unknown activation None; there are: gelu, relu, sigmoid, tanh"),
        ({"normalisation": "bach"}, "unknown normalisation 'bach', did you mean 'batch'?"),
        ({"normalisation": None}, "unknown normalisation None, did you mean 'none'?"),
        ({"initialisation": "xaver"}, "unknown initialisation 'xaver', did you mean 'xavier'?"),
        ({"in_shape": []}, "in_shape must be a list of whole numbers such as [1, 8, 8], got []"),
        ({"in_shape": (8, 0)}, "in_shape must be a list of whole numbers such as [1, 8, 8], got (8, 0)"),
        ({"in_shape": "88"}, "in_shape must be a list of whole numbers such as [1, 8, 8], got '88'"),
        ({"in_shape": 64}, "in_shape must be a list of whole numbers such as [1, 8, 8], got 64"),
    ],
)
def test_a_mistake_is_told_in_one_line(option, message):
    with pytest.raises(UserError) as error:
        mlp(**option)
    assert str(error.value) == message
