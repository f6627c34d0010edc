"""Probes against what is known of the data, against a solution in closed form, and against the net's own output."""

import math

import pytest
import torch
from torch import nn

from howdeep.inspection import probes
from howdeep.nets.layers import FeatureBatchNorm
from howdeep.training.run import build


def draw(*sizes: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


def test_states_are_the_input_and_what_each_layer_gives_to_the_next(compose):
    net = build(compose("model=mlp", "model.depth=3", "model.width=7").model)
    x = draw(5, 1, 8, 8)
    found = probes.states(net, x)
    assert [tuple(h.shape) for h in found] == [(5, 1, 8, 8), (5, 7), (5, 7), (5, 7)]
    h = x.flatten(1)
    for layer, state in zip(net.layers, found[1:], strict=True):
        h = layer(h)
        torch.testing.assert_close(state, h)
    torch.testing.assert_close(net.head(net.norm(found[-1])), net(x))


def test_looking_leaves_no_hook_behind(compose):
    net = build(compose("model=rnn", "data=sunspots").model)
    probes.states(net, draw(2, 22, 1))
    assert not any(module._forward_hooks for module in net.modules())


def test_of_a_sequence_the_last_step_is_read_and_of_an_image_the_quarters():
    h = draw(3, 5, 2)
    torch.testing.assert_close(probes.readable(h), h[:, 4])
    image = torch.zeros(1, 1, 4, 4)
    image[0, 0, :2, 2:] = 3  # the upper right quarter
    assert probes.readable(image).tolist() == [[0, 3, 0, 0]]
    assert probes.readable(draw(3, 4)).shape == (3, 4)


def test_classes_that_a_line_parts_are_told_and_those_of_a_circle_are_not():
    h, held = draw(400, 2), draw(400, 2, seed=1)
    line = [(x[:, 0] > x[:, 1]).long() for x in (h, held)]
    circle = [(x.square().sum(1) > 1.4).long() for x in (h, held)]
    assert probes.score((h, line[0]), (held, line[1])) > 0.97
    assert probes.score((h, circle[0]), (held, circle[1])) < 0.65
    squared = [torch.cat([x, x.square()], 1) for x in (h, held)]  # a layer that made the circle a line
    assert probes.score((squared[0], circle[0]), (squared[1], circle[1])) > 0.9


def test_labels_that_mean_nothing_are_told_by_chance_only():
    y = torch.arange(300) % 5
    score = probes.score((draw(300, 40), y), (draw(300, 40, seed=1), y))
    assert score == pytest.approx(0.2, abs=0.1)


def test_numbers_are_scored_by_the_variance_that_least_squares_tells():
    h, held = draw(500, 3).double(), draw(200, 3, seed=1).double()
    weights = torch.tensor([[2.0], [-1.0], [0.5]]).double()
    y, y_held = (x @ weights + 0.3 * draw(len(x), 1, seed=2).double() for x in (h, held))
    solution = torch.linalg.lstsq(torch.cat([h, torch.ones(500, 1)], 1), y).solution
    error = (torch.cat([held, torch.ones(200, 1)], 1) @ solution - y_held).square().sum()
    expected = float(1 - error / (y_held - y_held.mean()).square().sum())
    assert probes.score((h, y), (held, y_held)) == pytest.approx(expected, abs=2e-3)


def test_features_that_are_constant_or_many_do_no_harm_and_infinite_ones_have_no_score():
    h, y = draw(60, 200), torch.arange(60) % 2
    h[:, :100] = 1.0
    assert probes.score((h, y), (h, y)) > 0.5
    h[3, 150] = torch.inf
    assert math.isnan(probes.score((h, y), (h, y)))


def test_a_net_has_a_score_for_each_hidden_layer_and_one_that_passes_its_input_on_has_that_of_the_input():
    class Passing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Identity(), nn.Identity()])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layers[1](self.layers[0](x))

    train, held = ((draw(60, 6, seed=seed), torch.arange(60) % 3) for seed in (0, 1))
    assert probes.scores(Passing(), train, held) == [probes.input_score(train, held)] * 2


