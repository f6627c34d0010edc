"""The transformer against `torch.nn.TransformerEncoderLayer`, its formula, and what it promises."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from howdeep.errors import UserError
from howdeep.nets.transformer import Attention, Block, Transformer, sinusoids


def transformer(**options) -> Transformer:
    plain = {
        "in_shape": (6, 3),
        "out_features": 2,
        "depth": 1,
        "width": 8,
        "heads": 2,
        "expansion": 3,
        "causal": False,
        "positions": "learned",
        "norm_first": True,
        "activation": "relu",
        "initialisation": "default",
        "residual": True,
        "normalisation": "layer",
        "dropout": 0.0,
        "vocabulary": None,
        "every_step": False,
    }
    torch.manual_seed(0)
    return Transformer(**(plain | options))


def characters(**options) -> Transformer:
    text = {"in_shape": [6], "vocabulary": 11, "out_features": 11, "causal": True, "every_step": True}
    return transformer(**(text | options))


def blocks(net: Transformer) -> list[Block]:
    return list(net.layers)  # type: ignore[arg-type]


def copied(block: Block, *, norm_first: bool) -> nn.TransformerEncoderLayer:
    """PyTorch's own layer with the weights of `block`."""
    enter, leave = block.feedforward[0], block.feedforward[2]
    oracle = nn.TransformerEncoderLayer(
        8, 2, 24, dropout=0.0, activation="relu", batch_first=True, norm_first=norm_first
    )
    ours = block.attention
    weights = torch.cat([ours.query.weight, ours.key.weight, ours.value.weight])
    # Any bias of the keys: softmax cancels it.
    biases = torch.cat([ours.query.bias, torch.randn(8), ours.value.bias])
    oracle.self_attn.in_proj_weight.data.copy_(weights)
    oracle.self_attn.in_proj_bias.data.copy_(biases)
    for theirs, mine in (
        (oracle.self_attn.out_proj, ours.output),
        (oracle.linear1, enter),
        (oracle.linear2, leave),
        (oracle.norm1, block.attention_norm),
        (oracle.norm2, block.feedforward_norm),
    ):
        theirs.load_state_dict(mine.state_dict())
    return oracle


