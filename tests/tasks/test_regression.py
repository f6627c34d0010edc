"""Regression against scikit-learn, closed forms and hand-computed numbers."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from torch import nn

from howdeep.data.batches import Batches
from howdeep.data.examples import Split
from howdeep.errors import UserError
from howdeep.tasks.regression import Regression
from howdeep.tasks.task import SINGLE


def of(net: nn.Module | None = None) -> Regression:
    return Regression(net=net or nn.Identity(), optimizer=torch.optim.SGD, schedule=None)


def draw(*sizes: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_measures_are_those_of_scikit_learn_however_the_examples_are_batched(targets, batch_size):
    output, y = draw(23, targets), draw(23, targets, seed=1) + 5
    measured = of().measure(Batches((output, y), batch_size=batch_size))
    expected = {
        "loss": mean_squared_error(y, output),
        "mse": mean_squared_error(y, output),
        "mae": mean_absolute_error(y, output),
        "r2": r2_score(y, output),
    }
    each: Any = mean_squared_error(y, output, multioutput="raw_values")
    expected |= {f"mse_{place}": error for place, error in enumerate(each, 1)} if targets > 1 else {}
    assert measured == pytest.approx(expected, rel=1e-5)


def test_the_scores_of_single_examples_are_means_over_the_targets():
    single = of().single_scores(
        torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[1.0, 4.0], [1.0, 0.0]])
    )
    assert single.tolist() == [2.0, 0.5]


@pytest.mark.parametrize(("answer", "r2"), [(2.0, 1.0), (3.0, 0.0)])
def test_a_constant_target_is_met_or_not_as_scikit_learn_says(answer, r2):
    output, y = torch.full((4, 1), answer), torch.full((4, 1), 2.0)
    assert of().measure(Batches((output, y), batch_size=4))["r2"] == r2 == r2_score(y, output)


def test_measuring_is_done_in_evaluation_mode_and_gives_the_mode_back():
    task, x = of(nn.Dropout(0.9)), draw(8, 2)
    task.train()
    assert task.measure(Batches((x, x), batch_size=3))["mae"] == 0
    assert task.training


def test_the_mean_of_the_training_targets_has_their_variance_as_its_error():
    x, y = draw(40, 3), draw(40, 2, seed=1)
    found = Regression.baselines((x, y), (x, y), {})["mean"]
    assert found["mse"] == pytest.approx(float(y.var(0, correction=0).mean()), rel=1e-5)
    assert found["loss"] == found["mse"] == pytest.approx(float(found[SINGLE].mean()))
    assert found["r2"] == pytest.approx(0, abs=1e-6)
    held = y + 1
    assert Regression.baselines((x, y), (x, held), {})["mean"]["mse"] == pytest.approx(
        found["mse"] + 1, rel=1e-5
    )


def test_simple_methods_learn_what_they_can():
    x = torch.linspace(-3, 3, 400)[:, None]
    line, wave = 2 * x + 1, torch.sin(3 * x)
    train, held = torch.arange(400) % 4 > 0, torch.arange(400) % 4 == 0
    y = torch.cat([line, wave], 1)
    found = Regression.baselines((x[train], y[train]), (x[held], y[held]), {})
    assert found["ridge regression"]["mse_1"] < 1e-4 < 0.3 < found["ridge regression"]["mse_2"]
    for name in ("nearest neighbour", "gradient boosting"):
        assert max(found[name]["mse_1"], found[name]["mse_2"]) < 0.02


def test_of_standardised_features_with_next_to_no_penalty_ridge_regression_is_least_squares():
    x, noise = draw(300, 4), draw(300, 1, seed=1)
    y = x @ torch.tensor([[1.0], [-2.0], [0.0], [3.0]]) + 0.01 * noise
    found = Regression.baselines((x[:200], y[:200]), (x[200:], y[200:]), {})["ridge regression"]
    fitted = LinearRegression().fit(x[:200], y[:200]).predict(x[200:])
    assert found["mse"] == pytest.approx(mean_squared_error(y[200:], fitted), rel=1e-2)


def test_the_nearest_neighbour_answers_with_its_target():
    x, y = torch.tensor([[0.0], [1.0], [5.0]]), torch.tensor([[1.0], [2.0], [3.0]])
    held = torch.tensor([[0.4], [4.0]]), torch.tensor([[1.0], [1.0]])
    x, y = x.repeat(3, 1), y.repeat(3, 1)
    found = Regression.baselines((x, y), held, {})["nearest neighbour"]
    assert (found[SINGLE].tolist(), found["mae"]) == ([0.0, 4.0], 1.0)


@pytest.mark.parametrize("outputs", [1, 2])
def test_other_outputs_than_targets_are_refused(outputs):
    x, y = draw(6, 4), draw(6, 3)
    with pytest.raises(UserError, match=f"each of the 3 targets, got {outputs}: set data.out_features=3"):
        of(nn.Linear(4, outputs)).prepare(Split((x, y), (x, y), None))
    of(nn.Linear(4, 3)).prepare(Split((x, y), (x, y), None))


def test_held_out_targets_of_another_number_are_refused():
    with pytest.raises(UserError, match="regression expects"):
        Regression.baselines((draw(6, 4), draw(6, 3)), (draw(6, 4), draw(6, 1)), {})


def test_the_default_of_adding_is_the_gap_between_a_sixth_and_nothing(compose, project):
    from howdeep.runs.examples import load_split

    split = load_split(compose("data=adding"), project)
    found = Regression.baselines(tuple(part[:400] for part in split.train), split.validation, {})  # type: ignore[arg-type]
    assert found["mean"]["mse"] == pytest.approx(1 / 6, abs=0.03)
    assert math.isfinite(found["gradient boosting"]["mse"])
    assert np.isfinite(found["ridge regression"][SINGLE].numpy()).all()