def test_the_code_of_an_autoencoder_is_a_layer_between_encoder_and_decoder(compose):
    net = build(compose("model=autoencoder", "model.depth=2", "model.width=9", "model.bottleneck=3").model)
    assert probes.hidden(net) == [*net.layers[:2], net.code, *net.layers[2:]]
    x = draw(4, 1, 8, 8)
    found = probes.states(net, x)
    assert [tuple(h.shape) for h in found[1:]] == [(4, 9), (4, 9), (4, 3), (4, 9), (4, 9)]
    torch.testing.assert_close(found[3], net.encode(x))


def test_the_last_steps_of_a_window_are_examples_of_their_own():
    h = draw(3, 5, 2)
    torch.testing.assert_close(
        probes.readable(h, 2), torch.stack([h[0, 3], h[0, 4], h[1, 3], h[1, 4], h[2, 3], h[2, 4]])
    )


def text(n: int, time: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Windows of a chain: each character is followed by the next of five in 8 of 10 cases, else by any."""
    generator = torch.Generator().manual_seed(seed)
    windows = torch.randint(5, (n, time + 1), generator=generator)
    regular = torch.rand(n, time, generator=generator) < 0.8
    for at in range(time):
        windows[:, at + 1] = torch.where(regular[:, at], (windows[:, at] + 1) % 5, windows[:, at + 1])
    return windows[:, :-1], windows[:, 1:]


def test_of_one_character_a_probe_knows_what_a_table_of_pairs_knows():
    (x, y), (x_held, y_held) = train, held = text(150, 12, 0), text(150, 12, 1)
    pairs = torch.zeros(5, 5).index_put_(
        (x[:, -4:].flatten(), y[:, -4:].flatten()), torch.tensor(1.0), accumulate=True
    )
    right = pairs.argmax(1)[x_held[:, -4:]] == y_held[:, -4:]
    assert probes.input_score(train, held, steps=4) == float(right.double().mean())
    assert probes.input_score(train, held, steps=4) == pytest.approx(0.8 + 0.2 / 5, abs=0.05)


def test_of_a_sequence_with_one_class_a_probe_reads_the_symbols_of_all_steps():
    generator = torch.Generator().manual_seed(0)
    train, held = (torch.randint(4, (200, 6), generator=generator) for _ in range(2))
    for step in range(6):
        assert probes.input_score((train, train[:, step] // 2), (held, held[:, step] // 2)) == 1.0


def test_where_each_step_of_numbers_has_a_class_the_input_is_read_step_by_step():
    x, x_held = draw(200, 5, 2), draw(200, 5, 2, seed=1)
    y, y_held = ((of.sum(2) > 0).long() for of in (x, x_held))
    assert probes.input_score((x, y), (x_held, y_held), steps=3) == probes.score(
        (x[:, 2:].reshape(-1, 2), y[:, 2:].flatten()), (x_held[:, 2:].reshape(-1, 2), y_held[:, 2:].flatten())
    )


def test_the_next_character_is_read_from_the_last_steps_of_each_layer(compose):
    cfg = compose("data=torch_docs", "model=rnn", "model.depth=2", "model.width=8")
    train, held = text(80, 12, 0), text(80, 12, 1)
    net = build(cfg.model)
    found = probes.scores(net, train, held, steps=4)
    states = [probes.states(net, x)[2][:, -4:].reshape(-1, 8) for x, _ in (train, held)]
    assert len(found) == 2
    assert found[1] == probes.score(
        (states[0], train[1][:, -4:].flatten()), (states[1], held[1][:, -4:].flatten())
    )


def test_an_untrained_net_normalises_by_the_examples_it_is_given():
    x = 5 + 3 * draw(200, 4)
    net = probes.settle(nn.Sequential(FeatureBatchNorm(4)), x)
    torch.testing.assert_close(net(x).mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    assert not net.training
