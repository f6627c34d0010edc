"""What rnn, gru and lstm promise alike: their fronts, steps, residual sums, dropout, hooks and gradients."""

import functools

import pytest
import torch
from torch import nn

from howdeep.errors import UserError
from howdeep.nets.gru import GRU
from howdeep.nets.layers import RecurrentLayer
from howdeep.nets.lstm import LSTM
from howdeep.nets.rnn import RNN

PLAIN = {
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
OWN = {RNN: {"activation": "tanh"}, GRU: {}, LSTM: {"forget_bias": None}}
CHARACTERS = {"in_shape": (6,), "vocabulary": 11, "out_features": 11, "every_step": True}
NORMALISED = {"residual": True, "normalisation": "layer"}


def build(architecture, **options) -> nn.Module:
    torch.manual_seed(0)
    return architecture(**(PLAIN | OWN[architecture] | options))


@pytest.fixture(params=[RNN, GRU, LSTM], ids=lambda architecture: architecture.__name__.lower())
def make(request):
    return functools.partial(build, request.param)


def hidden(net: nn.Module) -> list[RecurrentLayer]:
    return list(net.layers)  # type: ignore[arg-type]


def characters(*shape: int) -> torch.Tensor:
    return torch.randint(11, shape)


def test_no_residual_in_the_first_layer_even_where_shapes_agree(make):
    plain, residual = make(width=3), make(width=3, residual=True)
    x = torch.randn(4, 6, 3)
    assert torch.equal(plain(x), residual(x))


def test_a_residual_layer_with_zero_weights_is_the_identity(make):
    net = make(depth=3, residual=True)
    for layer in hidden(net)[1:]:
        for p in layer.recurrence.parameters():
            nn.init.zeros_(p)
    x = torch.randn(4, 6, 3)
    assert torch.equal(net(x), net.head(hidden(net)[0](x)[:, -1]))


def test_batch_norm_is_taken_over_batch_and_time_and_evaluation_uses_running_statistics(make):
    (layer,) = hidden(make(normalisation="batch"))
    x = torch.randn(4, 6, 3)
    h = layer.recurrence(x)[0]  # (batch, time, width)
    rows = h.reshape(-1, 5)
    mean, var = rows.mean(0), rows.var(0, unbiased=False)
    torch.testing.assert_close(layer(x), (h - mean) / (var + 1e-5).sqrt())
    running_mean, running_var = 0.1 * mean, 0.9 + 0.1 * rows.var(0)  # momentum 0.1, from 0 and 1
    torch.testing.assert_close(layer.eval()(x), (h - running_mean) / (running_var + 1e-5).sqrt())


def test_dropout_acts_on_every_layer_in_training_only(make):
    net, seen = make(depth=3, width=400, dropout=0.5), []
    for layer in net.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output == 0))
    x = torch.randn(4, 6, 3)
    net(x)
    assert [zero.double().mean().item() for zero in seen] == pytest.approx([0.5] * 3, abs=0.03)
    seen.clear()
    assert torch.equal(net.eval()(x), net(x))
    assert not any(zero.any() for zero in seen)


@pytest.mark.parametrize("depth", [1, 4, 32])
def test_hooks_see_one_hidden_activation_a_layer(make, depth):
    net, seen = make(depth=depth, **NORMALISED), []
    for layer in net.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    output = net(torch.randn(4, 6, 3))
    assert [tuple(h.shape) for h in seen] == [(4, 6, 5)] * depth
    torch.testing.assert_close(net.head(net.norm(seen[-1][:, -1])), output)


def test_the_first_matrix_of_each_layer_is_its_input_weight(make):
    for layer in hidden(make(depth=3, normalisation="layer")):
        assert next(p for p in layer.parameters() if p.ndim >= 2) is layer.recurrence.weight_ih_l0


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
def test_gradients_reach_every_parameter(make, normalisation):
    net = make(depth=32, normalisation=normalisation, residual=True, initialisation="orthogonal")
    nn.functional.mse_loss(net(torch.randn(8, 6, 3)), torch.randn(8, 2)).backward()
    without = [name for name, p in net.named_parameters() if p.grad is None or p.grad.norm() < 1e-7]
    # The output's batch normalisation subtracts what the one just before it adds.
    assert without == (["layers.31.norm.bias"] if normalisation == "batch" else [])


