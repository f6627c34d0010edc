"""Forecasting: given a window of the past, what comes next?"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torch.nn import functional

from howdeep.data.examples import Examples
from howdeep.tasks.task import Scores, Task


class Forecasting(Task):
    """Mean squared error of the next value, scored by the mean absolute error, both in standard deviations.

    The net gives the next value of every variable, (batch, variables); x is the window, (batch, time,
    variables). Baseline: persistence, "the next value is the last one".
    """

    score_name = "mae"
    higher_is_better = False

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.mse_loss(output, target)

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        return functional.l1_loss(output, target)

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        x, y = held_out
        last = x[:, -1]  # (batch, variables)
        return {
            "persistence": {
                "loss": float(functional.mse_loss(last, y)),
                "mae": float(functional.l1_loss(last, y)),
            }
        }
