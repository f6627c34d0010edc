"""The baselines of forecasting against statsmodels and series whose next value is known."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error
from statsmodels.tsa.ar_model import AutoReg

from howdeep.data.batches import Batches
from howdeep.errors import UserError
from howdeep.tasks.forecasting import Forecasting
from howdeep.tasks.task import SINGLE


def windows(series: np.ndarray, context: int) -> tuple[torch.Tensor, torch.Tensor]:
    steps = torch.from_numpy(series).float().view(len(series), -1)  # (time, variables)
    x = steps[:-1].unfold(0, context, 1).transpose(1, 2)  # (n, context, variables)
    return x, steps[context:]


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n).cumsum() * 0.3


@pytest.mark.parametrize("context", [1, 3, 8])
def test_autoregression_is_that_of_statsmodels(context):
    past, future = noise(200), noise(60, seed=1)
    found = Forecasting.baselines(windows(past, context), windows(future, context), {})
    fitted = AutoReg(past, lags=context, trend="c").fit()
    x, y = (part.numpy() for part in windows(future, context))
    predicted = fitted.params[0] + x[:, ::-1, 0] @ fitted.params[1:]  # lag 1 is the last value
    assert found[f"AR({context})"]["loss"] == pytest.approx(np.mean((predicted - y[:, 0]) ** 2), rel=1e-4)
    assert found[f"AR({context})"]["mae"] == pytest.approx(np.mean(np.abs(predicted - y[:, 0])), rel=1e-4)


def test_persistence_repeats_the_last_value():
    series = np.array([0.0, 1.0, 3.0, 2.0])
    found = Forecasting.baselines(windows(noise(20), 2), windows(series, 2), {})
    assert (found["persistence"]["loss"], found["persistence"]["mae"]) == pytest.approx(((4 + 1) / 2, 1.5))


def test_autoregression_foresees_a_sine_of_any_variable():
    time = np.arange(200)
    both = np.stack([np.sin(time / 3), 5 + np.cos(time / 7)], axis=1)
    found = Forecasting.baselines(windows(both[:150], 4), windows(both[150:], 4), {})
    assert found["AR(4)"]["mae"] < 1e-3 < found["persistence"]["mae"]


def test_of_several_variables_the_error_of_each_is_measured_and_the_score_is_their_mean():
    """One variable that is easy to foresee does not hide one that is not."""
    random = np.random.default_rng(0)
    both = np.stack([np.sin(np.arange(90) / 5), random.normal(size=90)], axis=1)
    x, y = windows(both, 4)

    class Last(torch.nn.Module):
        def forward(self, x):
            return x[:, -1]

    task = Forecasting(net=Last(), optimizer=torch.optim.SGD, schedule=None)
    measured = task.measure(Batches((x, y), batch_size=20))
    each: Any = mean_absolute_error(y, x[:, -1], multioutput="raw_values")
    assert [measured["mae_1"], measured["mae_2"]] == pytest.approx(each.tolist(), rel=1e-5)
    assert measured["mae"] == pytest.approx(each.mean(), rel=1e-5)
    assert 4 * measured["mae_1"] < measured["mae_2"]
    persistence = Forecasting.baselines((x, y), (x, y), {})["persistence"]
    assert {name: persistence[name] for name in measured} == pytest.approx(measured)


def test_the_simple_methods_see_what_is_told_alone():
    past, future = (windows(noise(n, seed=n), 4) for n in (80, 40))
    more, other = ((torch.cat([x, torch.randn(len(x), 4, 3)], dim=2), y) for x, y in (past, future))
    alone, beside = Forecasting.baselines(past, future, {}), Forecasting.baselines(more, other, {})
    for name, scores in alone.items():
        assert {of: scores[of] for of in ("loss", "mae")} == {of: beside[name][of] for of in ("loss", "mae")}


def test_more_can_be_told_than_is_seen_of_no_window():
    x, y = windows(noise(30), 4)
    with pytest.raises(UserError, match="the next values of the first of them"):
        Forecasting.baselines((x, y.repeat(1, 2)), (x, y.repeat(1, 2)), {})


def test_a_single_variable_has_no_error_of_its_own_beside_the_score():
    x, y = windows(noise(30), 4)
    task = Forecasting(net=torch.nn.Flatten(1, 2), optimizer=torch.optim.SGD, schedule=None)
    assert set(task.measure(Batches((x[:, -1:], y), batch_size=8))) == {"loss", "mae"}
    assert set(Forecasting.baselines((x, y), (x, y), {})["persistence"]) == {"loss", "mae", SINGLE}


def test_autoregression_answers_with_fewer_windows_than_coefficients():
    found = Forecasting.baselines(windows(noise(12), 8), windows(noise(20), 8), {})
    assert np.isfinite(found["AR(8)"]["loss"])


def test_the_order_of_autoregression_is_chosen_where_few_values_tell_all():
    random, series = np.random.default_rng(1), [0.0, 0.0]
    for _ in range(130):  # of order 2
        series.append(1.2 * series[-1] - 0.6 * series[-2] + random.normal())
    past, future = np.array(series[:90]), np.array(series[90:])
    found = Forecasting.baselines(windows(past, 24), windows(future, 24), {})
    short = Forecasting.baselines(windows(past[22:], 2), windows(future[22:], 2), {})
    assert found["AR, order chosen"]["loss"] < found["AR(24)"]["loss"]
    assert found["AR, order chosen"]["loss"] < 1.2 * short["AR(2)"]["loss"]
