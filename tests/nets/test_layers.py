"""Activation, normalisation and initialisation against PyTorch's own and against their closed forms."""

import math

import pytest
import torch
from torch import nn

from howdeep.errors import UserError
from howdeep.nets.layers import FeatureBatchNorm, activation, initialise, normalisation, sequence_front

FAN_IN, FAN_OUT = 300, 200


def gates(layer: nn.Module) -> list[torch.Tensor]:
    """The matrices of `layer`, those of a recurrent one gate by gate."""
    matrices = [p.detach() for p in layer.parameters() if p.ndim == 2]
    return [gate for m in matrices for gate in m.chunk(m.shape[0] // FAN_OUT)]


def drawn(layer: nn.Module, scheme: str, activation: str = "relu") -> list[torch.Tensor]:
    initialise(layer, scheme, activation)
    return gates(layer)


@pytest.fixture(params=[nn.Linear, nn.RNN, nn.GRU, nn.LSTM])
def layer(request) -> nn.Module:
    torch.manual_seed(0)
    return request.param(FAN_IN, FAN_OUT)


def assert_moments(matrix: torch.Tensor, var: float) -> None:
    """Mean 0 and this variance, within 6 standard errors of a normal, the wider of the two."""
    n = matrix.numel()
    assert abs(matrix.mean().item()) < 6 * math.sqrt(var / n)
    assert matrix.var().item() == pytest.approx(var, rel=6 * math.sqrt(2 / n))


def test_xavier_has_its_variance_and_bounds_in_every_gate(layer):
    for matrix in drawn(layer, "xavier"):
        fan_out, fan_in = matrix.shape
        assert_moments(matrix, 2 / (fan_in + fan_out))
        assert matrix.abs().max().item() <= math.sqrt(6 / (fan_in + fan_out)) + 1e-6


def test_he_is_normal_with_its_variance_in_every_gate(layer):
    for matrix in drawn(layer, "he"):
        assert_moments(matrix, 2 / matrix.shape[1])
        kurtosis = (matrix**4).mean() / (matrix**2).mean() ** 2
        assert kurtosis.item() == pytest.approx(3, abs=6 * math.sqrt(24 / matrix.numel()))


@pytest.mark.parametrize(
    ("name", "gain"),
    [("relu", math.sqrt(2)), ("gelu", math.sqrt(2)), ("tanh", 1), ("sigmoid", 1), ("linear", 1)],
)
def test_orthogonal_is_its_gain_times_an_isometry_in_every_gate(layer, name, gain):
    for matrix in drawn(layer, "orthogonal", name):
        expected = torch.full((FAN_OUT,), float(gain))
        torch.testing.assert_close(torch.linalg.svdvals(matrix), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("scheme", "var"), [("he", 2 / (40 * 9)), ("xavier", 2 / (40 * 9 + 50 * 9))], ids=["he", "xavier"]
)
def test_a_kernel_has_the_variance_of_its_scheme_with_every_pixel_an_input(scheme, var):
    torch.manual_seed(0)
    conv = nn.Conv2d(40, 50, 3)
    initialise(conv, scheme, "relu")
    assert_moments(conv.weight.detach(), var)
    assert conv.bias is not None
    assert not conv.bias.any()


def test_an_orthogonal_kernel_is_its_gain_times_an_isometry_of_patches():
    torch.manual_seed(0)
    conv = nn.Conv2d(40, 50, 3)
    initialise(conv, "orthogonal", "relu")
    rows = conv.weight.detach().flatten(1)  # (channels, channels * 9)
    torch.testing.assert_close(rows @ rows.T, 2 * torch.eye(50), rtol=0, atol=1e-5)


def test_default_leaves_what_torch_drew(layer):
    before = [p.clone() for p in layer.parameters()]
    initialise(layer, "default", "relu")
    assert all(torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True))


@pytest.mark.parametrize("scheme", ["xavier", "he", "orthogonal"])
def test_biases_start_at_zero_and_normalisation_is_left_alone(layer, scheme):
    norm = nn.LayerNorm(FAN_OUT)
    initialise(nn.ModuleList([layer, norm]), scheme, "relu")
    assert not any(p.any() for p in layer.parameters() if p.ndim == 1)
    assert (norm.weight == 1).all()


def test_he_keeps_the_second_moment_through_a_hundred_relu_layers():
    """E[h^2] is kept on average (He et al., 2015); PyTorch's default loses a factor of 6 a layer."""
    torch.manual_seed(0)
    net = nn.Sequential(*[part for _ in range(100) for part in (nn.Linear(512, 512), nn.ReLU())])
    x = torch.randn(16, 512)
    assert net(x).square().mean() < 0.01
    initialise(net, "he", "relu")
    # The logarithm spreads by sqrt(5 * 100 / 512) or 1 around its mean: 3 of those.
    assert abs(net(x).square().mean().log().item() + 0.5) < 3


@pytest.mark.parametrize(
    ("name", "oracle"),
    [
        ("relu", torch.relu),
        ("sigmoid", torch.sigmoid),
        ("tanh", torch.tanh),
        ("gelu", nn.functional.gelu),
    ],
)
def test_activation_is_the_function_of_its_name(name, oracle):
    x = torch.linspace(-4, 4, 101)
    torch.testing.assert_close(activation(name)(x), oracle(x))


@pytest.mark.parametrize("shape", [(8, 5), (8, 3, 5)])
def test_feature_batch_norm_agrees_with_torch_on_channels_last(shape):
    ours, oracle = FeatureBatchNorm(5), nn.BatchNorm1d(5)
    x = torch.randn(shape)
    for mode in (True, False):
        ours.train(mode)
        oracle.train(mode)
        channels = x.movedim(-1, 1)
        torch.testing.assert_close(ours(x), oracle(channels).movedim(1, -1))
    torch.testing.assert_close(ours.state_dict(), oracle.state_dict())


def test_a_batch_of_one_is_normalised_by_running_statistics_and_leaves_them():
    norm = FeatureBatchNorm(5)
    norm(torch.randn(8, 5) * 3 + 1)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = torch.randn(1, 5)
    trained = norm(x)
    torch.testing.assert_close(norm.state_dict(), before)
    torch.testing.assert_close(trained, norm.eval()(x))


def test_normalisation_none_is_the_identity_and_layer_is_torch_layer_norm():
    x = torch.randn(8, 3, 5)
    assert normalisation("none", 5)(x) is x
    torch.testing.assert_close(normalisation("layer", 5)(x), nn.functional.layer_norm(x, (5,)))


def test_numbers_pass_the_front_of_a_sequence_as_they_are():
    front, features = sequence_front("gru", [16, 4], None, 32)
    x = torch.randn(2, 16, 4)
    assert front(x) is x
    assert features == 4


def test_characters_start_as_standard_normal_vectors_of_their_own():
    torch.manual_seed(0)
    front, features = sequence_front("gru", [16], FAN_IN, FAN_OUT)
    vectors = front(torch.arange(FAN_IN)[None]).detach()  # (1, characters, width)
    assert vectors.shape == (1, FAN_IN, FAN_OUT)
    assert features == FAN_OUT
    assert_moments(vectors, 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: activation("sigmoyd"), "unknown activation 'sigmoyd', did you mean 'sigmoid'?"),
        (lambda: normalisation("group", 5), "unknown normalisation 'group'; there are: batch, layer, none"),
        (lambda: normalisation("layer", 0), "width must be a whole number of at least 1, got 0"),
        (
            lambda: initialise(nn.Linear(2, 2), "lecun", "relu"),
            "unknown initialisation 'lecun'; there are: default, he, orthogonal, xavier",
        ),
        (
            lambda: initialise(nn.Linear(2, 2), "he", "linea"),
            "unknown activation 'linea', did you mean 'linear'?",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(call, message):
    with pytest.raises(UserError) as error:
        call()
    assert str(error.value) == message
