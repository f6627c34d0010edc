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


def test_a_net_has_a_score_for_its_input_and_for_each_hidden_layer(compose):
    net = build(compose("model=cnn", "model.depth=2").model)
    y = torch.arange(40) % 10
    assert len(probes.scores(net, (draw(40, 1, 8, 8), y), (draw(40, 1, 8, 8, seed=1), y))) == 3


def test_an_untrained_net_normalises_by_the_examples_it_is_given():
    x = 5 + 3 * draw(200, 4)
    net = probes.settle(nn.Sequential(FeatureBatchNorm(4)), x)
    torch.testing.assert_close(net(x).mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    assert not net.training
