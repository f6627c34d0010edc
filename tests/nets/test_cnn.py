"""The convolutional network against its formula in numpy, and against what it promises."""

import math

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn

from howdeep.errors import UserError
from howdeep.nets.cnn import CNN, HiddenLayer


def cnn(**options) -> CNN:
    plain = {
        "in_shape": (2, 9, 6),
        "out_features": 4,
        "depth": 1,
        "width": 5,
        "stages": 3,
        "activation": "relu",
        "initialisation": "default",
        "residual": False,
        "normalisation": "none",
        "dropout": 0.0,
    }
    torch.manual_seed(0)
    return CNN(**(plain | options))


def hidden(net: CNN) -> list[HiddenLayer]:
    return list(net.layers)  # type: ignore[arg-type]


def numbers(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: v.detach().numpy() for name, v in [*module.named_parameters(), *module.named_buffers()]}


def stir(net: nn.Module) -> nn.Module:
    """Gives every normalisation values of its own, so that a forgotten one shows."""
    with torch.no_grad():
        for name, value in [*net.named_parameters(), *net.named_buffers()]:
            if "norm" in name and value.is_floating_point():
                value.uniform_(0.5, 1.5)
    return net


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """(batch, channels, rows, columns) -> (batch, width, rows, columns), zeros beyond the border."""
    patches = sliding_window_view(np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
    h = np.einsum("bchwij,ocij->bohw", patches, weight)
    return h if bias is None else h + bias[:, None, None]


def halved(x: np.ndarray) -> np.ndarray:
    rows, columns = (size // 2 * 2 for size in x.shape[2:])
    corners = [x[:, :, i:rows:2, j:columns:2] for i in (0, 1) for j in (0, 1)]
    return np.maximum.reduce(corners)


def normalised(norm: nn.Module, a: np.ndarray) -> np.ndarray:
    values = {name: v[:, None, None] for name, v in numbers(norm).items() if v.ndim}
    if isinstance(norm, nn.Identity):
        return a
    if isinstance(norm, nn.LayerNorm):
        mean, var = a.mean(1, keepdims=True), a.var(1, keepdims=True)
    else:
        mean, var = values["running_mean"], values["running_var"]
    return (a - mean) / np.sqrt(var + 1e-5) * values["weight"] + values["bias"]


def by_hand(
    net: CNN, x: np.ndarray, residual: bool, pooled_before: list[bool], pooled_after: int
) -> np.ndarray:
    h = x
    for index, (layer, pool) in enumerate(zip(hidden(net), pooled_before, strict=True)):
        h = halved(h) if pool else h
        conv = numbers(layer.conv)
        a = np.maximum(normalised(layer.norm, convolved(h, conv["weight"], conv.get("bias"))), 0)
        h = h + a if residual and index else a
    for _ in range(pooled_after):
        h = halved(h)
    h = np.moveaxis(normalised(net.norm, h), 1, -1).reshape(len(x), -1)
    return h @ net.head.weight.detach().numpy().T + net.head.bias.detach().numpy()


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(
    ("pooled_before", "pooled_after"),
    [([False], 2), ([False, True], 1), ([False, True, True], 0), ([False, False, True, True], 0)],
)
def test_output_is_the_closed_formula(pooled_before, pooled_after, residual, normalisation):
    net = cnn(depth=len(pooled_before), normalisation=normalisation, residual=residual)
    stir(net.double()).eval()
    x = torch.randn(3, 2, 9, 6, dtype=torch.float64)
    expected = by_hand(net, x.numpy(), residual, pooled_before, pooled_after)
    np.testing.assert_allclose(net(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("image", "stages", "depth", "sizes"),
    [
        ((8, 8), 3, 1, [8]),
        ((8, 8), 3, 2, [8, 4]),
        ((8, 8), 3, 4, [8, 8, 4, 2]),
        ((8, 8), 3, 8, [8, 8, 8, 4, 4, 4, 2, 2]),
        ((8, 8), 1, 3, [8, 8, 8]),
        ((8, 8), 99, 5, [8, 8, 4, 2, 1]),  # one pixel cannot be halved
        ((28, 28), 3, 3, [28, 14, 7]),
        ((3, 7), 3, 3, [3, 3, 1]),  # the shorter side decides
        ((1, 5), 3, 2, [1, 1]),
    ],
)
def test_stages_share_the_layers_and_halve_while_the_image_allows(image, stages, depth, sizes):
    net, seen = cnn(in_shape=(2, *image), stages=stages, depth=depth), []
    for layer in net.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape[2]))
    net(torch.randn(3, 2, *image))
    assert seen == sizes


@pytest.mark.parametrize(("normalisation", "own"), [("none", 5), ("batch", 10), ("layer", 15)])
def test_parameters_follow_the_formula_at_every_depth(normalisation, own):
    for depth in range(1, 33):
        net = cnn(depth=depth, normalisation=normalisation, residual=True)
        expected = (
            (9 * 2 * 5 + own) + (depth - 1) * (9 * 5 * 5 + own) + (5 * 2 * 1 * 4 + 4)
        )  # 9x6 ends as 2x1
        expected += 10 if depth > 1 and normalisation != "none" else 0  # of the sum, for the output
        assert sum(p.numel() for p in net.parameters()) == expected, depth


def test_batch_normalisation_agrees_with_torch_in_training_too():
    (layer,) = hidden(cnn(normalisation="batch"))
    oracle = nn.BatchNorm2d(5)
    x = torch.randn(7, 2, 9, 6)
    torch.testing.assert_close(layer(x), torch.relu(oracle(layer.conv(x))))
    torch.testing.assert_close(layer.norm.state_dict(), oracle.state_dict())


def test_a_single_image_of_a_single_pixel_can_be_trained_on():
    net = cnn(in_shape=(2, 1, 1), depth=3, normalisation="batch", residual=True)
    net(torch.randn(1, 2, 1, 1)).sum().backward()


def test_no_residual_in_the_first_layer_even_where_shapes_agree():
    plain, residual = cnn(width=2), cnn(width=2, residual=True)
    x = torch.randn(3, 2, 9, 6)
    assert torch.equal(plain(x), residual(x))


def test_residual_layers_with_zero_kernels_only_pool():
    net = cnn(depth=3, residual=True)
    for layer in hidden(net)[1:]:
        for p in layer.conv.parameters():
            nn.init.zeros_(p)
    x = torch.randn(3, 2, 9, 6)
    torch.testing.assert_close(net(x), by_hand_of_first_layer(net, x))


def by_hand_of_first_layer(net: CNN, x: torch.Tensor) -> torch.Tensor:
    h = nn.functional.max_pool2d(hidden(net)[0](x), 4)
    return net.head(h.movedim(1, -1).flatten(1))


def test_he_draws_kernels_for_the_pixels_that_they_read():
    net = cnn(depth=2, width=200, initialisation="he")
    for layer, channels in zip(hidden(net), (2, 200), strict=True):
        n, var = layer.conv.weight.numel(), 2 / (9 * channels)
        assert layer.conv.weight.var().item() == pytest.approx(var, rel=6 * math.sqrt(2 / n))
        assert layer.conv.bias is not None
        assert not layer.conv.bias.any()


def test_orthogonal_kernels_are_isometries_of_the_pixels_that_they_read():
    for layer in hidden(cnn(depth=2, initialisation="orthogonal")):
        matrix = layer.conv.weight.detach().flatten(1)  # (width, channels * 9)
        torch.testing.assert_close(matrix @ matrix.T, 2 * torch.eye(5), rtol=1e-4, atol=1e-5)


def test_dropout_zeroes_its_share_in_training_only():
    (layer,) = hidden(cnn(width=500, dropout=0.25, activation="sigmoid"))  # a sigmoid itself is never 0
    x = torch.randn(1, 2, 9, 6)
    assert (layer(x) == 0).double().mean().item() == pytest.approx(0.25, abs=5 * math.sqrt(0.19 / 27_000))
    assert torch.equal(layer.eval()(x), layer(x))


@pytest.mark.parametrize("depth", [1, 4, 32])
def test_hooks_see_one_hidden_activation_a_layer(depth):
    net, seen = cnn(depth=depth, residual=True, normalisation="batch", stages=1), []
    for layer in net.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    net(torch.randn(3, 2, 9, 6))
    assert [tuple(h.shape) for h in seen] == [(3, 5, 9, 6)] * depth


def test_the_first_matrix_of_each_layer_is_its_kernel():
    for layer in hidden(cnn(depth=3, normalisation="batch")):
        assert next(p for p in layer.parameters() if p.ndim >= 2) is layer.conv.weight


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
def test_gradients_reach_every_parameter(normalisation):
    net = cnn(depth=32, activation="gelu", normalisation=normalisation, residual=True)
    nn.functional.mse_loss(net(torch.randn(8, 2, 9, 6)), torch.randn(8, 4)).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or p.grad.norm() < 1e-6] == []


