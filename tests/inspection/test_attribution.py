"""Integrated gradients against their axioms: completeness, and the closed form of a linear net."""

import math

import pytest
import torch
from torch import nn

from howdeep.inspection.attribution import integrated_gradients, rank_agreement
from howdeep.training.run import prepare_task


def draw(*sizes: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


def test_of_a_linear_net_a_pixel_adds_its_weight_times_its_change():
    linear = nn.Linear(12, 3)
    net, x, blank = (nn.Sequential(nn.Flatten(), linear)), draw(5, 1, 3, 4), draw(1, 1, 3, 4, seed=1)
    classes = torch.tensor([0, 1, 2, 0, 1])
    weights = linear.weight[classes].view(5, 1, 3, 4)
    found = integrated_gradients(net, x, classes, blank)
    torch.testing.assert_close(found.pixels, (weights * (x - blank)).detach(), rtol=1e-4, atol=1e-6)


def test_of_a_square_the_way_counts_and_not_its_end_alone():
    class Square(nn.Module):
        def forward(self, x):
            return x.square()

    found = integrated_gradients(
        Square(), torch.tensor([[3.0, 5.0]]), torch.tensor([0]), torch.tensor([[1.0, 1.0]])
    )
    torch.testing.assert_close(found.pixels, torch.tensor([[8.0, 0.0]]))  # 3^2 - 1^2


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_pixels_add_up_to_what_the_logit_rises(compose, model):
    net = prepare_task(compose(f"model={model}", "model.depth=3", "model.activation=gelu")).net.eval()
    x, classes, blank = draw(6, 1, 8, 8), torch.arange(6), torch.full((1, 1, 8, 8), -1.0)
    found = integrated_gradients(net, x, classes, blank, steps=500)
    rise = (net(x) - net(blank)).gather(1, classes[:, None]).squeeze(1)
    torch.testing.assert_close(found.pixels.sum((1, 2, 3)), rise.detach(), rtol=0.02, atol=0.01)
    torch.testing.assert_close(
        found.error, ((found.pixels.sum((1, 2, 3)) - rise) / rise).abs().detach(), rtol=0.1, atol=1e-4
    )


def test_ranks_agree_with_themselves_whatever_the_sign_and_the_scale():
    a = draw(4, 1, 8, 8)
    everywhere = torch.ones_like(a, dtype=torch.bool)
    assert rank_agreement(a, -3 * a, everywhere) == pytest.approx(1)
    assert rank_agreement(a, 1 / a, everywhere) == pytest.approx(-1)
    assert rank_agreement(
        draw(200, 64), draw(200, 64, seed=1), torch.ones(200, 64, dtype=torch.bool)
    ) == pytest.approx(0, abs=0.05)


def test_pixels_of_the_blank_make_no_two_nets_agree():
    a, b = draw(50, 64), draw(50, 64, seed=1)
    shown = torch.zeros(50, 64, dtype=torch.bool)
    shown[:, :20] = True
    assert rank_agreement(a * shown, b * shown, shown) == pytest.approx(0, abs=0.1)
    assert rank_agreement(a * shown, b * shown, torch.ones_like(shown)) > 0.5


def test_a_net_that_looks_at_nothing_agrees_with_none():
    zeros = torch.zeros(2, 4)
    assert math.isnan(rank_agreement(zeros, draw(2, 4), torch.ones(2, 4, dtype=torch.bool)))
