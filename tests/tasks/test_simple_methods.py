"""Simple methods on more examples than they can learn from: a draw of them, asked about a few at a time."""

import numpy as np
import pytest
import torch

from howdeep.tasks import classification, regression, task
from howdeep.tasks.classification import Classification
from howdeep.tasks.forecasting import Forecasting
from howdeep.tasks.regression import Regression
from howdeep.tasks.task import SINGLE

N = 120


def examples(kind, n: int = N, seed: int = 0):
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=random)
    if kind is Classification:
        return x, (x[:, 0] > 0).long()
    return x, x[:, :2] + 0.1 * torch.randn(n, 2, generator=random)


def test_few_examples_are_all_learned_from():
    train = examples(Classification)
    assert Classification.learned_from(train) is train


def test_of_many_some_are_drawn_always_the_same_ones_with_one_of_each_class(monkeypatch):
    monkeypatch.setattr(task, "MOST_LEARNED", 30)
    x = torch.arange(1000.0)[:, None]
    y = torch.zeros(1000, dtype=torch.int64)
    y[777] = 1  # a random draw would have it three times of a hundred
    drawn, of = Classification.learned_from((x, y))
    assert len(set(drawn[:, 0].tolist())) == 30
    assert torch.equal(of, y[drawn[:, 0].long()])
    assert 777 in drawn[:, 0]
    assert 300 < drawn.mean() < 700  # from all over
    assert torch.equal(drawn, Classification.learned_from((x, y))[0])
    assert len(Regression.learned_from((x, x))[0]) == 30


def test_steps_that_follow_one_another_are_not_drawn_from(monkeypatch):
    monkeypatch.setattr(task, "MOST_LEARNED", 30)
    train = torch.zeros(100, 4, 1), torch.zeros(100, 1)
    assert Forecasting.learned_from(train) is train


@pytest.mark.parametrize("kind", [Classification, Regression])
def test_a_few_at_a_time_are_told_as_all_at_once(monkeypatch, kind):
    train, held_out = examples(kind), examples(kind, seed=1)
    whole = kind.baselines(train, held_out, {})
    monkeypatch.setattr(task, "AT_ONCE", 7)
    parts = kind.baselines(train, held_out, {})
    assert parts.keys() == whole.keys()
    for name, scores in whole.items():
        np.testing.assert_allclose(parts[name].pop(SINGLE), scores.pop(SINGLE), atol=1e-6)
        assert parts[name] == pytest.approx(scores, rel=1e-6)


@pytest.mark.parametrize(
    ("kind", "module", "left"),
    [(Classification, classification, {"majority", "logistic regression", "gradient boosting"}),
     (Regression, regression, {"mean", "ridge regression", "gradient boosting"})],
)  # fmt: skip
def test_methods_that_compare_examples_one_by_one_are_left_out_where_these_are_many(
    monkeypatch, kind, module, left
):
    monkeypatch.setattr(module, "MOST_REMEMBERED", N - 1)
    assert kind.baselines(examples(kind), examples(kind), {}).keys() == left
