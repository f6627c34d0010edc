"""Gradient flow against the chain rule written out by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from howdeep.diagnostics.gradients import UpdateRatio, gradient_flow
from howdeep.tasks.forecasting import Forecasting


class Chain(nn.Module):
    """Two linear hidden layers and a linear head, without biases: o = h W2 W1 x."""

    def __init__(self, *, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = (nn.Sequential(nn.Linear(3, 3, bias=False), nn.Dropout(dropout)) for _ in range(2))
        self.layers = nn.ModuleList(hidden)
        self.norm = nn.BatchNorm1d(3, affine=False) if dropout else nn.Identity()
        self.head = nn.Linear(3, 1, bias=False)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


def task(net: nn.Module) -> Forecasting:
    return Forecasting(net=net, optimizer=torch.optim.SGD, schedule=lambda progress: 1.0)


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return torch.randn(5, 3), torch.randn(5, 1)


def test_the_norms_are_those_of_the_chain_rule(batch):
    torch.manual_seed(0)
    net = Chain()
    first, second = gradient_flow(task(net), batch)
    linear: Any = [layer[0] for layer in net.layers]  # type: ignore[index]
    x, y = (part.double().numpy() for part in batch)
    w1, w2 = (part.weight.detach().double().numpy() for part in linear)
    head = net.head.weight.detach().double().numpy()
    a1 = x @ w1.T
    a2 = a1 @ w2.T
    by_output = 2 * (a2 @ head.T - y) / len(x)
    by_a2 = by_output @ head
    by_a1 = by_a2 @ w2
    expected = [
        (by_a1, by_a1.T @ x, a1, "layers.0.0.weight"),
        (by_a2, by_a2.T @ a1, a2, "layers.1.0.weight"),
    ]
    for row, (by_activation, by_weight, a, weight) in zip((first, second), expected, strict=True):
        assert row["activation_gradient"] == pytest.approx(np.linalg.norm(by_activation), rel=1e-5)
        assert row["weight_gradient"] == pytest.approx(np.linalg.norm(by_weight), rel=1e-5)
        assert row["activation_rms"] == pytest.approx(np.sqrt((a**2).mean()), rel=1e-5)
        assert row["weight"] == weight
    assert [row["layer"] for row in (first, second)] == [1, 2]


def test_looking_changes_neither_statistics_nor_gradients_nor_random_numbers(batch):
    net = Chain(dropout=0.5)
    of = task(net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    random = torch.get_rng_state()
    gradient_flow(of, batch)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), random)


def test_the_update_ratio_is_the_last_step_over_the_weight_before_it(batch):
    net: Any = Chain()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    ratios = UpdateRatio([optimizer])
    x, y = batch
    for _ in range(2):
        optimizer.zero_grad()
        (net(x) - y).square().mean().backward()
        before = net.layers[0][0].weight.detach().clone()
        optimizer.step()
    closed = ratios.close()
    weight = net.layers[0][0].weight
    expected = 0.1 * weight.grad.norm() / before.norm()
    assert closed[weight] == pytest.approx(float(expected), rel=1e-5)
    optimizer.step()
    assert ratios.close()[weight] != pytest.approx(
        closed[weight]
    )  # the hook is gone: `before` is no longer renewed


def test_parts_with_losses_of_their_own_are_followed_each_by_itself(batch):
    class TwoNets(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.other = Chain(), Chain()

        def forward(self, x):
            return self.one(x) + self.other(x)

    class Game(Forecasting):
        def gradient_losses(self, net: Any, x, y):
            return {
                "one": (list(net.one.layers), self.loss(net.one(x), y)),
                "other": (list(net.other.layers), self.loss(net.other(x), -y)),
            }

    torch.manual_seed(2)
    net = TwoNets()
    rows = gradient_flow(Game(net=net, optimizer=torch.optim.SGD, schedule=lambda _: 1.0), batch)
    assert [(row["part"], row["layer"]) for row in rows] == [
        ("one", 1),
        ("one", 2),
        ("other", 1),
        ("other", 2),
    ]
    x, y = batch
    alone = gradient_flow(task(net.other), (x, -y))
    assert [row["activation_gradient"] for row in rows[2:]] == [row["activation_gradient"] for row in alone]
