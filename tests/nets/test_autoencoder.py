"""The autoencoder against principal component analysis, torch's own layers, and what it promises."""

import math
from itertools import pairwise

import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from howdeep.errors import UserError
from howdeep.nets.autoencoder import Autoencoder, HiddenLayer

KINDS = ["dense", "convolutional"]


def autoencoder(**options) -> Autoencoder:
    plain = {
        "in_shape": (2, 9, 6),
        "depth": 1,
        "width": 5,
        "bottleneck": 3,
        "kind": "dense",
        "stages": 3,
        "activation": "relu",
        "initialisation": "default",
        "residual": False,
        "normalisation": "none",
        "dropout": 0.0,
    }
    torch.manual_seed(0)
    return Autoencoder(**(plain | options))


def hidden(net: Autoencoder) -> list[HiddenLayer]:
    return list(net.layers)  # type: ignore[arg-type]


def activations(net: Autoencoder, x: torch.Tensor) -> list[torch.Tensor]:
    seen: list[torch.Tensor] = []

    def keep(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        seen.append(output)

    handles = [layer.register_forward_hook(keep) for layer in net.layers]
    net(x)
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_plain_dense_one_is_a_stack_of_torch_layers(depth):
    net = autoencoder(depth=depth)
    widths = [108, *[5] * depth, 3, *[5] * depth, 108]
    linears = [nn.Linear(i, o) for i, o in pairwise(widths)]
    codes = depth
    ours = [layer.linear for layer in hidden(net)]
    ours = [*ours[:depth], net.code, *ours[depth:], net.head[0]]  # type: ignore[index]
    x = torch.randn(4, 2, 9, 6)
    h = x.flatten(1)
    for index, (oracle, part) in enumerate(zip(linears, ours, strict=True)):
        oracle.load_state_dict(part.state_dict())
        h = oracle(h)
        h = h if index in (codes, len(linears) - 1) else torch.relu(h)
    torch.testing.assert_close(net(x), h.view_as(x))


def test_a_plain_convolutional_one_is_a_stack_of_torch_layers():
    net = autoencoder(kind="convolutional", depth=3)
    first, second, third, fourth, fifth, sixth = (layer.linear for layer in hidden(net))
    pool, relu, repeat = nn.functional.max_pool2d, torch.relu, nn.functional.interpolate
    x = torch.randn(4, 2, 9, 6)
    h = relu(third(pool(relu(second(pool(relu(first(x)), 2))), 2)))  # (4, 5, 2, 1)
    code = net.code[1](h.flatten(1))  # type: ignore[index]
    torch.testing.assert_close(net.encode(x), code)
    g = relu(fourth[0](code).view(4, 5, 2, 1))  # type: ignore[index]
    g = relu(sixth(repeat(relu(fifth(repeat(g, (4, 3)))), (9, 6))))
    torch.testing.assert_close(net(x), net.head(g))


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [1, 2, 3, 8, 32])
def test_the_decoder_mirrors_the_encoder(kind, depth, normalisation):
    net = autoencoder(kind=kind, depth=depth, residual=True, normalisation=normalisation)
    x = torch.randn(4, 2, 9, 6)
    shapes = [tuple(h.shape) for h in activations(net, x)]
    assert len(shapes) == 2 * depth
    assert shapes[depth:] == shapes[:depth][::-1]
    assert net.encode(x).shape == (4, 3)
    assert net(x).shape == x.shape


def test_a_convolutional_one_halves_and_doubles_where_stages_begin():
    net = autoencoder(kind="convolutional", in_shape=(1, 8, 8), depth=4)
    rows = [h.shape[2] for h in activations(net, torch.randn(2, 1, 8, 8))]
    assert rows == [8, 8, 4, 2, 2, 4, 8, 8]


@pytest.mark.parametrize("in_shape", [(1, 1, 1), (1, 2, 9), (3, 7, 5), (1, 28, 28)])
def test_any_image_fits_a_convolutional_one(in_shape):
    net = autoencoder(kind="convolutional", in_shape=in_shape, depth=5, stages=9, normalisation="batch")
    x = torch.randn(1, *in_shape)
    assert net(x).shape == x.shape


@pytest.mark.parametrize("in_shape", [(7,), (4, 3), (1, 2, 3)])
def test_any_shape_fits_a_dense_one(in_shape):
    x = torch.randn(2, *in_shape)
    assert autoencoder(in_shape=in_shape)(x).shape == x.shape


@pytest.mark.parametrize(("normalisation", "own"), [("none", 5), ("batch", 10), ("layer", 15)])
def test_parameters_of_a_dense_one_follow_the_formula_at_every_depth(normalisation, own):
    for depth in range(1, 33):
        net = autoencoder(depth=depth, normalisation=normalisation, residual=True)
        expected = (108 * 5 + 3 * 5 + 2 * own) + 2 * (depth - 1) * (5 * 5 + own)
        expected += (5 * 3 + 3) + (5 * 108 + 108)  # code and output
        expected += 20 if depth > 1 and normalisation != "none" else 0  # of the sums before them
        assert sum(p.numel() for p in net.parameters()) == expected, depth


def test_parameters_of_a_convolutional_one_follow_the_formula_at_every_depth():
    for depth in range(1, 33):
        net = autoencoder(kind="convolutional", in_shape=(2, 8, 8), depth=depth)
        end = 5 * {1: 64, 2: 16}.get(depth, 4)  # channels x pixels of the last layer
        expected = (9 * 2 * 5 + 5) + (3 * end + end) + 2 * (depth - 1) * (9 * 5 * 5 + 5)
        expected += (end * 3 + 3) + (9 * 5 * 2 + 2)  # code and output
        assert sum(p.numel() for p in net.parameters()) == expected, depth


