"""Forecasting: given a window of the past, what comes next?"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from howdeep.data.examples import Examples
from howdeep.errors import UserError
from howdeep.tasks.task import Scores, Task


class Forecasting(Task):
    """Mean squared error of the next value, scored by the mean absolute error, both in standard deviations.

    The net gives the next value of every variable, (batch, variables); x is the window, (batch, time,
    variables). Baselines: persistence, "the next value is the last one", and autoregression: linear in all
    values of the window, y = W x + b (Yule, 1927), by least squares over the training windows.
    """

    score_name = "mae"
    higher_is_better = False

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        if output.shape != target.shape:
            raise UserError(
                f"forecasting expects outputs of the targets' shape {tuple(target.shape)}, got {tuple(output.shape)}: "
                "choose the task that belongs to the data and the model"
            )
        return functional.mse_loss(output, target)

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.l1_loss(output, target)

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        x, y = held_out
        predictions = {
            "persistence": x[:, -1],  # (batch, variables)
            f"AR({x.shape[1]})": _autoregression(train, x),
        }
        return {
            name: {
                "loss": float(functional.mse_loss(prediction, y)),
                "mae": float(functional.l1_loss(prediction, y)),
            }
            for name, prediction in predictions.items()
        }


def _autoregression(train: Examples, x: Tensor) -> Tensor:
    """What the least squares of the training windows predict for the windows x, (batch, variables)."""
    coefficients = torch.linalg.lstsq(_with_ones(train[0]), train[1].double()).solution
    return (_with_ones(x) @ coefficients).to(x.dtype)


def _with_ones(x: Tensor) -> Tensor:
    """(batch, time, variables) -> (batch, time * variables + 1), in double precision."""
    return functional.pad(x.flatten(1).double(), (0, 1), value=1.0)