def move_norms(net: nn.Module) -> None:
    """Gains and biases other than 1 and 0, so that a forgotten one shows."""
    for part in net.modules():
        if isinstance(part, nn.LayerNorm):
            nn.init.normal_(part.weight)
            nn.init.normal_(part.bias)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_a_block_agrees_with_torch_encoder_layer(norm_first, causal):
    net = transformer(causal=causal, norm_first=norm_first)
    (block,) = blocks(net)
    move_norms(block)
    x = torch.randn(4, 6, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(6) if causal else None
    oracle = copied(block, norm_first=norm_first)
    torch.testing.assert_close(block(x), oracle(x, src_mask=mask, is_causal=causal), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("norm_first", [True, False])
def test_the_network_is_embedding_and_positions_then_torch_layers_then_the_head(depth, norm_first):
    net = transformer(depth=depth, norm_first=norm_first)
    move_norms(net)
    x = torch.randn(4, 6, 3)
    h = x @ net.embedding.weight.T + net.embedding.bias + net.positions  # type: ignore[operator]
    for block in blocks(net):
        h = copied(block, norm_first=norm_first)(h)
    last = net.norm(h)[:, -1] if norm_first else h[:, -1]  # post-norm has normalised its sum itself
    torch.testing.assert_close(net(x), net.head(last), rtol=1e-4, atol=1e-5)


def attend(attention: Attention, x: np.ndarray) -> np.ndarray:
    """The closed formula, head by head and step by step, for one example (time, width)."""
    q, k, v = (
        x @ part.weight.detach().numpy().T + (0 if part.bias is None else part.bias.detach().numpy())
        for part in (attention.query, attention.key, attention.value)
    )
    d, means = x.shape[1] // attention.heads, np.zeros_like(x)
    for head in range(attention.heads):
        of = slice(head * d, (head + 1) * d)
        for t in range(len(x)):
            seen = t + 1 if attention.causal else len(x)
            shares = np.exp([q[t, of] @ k[s, of] / math.sqrt(d) for s in range(seen)])
            means[t, of] = (shares / shares.sum()) @ v[:seen, of]
    return means @ attention.output.weight.detach().numpy().T + attention.output.bias.detach().numpy()


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("heads", [1, 2, 8])
def test_attention_is_the_closed_formula(causal, heads):
    (block,) = blocks(transformer(causal=causal, heads=heads).double())
    x = torch.randn(3, 6, 8, dtype=torch.float64)
    expected = np.stack([attend(block.attention, example) for example in x.numpy()])
    np.testing.assert_allclose(block.attention(x).detach().numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("normalisation", ["none", "batch", "layer"])
def test_a_causal_network_does_not_see_the_future(norm_first, normalisation):
    net = characters(depth=4, norm_first=norm_first, normalisation=normalisation).eval()
    x = torch.randint(11, (4, 6))
    for t in range(5):
        changed = x.clone()
        changed[:, t + 1 :] = (x[:, t + 1 :] + 1) % 11
        torch.testing.assert_close(net(changed)[:, : t + 1], net(x)[:, : t + 1])
        assert not torch.allclose(net(changed)[:, t + 1 :], net(x)[:, t + 1 :])


def test_a_network_that_is_not_causal_sees_the_future():
    seen = []
    net = transformer()
    net.layers[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output[:, 0]))
    x = torch.randn(4, 6, 3)
    changed = x.clone()
    changed[:, -1] += 1
    net(x)
    net(changed)
    assert not torch.allclose(*seen)


@pytest.mark.parametrize("causal", [True, False])
def test_the_output_depends_on_every_step(causal):
    x = torch.randn(4, 6, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(transformer(causal=causal, depth=2)(x).square().sum(), x)
    assert (gradient.norm(dim=2) > 1e-4).all()


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_the_order_of_the_steps_matters_by_their_positions_alone(positions):
    net = transformer(positions=positions, depth=2)
    x = torch.randn(4, 6, 3)
    swapped = x[:, [1, 0, 2, 3, 4, 5]]
    assert not torch.allclose(net(swapped), net(x), rtol=1e-2)
    nn.init.zeros_(net.positions)  # type: ignore[arg-type]
    torch.testing.assert_close(net(swapped), net(x))


@pytest.mark.parametrize("width", [1, 7, 8])
def test_sinusoids_are_the_formula_of_the_paper(width):
    angle = lambda t, column: t / 10_000 ** (2 * (column // 2) / width)  # noqa: E731
    expected = [
        [(math.cos if column % 2 else math.sin)(angle(t, column)) for column in range(width)]
        for t in range(30)
    ]
    torch.testing.assert_close(sinusoids(30, width), torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_learned_positions_are_trained_and_sinusoids_are_no_weights():
    learned, sinusoidal = transformer(), transformer(positions="sinusoidal")
    assert "positions" in dict(learned.named_parameters())
    assert "positions" not in dict(sinusoidal.named_parameters()) | sinusoidal.state_dict()


def test_an_output_at_every_step_is_that_of_the_sequence_so_far():
    net = characters(depth=3)
    x = torch.randint(11, (4, 6))
    assert net(x).shape == (4, 6, 11)
    once = characters(depth=3, every_step=False)
    once.load_state_dict(net.state_dict())
    for t in range(1, 7):
        torch.testing.assert_close(net(x)[:, t - 1], once(x[:, :t]))


def test_a_character_is_a_row_of_a_table():
    net, x = characters(), torch.randint(11, (4, 6))
    one_hot = nn.functional.one_hot(x, 11).float()
    h = one_hot @ net.embedding.weight + net.positions  # type: ignore[operator]
    torch.testing.assert_close(net(x), net.head(net.norm(net.layers[0](h))))


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize(("normalisation", "own"), [("none", 0), ("batch", 16), ("layer", 16)])
def test_parameters_follow_the_formula_at_every_depth(positions, norm_first, normalisation, own):
    for depth in (1, 2, 3, 8, 32):
        net = transformer(
            depth=depth, positions=positions, norm_first=norm_first, normalisation=normalisation
        )
        block = 4 * 8 * 8 + 3 * 8 + (8 * 24 + 24) + (24 * 8 + 8) + 2 * own  # no bias of the keys
        expected = (3 * 8 + 8) + depth * block + (8 * 2 + 2)
        expected += 6 * 8 if positions == "learned" else 0
        expected += own if norm_first else 0  # of the sum, for the output
        assert sum(p.numel() for p in net.parameters()) == expected, depth


def test_parameters_of_characters_follow_the_formula():
    text, numbers = (sum(p.numel() for p in net.parameters()) for net in (characters(), transformer()))
    assert text - numbers == (11 * 8 + 11 * 8 + 11) - (3 * 8 + 8 + 8 * 2 + 2)  # table and head


def test_blocks_with_zero_weights_are_the_identity():
    net = transformer(depth=3)
    for block in blocks(net):
        for part in (block.attention.output, block.feedforward[2]):
            for p in part.parameters():
                nn.init.zeros_(p)
    x = torch.randn(4, 6, 3)
    torch.testing.assert_close(net(x), net.head(net.norm((net.embedding(x) + net.positions)[:, -1])))


def test_without_residual_and_normalisation_a_block_is_both_sublayers_in_turn():
    (block,) = blocks(transformer(residual=False, normalisation="none"))
    x = torch.randn(4, 6, 8)
    torch.testing.assert_close(block(x), block.feedforward(block.attention(x)))


@pytest.mark.parametrize(
    ("scheme", "gain"), [("xavier", lambda a, b: 2 / (a + b)), ("he", lambda a, _: 2 / a)]
)
def test_every_matrix_is_drawn_by_itself(scheme, gain):
    (block,) = blocks(transformer(width=200, heads=4, initialisation=scheme))
    for part in block.modules():
        if isinstance(part, nn.Linear):
            variance = gain(part.in_features, part.out_features)
            assert part.weight.var().item() == pytest.approx(variance, rel=0.05)
            assert part.bias is None or not part.bias.any()


@pytest.mark.parametrize("residual", [True, False])
def test_dropout_acts_on_both_sublayers_in_training_only(residual):
    net = transformer(width=400, heads=4, dropout=0.5, residual=residual, depth=2)
    zeros = []
    for block in blocks(net):
        block.dropout.register_forward_hook(
            lambda _m, _i, output: zeros.append((output == 0).double().mean())
        )
    x = torch.randn(4, 6, 3)
    net(x)
    assert [share.item() for share in zeros] == pytest.approx([0.5] * 4, abs=0.03)
    assert torch.equal(net.eval()(x), net(x))
    assert not any(zeros[4:])


@pytest.mark.parametrize("depth", [1, 4, 32])
def test_hooks_see_one_hidden_activation_a_block(depth):
    net, seen = transformer(depth=depth), []
    for layer in net.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    output = net(torch.randn(4, 6, 3))
    assert [tuple(h.shape) for h in seen] == [(4, 6, 8)] * depth
    torch.testing.assert_close(net.head(net.norm(seen[-1][:, -1])), output)


def test_the_first_matrix_of_each_block_is_the_one_that_makes_values():
    for block in blocks(characters(depth=3)):
        assert next(p for p in block.parameters() if p.ndim >= 2) is block.attention.value.weight


def without_gradient(net: Transformer, loss: Tensor) -> list[str]:
    loss.backward()
    return [name for name, p in net.named_parameters() if p.grad is None or p.grad.norm() < 1e-7]


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_gradients_reach_every_parameter(norm_first, causal):
    net = transformer(depth=32, norm_first=norm_first, causal=causal)
    loss = nn.functional.mse_loss(net(torch.randn(8, 6, 3)), torch.randn(8, 2))
    assert without_gradient(net, loss) == []


def test_gradients_reach_every_parameter_of_a_network_that_reads_characters():
    net = characters(depth=32)
    x, y = torch.randint(11, (2, 16, 6))
    loss = nn.functional.cross_entropy(net(x).flatten(0, 1), y.flatten())
    assert without_gradient(net, loss) == []


@pytest.mark.parametrize(("depth", "steps"), [(1, 40), (4, 25), (32, 25)])
def test_one_batch_can_be_overfitted_at_every_depth(depth, steps):
    net = transformer(depth=depth, width=16)
    x, y = torch.randn(12, 6, 3), torch.randn(12, 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.1 * y.var()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"depth": 0}, "depth must be a whole number of at least 1, got 0"),
        ({"heads": 2.5}, "heads must be a whole number of at least 1, got 2.5"),
        ({"heads": 3}, "width must be a multiple of heads, got width 8 and heads 3"),
        ({"expansion": -1}, "expansion must be a whole number of at least 1, got -1"),
        ({"dropout": 1}, "dropout must be a number from 0 to below 1, got 1"),
        ({"causal": 1}, "causal must be true or false, got 1"),
        ({"norm_first": "yes"}, "norm_first must be true or false, got 'yes'"),
        ({"residual": None}, "residual must be true or false, got None"),
        ({"every_step": 0}, "every_step must be true or false, got 0"),
        ({"positions": "sinusoid"}, "unknown positions 'sinusoid', did you mean 'sinusoidal'?"),
        ({"activation": "rleu"}, "unknown activation 'rleu', did you mean 'relu'?"),
        ({"normalisation": "layers"}, "unknown normalisation 'layers', did you mean 'layer'?"),
        ({"vocabulary": 0, "in_shape": [6]}, "vocabulary must be a whole number of at least 1, got 0"),
        (
            {"every_step": True},
            "every_step needs a causal transformer, got causal False: "
            "each output would have seen what it is to predict; set model.causal=true",
        ),
        (
            {"in_shape": [1, 8, 8]},
            "transformer reads sequences of shape (time, features), got in_shape (1, 8, 8): "
            "choose data=digit_sequences or data=sunspots, or model=mlp",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(option, message):
    with pytest.raises(UserError) as error:
        transformer(**option)
    assert str(error.value) == message


def test_a_sequence_without_positions_is_told_in_one_line():
    with pytest.raises(
        UserError, match=r"^this transformer has positions for 6 steps, got a sequence of 7: build"
    ):
        transformer()(torch.randn(4, 7, 3))
