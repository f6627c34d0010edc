"""Classification and forecasting against scikit-learn and hand-computed numbers."""

import math

import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, mean_absolute_error, mean_squared_error
from torch import nn

from howdeep.data.batches import Batches
from howdeep.tasks.classification import Classification
from howdeep.tasks.forecasting import Forecasting
from howdeep.tasks.task import SINGLE, RunningMean


def of(kind, net=None):
    return kind(net=net or nn.Identity(), optimizer=torch.optim.SGD, schedule=lambda progress: 1.0)


def test_classification_measures_what_scikit_learn_does_whatever_the_batches():
    torch.manual_seed(0)
    logits, y = torch.randn(23, 4), torch.randint(4, (23,))
    measured = of(Classification).measure(Batches((logits, y), batch_size=7))
    assert measured["loss"] == pytest.approx(
        log_loss(y, logits.double().softmax(1), labels=range(4)), rel=1e-5
    )
    assert measured["accuracy"] == pytest.approx(accuracy_score(y, logits.argmax(1)))


def test_forecasting_measures_what_scikit_learn_does_whatever_the_batches():
    torch.manual_seed(0)
    forecast, y = torch.randn(23, 2), torch.randn(23, 2)
    measured = of(Forecasting).measure(Batches((forecast, y), batch_size=7))
    assert measured["loss"] == pytest.approx(mean_squared_error(y, forecast), rel=1e-5)
    assert measured["mae"] == pytest.approx(mean_absolute_error(y, forecast), rel=1e-5)


def test_measuring_is_done_in_evaluation_mode_and_gives_the_mode_back():
    task = of(Classification, nn.Dropout(0.9))
    task.train()
    x, y = torch.eye(4), torch.arange(4)
    expected = math.log(math.e + 3) - 1  # softmax of a unit vector, nothing dropped
    assert task.measure(Batches((x, y), batch_size=4))["loss"] == pytest.approx(expected, rel=1e-6)
    assert task.training


def test_persistence_forecasts_the_last_value():
    x = torch.tensor([[[9.0], [1.0]], [[9.0], [2.0]]])  # (batch, time, variables)
    y = torch.tensor([[2.0], [5.0]])
    found = Forecasting.baselines((x, y), (x, y), {})["persistence"]
    assert (found["loss"], found["mae"], found[SINGLE].tolist()) == (5.0, 2.0, [1.0, 3.0])


def test_the_majority_class_is_right_as_often_as_it_occurs():
    x, y = torch.randn(8, 2), torch.tensor([0, 0, 0, 1, 1, 2, 0, 0])
    held = torch.randn(4, 2), torch.tensor([0, 1, 0, 2])
    majority = Classification.baselines((x, y), held, {})["majority"]
    assert majority["accuracy"] == 0.5
    assert majority["loss"] == pytest.approx(-(2 * math.log(5 / 8) + math.log(2 / 8) + math.log(1 / 8)) / 4)


def test_logistic_regression_learns_a_linear_border():
    x = torch.linspace(-3, 3, 60).reshape(-1, 1, 1)
    y = (x.flatten() > 0).long()
    assert Classification.baselines((x, y), (x, y), {})["logistic regression"]["accuracy"] > 0.95


def test_a_kernel_and_a_neighbour_learn_a_border_that_is_no_line():
    x = torch.linspace(-3, 3, 61).reshape(-1, 1, 1)
    y = (x.flatten().abs() > 1.5).long()
    found = Classification.baselines((x, y), (x, y), {})
    assert found["nearest neighbour"]["accuracy"] == 1.0
    assert found["support vector machine"]["accuracy"] > 0.95 > found["logistic regression"]["accuracy"]


def test_an_accuracy_is_a_count_over_n_to_the_last_digit():
    """In single precision it was off by 1e-8, by which runs with the same errors seemed to differ."""
    net = torch.nn.Identity()
    task = Classification(net=net, optimizer=torch.optim.SGD, schedule=None)
    x = torch.eye(3)[torch.arange(359) % 3]
    y = (torch.arange(359) % 3 + (torch.arange(359) < 7).long()) % 3
    assert task.measure(Batches((x, y), batch_size=100))["accuracy"] == pytest.approx(352 / 359, abs=1e-15)


def test_the_running_mean_weighs_batches_by_their_size_and_starts_afresh():
    mean = RunningMean()
    mean.add(torch.tensor(1.0), 3)
    mean.add(torch.tensor(5.0), 1)
    assert float(mean.take()) == 2.0
    mean.add(torch.tensor(7.0), 2)
    assert float(mean.take()) == 7.0