@pytest.mark.parametrize("depth", [1, 8, 32])
def test_one_batch_can_be_overfitted_at_every_depth(depth):
    net = cnn(depth=depth, width=16, initialisation="he", normalisation="batch", residual=True)
    x, y = torch.randn(24, 2, 9, 6), torch.randint(4, (24,))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.2 < math.log(4)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"depth": 0}, "depth must be a whole number of at least 1, got 0"),
        ({"depth": "two"}, "depth must be a whole number of at least 1, got 'two'"),
        ({"width": True}, "width must be a whole number of at least 1, got True"),
        ({"stages": 0}, "stages must be a whole number of at least 1, got 0"),
        ({"out_features": 1.5}, "out_features must be a whole number of at least 1, got 1.5"),
        ({"dropout": 1.0}, "dropout must be a number from 0 to below 1, got 1.0"),
        ({"residual": "maybe"}, "residual must be true or false, got 'maybe'"),
        ({"activation": "rellu"}, "unknown activation 'rellu', did you mean 'relu'?"),
        ({"normalisation": "bach"}, "unknown normalisation 'bach', did you mean 'batch'?"),
        ({"initialisation": "xaver"}, "unknown initialisation 'xaver', did you mean 'xavier'?"),
        (
            {"in_shape": [1, 8, 0]},
            "in_shape must be a list of whole numbers such as [1, 8, 8], got [1, 8, 0]",
        ),
        (
            {"in_shape": [16, 4]},
            "cnn reads images of shape (channels, height, width), got in_shape (16, 4): "
            "choose data=digits or data=mnist, or model=mlp",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(option, message):
    with pytest.raises(UserError) as error:
        cnn(**option)
    assert str(error.value) == message