def test_gradients_reach_the_vectors_of_the_characters_seen_and_no_other(make):
    net = make(depth=32, **NORMALISED, **CHARACTERS)
    x = characters(4, 6)
    net(x).square().mean().backward()
    moved = net.front.weight.grad.norm(dim=1) > 0
    assert moved.nonzero().flatten().tolist() == x.unique().tolist()


@pytest.mark.parametrize("depth", [1, 32])
def test_one_batch_can_be_overfitted_at_every_depth(make, depth):
    net = make(depth=depth, width=16, **NORMALISED)
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


@pytest.mark.parametrize("depth", [1, 8])
def test_a_text_can_be_overfitted_at_every_step(make, depth):
    net = make(depth=depth, width=16, **NORMALISED, **CHARACTERS)
    x, y = characters(2, 6), characters(2, 6)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x).flatten(0, 1), y.flatten())
        loss.backward()
        optimizer.step()
        if loss < 0.1:
            break
    assert loss < 0.1


@pytest.mark.parametrize("options", [{}, {"depth": 3, **NORMALISED}])
def test_the_last_of_every_step_is_what_a_net_of_one_output_gives(make, options):
    one, every = make(**options), make(every_step=True, **options)
    x = torch.randn(4, 6, 3)
    assert every(x).shape == (4, 6, 2)
    torch.testing.assert_close(every(x)[:, -1], one(x))


@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
def test_an_output_depends_on_its_own_and_earlier_steps_only(make, normalisation):
    """In evaluation: the statistics of a training batch are taken over all of its steps."""
    net = make(depth=3, residual=True, normalisation=normalisation, **CHARACTERS).eval()
    x = characters(1, 6)
    for step in range(6):
        changed = x.clone()
        changed[:, step] = (x[:, step] + 1) % 11
        differs = (net(changed) != net(x)).any(dim=-1)  # (1, time)
        assert differs.tolist() == [[t >= step for t in range(6)]]


def test_a_character_is_a_learned_vector(make):
    """Embedding is multiplication with a one-hot matrix: the same net reads those vectors as numbers."""
    net, numbers = make(**CHARACTERS), make(in_shape=(6, 5), out_features=11, every_step=True)
    numbers.load_state_dict({k: v for k, v in net.state_dict().items() if not k.startswith("front")})
    x = characters(4, 6)
    one_hot = nn.functional.one_hot(x, 11).float()
    torch.testing.assert_close(net(x), numbers(one_hot @ net.front.weight))


def test_sequences_of_any_length_are_read(make):
    assert make(**CHARACTERS)(characters(2, 9)).shape == (2, 9, 11)
    assert make()(torch.randn(2, 1, 3)).shape == (2, 2)


@pytest.mark.parametrize("vocabulary", [None, 11])
def test_the_same_seed_gives_the_same_weights_and_a_vocabulary_adds_its_vectors(make, vocabulary):
    options = CHARACTERS if vocabulary else {}
    first, second = make(**options), make(**options)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    assert sum(p.numel() for p in first.front.parameters()) == (11 * 5 if vocabulary else 0)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"depth": 0}, "depth must be a whole number of at least 1, got 0"),
        ({"depth": "two"}, "depth must be a whole number of at least 1, got 'two'"),
        ({"depth": True}, "depth must be a whole number of at least 1, got True"),
        ({"width": -3}, "width must be a whole number of at least 1, got -3"),
        ({"dropout": 1}, "dropout must be a number from 0 to below 1, got 1"),
        ({"residual": 1}, "residual must be true or false, got 1"),
        ({"every_step": "no"}, "every_step must be true or false, got 'no'"),
        ({"normalisation": "layers"}, "unknown normalisation 'layers', did you mean 'layer'?"),
        ({"initialisation": "hee"}, "unknown initialisation 'hee', did you mean 'he'?"),
        ({"in_shape": [6, -3]}, "in_shape must be a list of whole numbers such as [1, 8, 8], got [6, -3]"),
        ({"vocabulary": 0, "in_shape": [6]}, "vocabulary must be a whole number of at least 1, got 0"),
        (
            {"in_shape": [1, 8, 8]},
            "{} reads sequences of shape (time, features), got in_shape (1, 8, 8): "
            "choose data=digit_sequences or data=sunspots, or model=mlp",
        ),
        (
            {"vocabulary": 11},
            "{} reads characters of shape (time,), got in_shape (6, 3) and a vocabulary of 11: "
            "choose data=torch_docs, or data.vocabulary=null for a sequence of numbers",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(make, option, message):
    with pytest.raises(UserError) as error:
        make(**option)
    assert str(error.value) == message.format(make.args[0].__name__.lower())
