"""Forecasting: given a window of the past, what comes next?"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from howdeep.data.examples import Examples, Split
from howdeep.errors import UserError
from howdeep.tasks.task import SINGLE, Scores, Task, same_shape


class Forecasting(Task):
    """Mean squared error of the next value, scored by the mean absolute error, both in standard deviations.

    The net gives the next value of every variable that is told, (batch, told); x is the window, (batch, time,
    variables), of which these are the first: others are inputs alone, or known ahead. Errors are means over what is
    told, each variable in its own deviations; of several the absolute error of each is measured as well, since a mean
    would hide the one that is hard to foresee.

    Baselines: persistence, "the next value is the last one"; the seasonal naive forecast, "it is the one a season
    before", with the season, of 2 steps up to the window, that is nearest on the training windows; and autoregression:
    linear in the values of the window, y = W x + b (Yule, 1927), by least squares over the training windows; once in
    all values, once in the last p, of which the last fifth of the training windows chooses how many. They see what is
    told alone. Where there are several series, no window holds two of them, and each method is one for all.
    """

    score_name = "mae"
    higher_is_better = False
    in_time = True

    def prepare(self, split: Split) -> None:
        """Raises `UserError` unless the examples are windows of a series with the values that follow them."""
        _check(split.train)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        same_shape(output, target, "forecasting")
        return functional.mse_loss(output, target)

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        same_shape(output, target, "forecasting")
        return functional.l1_loss(output, target)

    def single_scores(self, output: Tensor, target: Tensor) -> Tensor:
        same_shape(output, target, "forecasting")
        return (output - target).abs().flatten(1).mean(1)

    @torch.no_grad()
    def more_scores(self, batches: Iterable[Examples]) -> dict[str, float]:
        """`mae_1`, `mae_2` and so on: that of each variable, where there are several."""
        if next(iter(batches))[1].shape[1] == 1:
            return {}
        was_training = self.training
        self.eval()
        pairs = [(self.net(x.to(self.device)).cpu(), y.cpu()) for x, y in batches]
        self.train(was_training)
        return _of_variables(*(torch.cat(part) for part in zip(*pairs, strict=True)))

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        for part in (train, held_out):
            _check(part)
        (x, y), told = held_out, train[1].shape[1]
        train, x = (train[0][:, :, :told], train[1]), x[:, :, :told]
        predictions = {
            "persistence": x[:, -1],  # (batch, variables)
            **({"seasonal naive": x[:, -_season(train)]} if x.shape[1] > 1 else {}),
            f"AR({x.shape[1]})": _autoregression(train, x, x.shape[1]),
            "AR, order chosen": _autoregression(train, x, _order(train)),
        }
        return {
            name: {
                "loss": float(functional.mse_loss(prediction, y)),
                "mae": float(functional.l1_loss(prediction, y)),
                SINGLE: (prediction - y).abs().flatten(1).mean(1),
                **_of_variables(prediction, y),
            }
            for name, prediction in predictions.items()
        }


def _check(examples: Examples) -> None:
    """Raises `UserError` unless the examples are windows of a series with the values that follow them."""
    x, y = examples
    if x.ndim != 3 or y.ndim != 2 or len(y) != len(x) or y.shape[1] > x.shape[2]:
        raise UserError(
            "forecasting expects windows (batch, time, variables) and the next values of the first of them (batch, "
            f"told), got {tuple(x.shape)} and {tuple(y.shape)}: choose the task that belongs to the data"
        )


def _of_variables(output: Tensor, target: Tensor) -> dict[str, float]:
    """The mean absolute error of each variable, none of a single one, whose error is the score."""
    same_shape(output, target, "forecasting")
    errors = (output - target).abs().double().mean(0)  # (variables,)
    return (
        {f"mae_{place}": error for place, error in enumerate(errors.tolist(), 1)} if len(errors) > 1 else {}
    )


def _autoregression(train: Examples, x: Tensor, order: int) -> Tensor:
    """What the least squares of the training windows' last values predict for the windows x, (batch, variables)."""
    known = _with_ones(train[0][:, -order:])
    # With fewer windows than coefficients the smallest of all solutions: `lstsq` needs full rank by its default driver.
    coefficients = torch.linalg.lstsq(known, train[1].double(), driver="gelsd").solution
    return (_with_ones(x[:, -order:]) @ coefficients).to(x.dtype)


def _season(train: Examples) -> int:
    """After how many steps values are likest to what they were, over all training windows; at least 2."""
    x, y = train
    errors = [float(functional.mse_loss(x[:, -season], y)) for season in range(2, x.shape[1] + 1)]
    return 2 + int(torch.tensor(errors).nan_to_num(float("inf")).argmin())


def _order(train: Examples) -> int:
    """The order that predicts the last fifth of the training windows best, learned from those before it."""
    x, y = train
    before = max(1, len(x) - len(x) // 5)
    errors = [
        float(functional.mse_loss(_autoregression((x[:before], y[:before]), x[before:], order), y[before:]))
        for order in range(1, x.shape[1] + 1)
    ]
    return 1 + int(torch.tensor(errors).nan_to_num(float("inf")).argmin())


def _with_ones(x: Tensor) -> Tensor:
    """(batch, time, variables) -> (batch, time * variables + 1), in double precision."""
    return functional.pad(x.flatten(1).double(), (0, 1), value=1.0)