def test_a_linear_one_learns_what_principal_component_analysis_gives():
    """Without nonlinearities the least error is that of as many principal components (Baldi and Hornik, 1989)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=generator) @ torch.randn(6, 6, generator=generator)
    x -= x.mean(0)
    pca = PCA(2).fit(x.numpy())
    least = (pca.inverse_transform(pca.transform(x.numpy())) - x.numpy()).__pow__(2).mean()
    net = autoencoder(in_shape=(6,), bottleneck=2)
    for layer in hidden(net):
        layer.activation = nn.Identity()
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), x)
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure().item() == pytest.approx(float(least), rel=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_output_depends_on_x_only_through_the_code(kind):
    net = autoencoder(kind=kind, depth=2, residual=True, normalisation="layer")
    x = torch.randn(4, 2, 9, 6)
    torch.testing.assert_close(net(x), net.decode(net.encode(x)))
    jacobian = torch.autograd.functional.jacobian(lambda x: net(x).flatten(), x[:1]).flatten(1)
    assert torch.linalg.matrix_rank(jacobian, rtol=1e-4) <= 3  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_residual_layers_with_zero_weights_leave_the_first_of_each_half(kind):
    net, bare = (autoencoder(kind=kind, depth=depth, residual=True, stages=1) for depth in (3, 1))
    layers = hidden(net)
    for layer in [*layers[1:3], *layers[4:]]:
        for p in layer.parameters():
            nn.init.zeros_(p)
    for ours, theirs in zip([layers[0], layers[3]], hidden(bare), strict=True):
        theirs.load_state_dict(ours.state_dict())
    bare.code.load_state_dict(net.code.state_dict())
    bare.head.load_state_dict(net.head.state_dict())
    x = torch.randn(4, 2, 9, 6)
    torch.testing.assert_close(net(x), bare(x))


def test_batch_normalisation_is_taken_over_batch_and_pixels():
    first, _ = hidden(autoencoder(kind="convolutional", normalisation="batch"))
    x, oracle = torch.randn(7, 2, 9, 6), nn.BatchNorm2d(5)
    torch.testing.assert_close(first(x), torch.relu(oracle(first.linear(x))))
    torch.testing.assert_close(first.norm.state_dict(), oracle.state_dict())


def test_he_draws_kernels_and_matrices_for_what_they_read():
    net = autoencoder(kind="convolutional", depth=2, width=100, initialisation="he")
    fans = [9 * 2, 9 * 100, 3, 9 * 100]
    for layer, fan_in in zip(hidden(net), fans, strict=True):
        weight = next(p for p in layer.parameters() if p.ndim >= 2)
        assert weight.var().item() == pytest.approx(2 / fan_in, rel=6 * math.sqrt(2 / weight.numel()))
    assert not any(p.any() for p in net.parameters() if p.ndim == 1)


def test_dropout_acts_on_every_layer_in_training_only():
    net = autoencoder(depth=2, width=2000, dropout=0.25, activation="sigmoid")  # a sigmoid is never 0
    x = torch.randn(4, 2, 9, 6)
    shares = [(h == 0).double().mean().item() for h in activations(net, x)]
    assert shares == pytest.approx([0.25] * 4, abs=0.03)
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter(kind, normalisation):
    net = autoencoder(kind=kind, depth=16, activation="gelu", normalisation=normalisation, residual=True)
    x = torch.randn(8, 2, 9, 6)
    nn.functional.mse_loss(net(x), x).backward()
    unreached = {name for name, p in net.named_parameters() if p.grad is None or p.grad.norm() < 1e-7}
    # A shift of all codes is what batch normalisation subtracts in the first layer of the decoder.
    assert unreached == (
        {"code.bias", "code_norm.bias"} if (kind, normalisation) == ("dense", "batch") else set()
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [1, 8, 32])
def test_one_batch_can_be_overfitted_at_every_depth(depth, kind):
    trainable = {"initialisation": "he", "normalisation": "batch", "residual": True}
    net = autoencoder(in_shape=(1, 6, 4), kind=kind, depth=depth, width=32, bottleneck=8, **trainable)
    x = torch.randn(8, 1, 6, 4)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), x)
        loss.backward()
        optimizer.step()
        if loss < 0.3 * x.var():
            break
    assert loss < 0.3 * x.var()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"depth": 0}, "depth must be a whole number of at least 1, got 0"),
        ({"width": 0}, "width must be a whole number of at least 1, got 0"),
        ({"bottleneck": 0}, "bottleneck must be a whole number of at least 1, got 0"),
        ({"stages": 1.5}, "stages must be a whole number of at least 1, got 1.5"),
        ({"kind": "convolution"}, "unknown kind 'convolution', did you mean 'convolutional'?"),
        ({"dropout": -0.1}, "dropout must be a number from 0 to below 1, got -0.1"),
        ({"residual": 1}, "residual must be true or false, got 1"),
        ({"activation": "rellu"}, "unknown activation 'rellu', did you mean 'relu'?"),
        ({"normalisation": "bach"}, "unknown normalisation 'bach', did you mean 'batch'?"),
        ({"initialisation": "xaver"}, "unknown initialisation 'xaver', did you mean 'xavier'?"),
        ({"in_shape": 64}, "in_shape must be a list of whole numbers such as [1, 8, 8], got 64"),
        (
            {"in_shape": [16, 4], "kind": "convolutional"},
            "a convolutional autoencoder reads images of shape (channels, height, width), got in_shape (16, 4): "
            "choose data=digits or data=mnist, or model.kind=dense",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(option, message):
    with pytest.raises(UserError) as error:
        autoencoder(**option)
    assert str(error.value) == message
