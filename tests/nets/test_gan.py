"""The gan against formulas by hand, counts and mirrored sizes."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from howdeep.errors import UserError
from howdeep.nets.gan import GAN

KINDS = ["dense", "convolutional"]


def gan(*, seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    defaults: dict[str, Any] = {
        "in_shape": (1, 8, 8),
        "depth": 1,
        "width": 5,
        "latent": 3,
        "kind": "dense",
        "stages": 3,
        "activation": "relu",
        "initialisation": "default",
        "residual": False,
        "normalisation": "none",
        "dropout": 0.0,
    }
    return GAN(**{**defaults, **options})


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_dense_plain_nets_equal_their_formula(depth):
    net = gan(depth=depth)
    z, x = torch.randn(4, 3), torch.randn(4, 1, 8, 8)
    g, d = z, x.flatten(1)
    for layer in net.generator.layers:
        g = (g @ layer.linear.weight.T + layer.linear.bias).relu()
    for layer in net.discriminator.layers:
        d = (d @ layer.linear.weight.T + layer.linear.bias).relu()
    g = g @ net.generator.head[0].weight.T + net.generator.head[0].bias
    d = d @ net.discriminator.head.weight.T + net.discriminator.head.bias
    torch.testing.assert_close(net.generator(z), g.view(4, 1, 8, 8))
    torch.testing.assert_close(net.discriminator(x), d[:, 0])


@pytest.mark.parametrize(("depth", "scale"), [(1, 1), (4, 1), (5, 0.8), (8, 0.5)])
def test_residual_discriminators_add_layers_and_beyond_four_a_share_of_each(depth, scale):
    net = gan(depth=depth, residual=True).discriminator
    x = torch.randn(4, 1, 8, 8)
    first, *others = net.layers
    h = first.linear(x.flatten(1)).relu()
    for layer in others:
        h = h + scale * layer.linear(h).relu()
    torch.testing.assert_close(net(x), net.head(h)[:, 0])


def test_the_output_holds_the_logits_of_real_and_of_invented_examples_the_same_each_time():
    net = gan(depth=2)
    x = torch.randn(4, 1, 8, 8)
    output = net(x)
    torch.randn(5)
    assert torch.equal(net(x), output)
    torch.testing.assert_close(output[:, 0], net.discriminator(x))
    torch.testing.assert_close(output[:, 1], net.discriminator(net.generator(net.fixed_noise(4))))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("in_shape", [(1, 8, 8), (3, 1, 1), (2, 7, 5)])
@pytest.mark.parametrize("depth", [1, 2, 5, 32])
def test_examples_have_the_shape_of_the_data_at_every_depth(kind, in_shape, depth):
    net = gan(kind=kind, in_shape=in_shape, depth=depth, residual=True, normalisation="batch")
    assert net.generator(torch.randn(4, 3)).shape == (4, *in_shape)
    assert net.discriminator(torch.randn(4, *in_shape)).shape == (4,)


@pytest.mark.parametrize("depth", [1, 2, 4, 7])
def test_the_convolutional_generator_mirrors_the_discriminator(depth):
    net = gan(kind="convolutional", depth=depth)
    sizes: dict[int, torch.Size] = {}
    for index, layer in enumerate(net.layers):
        layer.register_forward_hook(lambda _m, _i, output, index=index: sizes.update({index: output.shape}))
    net(torch.randn(2, 1, 8, 8))
    seen = [sizes[index] for index in range(2 * depth)]
    assert seen[:depth] == seen[depth:][::-1]
    assert len({shape[-1] for shape in seen}) == min(depth, 3)


@pytest.mark.parametrize("depth", range(1, 33))
@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
def test_the_dense_parameters_are_those_of_the_formula(depth, normalisation):
    net = gan(depth=depth, normalisation=normalisation)
    bias, norm = (0 if normalisation == "batch" else 5), (0 if normalisation == "none" else 2 * 5)
    generator = 3 * 5 + (depth - 1) * 5 * 5 + depth * (bias + norm) + 5 * 64 + 64
    discriminator = 64 * 5 + 5 + (depth - 1) * (5 * 5 + 5) + 5 + 1
    assert sum(p.numel() for p in net.generator.parameters()) == generator
    assert sum(p.numel() for p in net.parameters()) == generator + discriminator


def test_only_the_generator_is_normalised():
    net = gan(depth=3, normalisation="batch", residual=True)
    normalised = [sum(isinstance(m, nn.BatchNorm1d) for m in part.modules()) for part in net.children()]
    assert normalised == [4, 0]  # one a layer, and the one before the output


@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_the_generators_then_the_discriminators_and_no_weight_is_kept_twice(kind):
    net = gan(kind=kind, depth=4)
    assert net.layers == [*net.generator.layers, *net.discriminator.layers]
    assert len(net.layers) == 8
    weights = list(net.state_dict().values())
    assert len({w.data_ptr() for w in weights}) == len(weights)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter(kind):
    net = gan(
        kind=kind, depth=32, activation="gelu", normalisation="batch", residual=True, in_shape=(1, 4, 4)
    )
    logits = net(torch.randn(8, 1, 4, 4))
    nn.functional.mse_loss(logits, torch.randn(8, 2)).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or p.grad.norm() < 1e-9] == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [1, 8, 32])
def test_a_discriminator_can_learn_to_tell_one_batch_from_another(kind, depth):
    net = gan(kind=kind, depth=depth, width=16, initialisation="he", residual=True).discriminator
    x, y = torch.randn(16, 1, 8, 8), torch.arange(16) % 2
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(net(x), y.float())
        loss.backward()
        optimizer.step()
        if loss < 0.2 < math.log(2):
            break
    assert loss < 0.2 < math.log(2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_scale_of_logits_and_of_examples_hardly_depends_on_depth(kind):
    x, z = torch.randn(64, 1, 8, 8), torch.randn(64, 3)
    options: dict[str, Any] = {"kind": kind, "width": 16, "residual": True, "normalisation": "batch"}
    scales = []
    for depth in (2, 8, 32):  # one output layer draws a single vector: take several nets
        nets = [gan(depth=depth, seed=seed, **options) for seed in range(12)]
        outputs = (
            torch.stack([net.generator(z) for net in nets]),
            torch.stack([net.discriminator(x) for net in nets]),
        )
        scales.append([output.square().mean().sqrt().item() for output in outputs])
    for of_part in zip(*scales, strict=True):
        assert max(of_part) < 3 * min(of_part)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"depth": 0}, "depth must be a whole number of at least 1, got 0"),
        ({"width": 0.5}, "width must be a whole number of at least 1, got 0.5"),
        ({"latent": 0}, "latent must be a whole number of at least 1, got 0"),
        ({"stages": 0}, "stages must be a whole number of at least 1, got 0"),
        ({"kind": "convolutionl"}, "unknown kind 'convolutionl', did you mean 'convolutional'?"),
        ({"dropout": 1.0}, "dropout must be a number from 0 to below 1, got 1.0"),
        ({"residual": "maybe"}, "residual must be true or false, got 'maybe'"),
        ({"activation": "rellu"}, "unknown activation 'rellu', did you mean 'relu'?"),
        ({"normalisation": "bach"}, "unknown normalisation 'bach', did you mean 'batch'?"),
        ({"initialisation": "xaver"}, "unknown initialisation 'xaver', did you mean 'xavier'?"),
        ({"in_shape": []}, "in_shape must be a list of whole numbers such as [1, 8, 8], got []"),
        (
            {"in_shape": (16, 4), "kind": "convolutional"},
            "a convolutional gan makes images of shape (channels, height, width), got in_shape (16, 4): "
            "choose data=digits or data=mnist, or model.kind=dense",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(option, message):
    with pytest.raises(UserError) as error:
        gan(**option)
    assert str(error.value) == message
