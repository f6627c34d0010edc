"""Attention matrices: they give what the network's own operation gives, and are told in numbers known beforehand."""

import math

import pytest
import torch

from howdeep.inspection import attention
from howdeep.nets.transformer import Attention
from howdeep.training.run import build


@pytest.mark.parametrize("causal", [False, True])
def test_values_mixed_by_the_matrices_are_the_output_of_attention(causal):
    torch.manual_seed(0)
    module = Attention(width=12, heads=3, causal=causal)
    h = torch.randn(4, 7, 12)
    found = attention.weights(module, h)
    assert found.shape == (4, 3, 7, 7)
    mixed = found @ module._split(module.value(h))
    torch.testing.assert_close(module.output(mixed.transpose(1, 2).flatten(2)), module(h))


def test_every_layer_and_head_has_a_matrix_whose_rows_sum_to_one(compose):
    net = build(compose("model=transformer", "data=digit_sequences", "model.depth=3").model)
    found = attention.maps(net, torch.randn(5, 16, 4))
    assert found.shape == (3, 5, 4, 16, 16)
    torch.testing.assert_close(found.sum(-1), torch.ones(3, 5, 4, 16))
    assert not any(module._forward_pre_hooks for module in net.modules())


def test_a_causal_network_looks_at_no_later_step_and_reads_characters(compose):
    net = build(compose("model=transformer", "data=torch_docs", "data.context=6").model)
    found = attention.maps(net, torch.randint(0, 89, (2, 6)))
    assert found.triu(1).abs().max() == 0
    assert found[0, 0, 0, 0, 0] == 1


def test_equal_weights_are_spread_wholly_and_one_step_not_at_all():
    assert attention.focus(torch.full((2, 4, 4), 0.25), causal=False).spread == pytest.approx(1)
    assert attention.focus(torch.eye(4).expand(2, 4, 4), causal=False) == (0, 0)
    half = torch.tensor([[[0.5, 0.5, 0, 0]] * 4])
    assert attention.focus(half, causal=False).spread == pytest.approx(math.log(2) / math.log(4))


def test_equal_weights_over_what_a_causal_step_sees_are_spread_wholly():
    equal = torch.ones(5, 5).tril() / torch.arange(1, 6)[:, None]
    assert attention.focus(equal[None], causal=True).spread == pytest.approx(1)


def test_distance_is_the_mean_number_of_steps_looked_back():
    assert attention.focus(torch.eye(4)[[0, 0, 1, 2]][None], causal=True).distance == pytest.approx(3 / 4)


def test_a_single_step_has_no_spread():
    found = attention.focus(torch.ones(2, 1, 1), causal=True)
    assert math.isnan(found.spread)
    assert found.distance == 0
