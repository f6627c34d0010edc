"""Regression: which numbers belong to x?"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn import functional

from howdeep.data.examples import Examples, Split
from howdeep.errors import UserError
from howdeep.tasks.task import MOST_REMEMBERED, SINGLE, Scores, Task, answered, same_shape

MOST_EXAMPLES = 10_000  # that the nearest neighbour is looked for among
PENALTIES = np.logspace(-2, 4, 7)  # of ridge regression, chosen by leaving one training example out


class Regression(Task):
    """Mean squared error, loss and score in one, in the square of the targets' own unit.

    The net gives (batch, targets), and y holds as many numbers. Errors are means over the targets; beside them stand
    the mean absolute error, `mae`, and the coefficient of determination, `r2`, the mean over the targets of
    1 - sum (y - output)^2 / sum (y - mean(y))^2, and of several targets the mean squared error of each.

    Baselines: always the mean of the training targets, ridge regression (Hoerl and Kennard, 1970) on standardised
    features, the nearest neighbour (Cover and Hart, 1967), which looks among 10,000 examples at most and is left out
    where more than 100,000 are to be told, and gradient boosting of trees (Friedman, 2001), one for each target.
    """

    score_name = "mse"
    more_score_names = ("mae", "r2")
    higher_is_better = False

    def prepare(self, split: Split) -> None:
        """Raises `UserError` unless y holds numbers, and the net has an output for each of them."""
        _check(split.train)
        output, targets = self.first_output(split), split.train[1].shape[1]
        if output.ndim == 2 and output.shape[1] != targets:
            raise UserError(
                f"regression expects an output for each of the {targets} targets, got {output.shape[1]}: "
                f"set data.out_features={targets}"
            )

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        same_shape(output, target, "regression")
        return functional.mse_loss(output, target)

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        return self.loss(output, target)

    def single_scores(self, output: Tensor, target: Tensor) -> Tensor:
        same_shape(output, target, "regression")
        return (output - target).square().flatten(1).mean(1)

    @torch.no_grad()
    def more_scores(self, batches: Iterable[Examples]) -> dict[str, float]:
        """`mae`, `r2` and, where there are several targets, `mse_1`, `mse_2` and so on."""
        was_training = self.training
        self.eval()
        pairs = [(self.net(x.to(self.device)).cpu(), y.cpu()) for x, y in batches]
        self.train(was_training)
        return _measures(*(torch.cat(part) for part in zip(*pairs, strict=True)))

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        for part in (train, held_out):
            _check(part)
        x, y, y_held = train[0].flatten(1).numpy(), train[1].double().numpy(), held_out[1].double().numpy()
        same_shape(held_out[1], train[1][:1].expand(len(held_out[1]), -1), "regression")
        few = slice(MOST_EXAMPLES)
        boosting = HistGradientBoostingRegressor(early_stopping=False, random_state=0)  # type: ignore[arg-type]
        methods = {
            "ridge regression": make_pipeline(StandardScaler(), RidgeCV(PENALTIES)),
            "nearest neighbour": KNeighborsRegressor(1),
            "gradient boosting": MultiOutputRegressor(boosting),
        }
        answers = {"mean": np.broadcast_to(y.mean(0), y_held.shape)}
        for name, method in methods.items():
            if name != "nearest neighbour":
                method.fit(x, y)
            elif len(y_held) <= MOST_REMEMBERED:
                method.fit(x[few], y[few])
            else:
                continue
            answer = answered(held_out, lambda x, of=method: of.predict(x.flatten(1).numpy()))
            answers[name] = answer.reshape(y_held.shape)
        return {name: _scored(torch.tensor(of), torch.tensor(y_held)) for name, of in answers.items()}


def _check(examples: Examples) -> None:
    """Raises `UserError` unless each example has numbers as targets: of (n, 1) and (n,) torch would make (n, n)."""
    x, y = examples
    if not (x.is_floating_point() and y.is_floating_point()) or y.ndim != 2 or len(x) != len(y):
        raise UserError(
            "regression expects examples of numbers and targets (batch, targets) of numbers, got "
            f"x of {_told(x)} and y of {_told(y)}: choose the task that belongs to the data"
        )


def _told(part: Tensor) -> str:
    return f"{str(part.dtype).removeprefix('torch.')} {list(part.shape)}"


def _measures(output: Tensor, target: Tensor) -> dict[str, float]:
    """What there is beside the mean squared error; where a target is constant, r2 is 1 if it is met and else 0."""
    same_shape(output, target, "regression")
    output, target = output.double(), target.double()
    errors = (output - target).square()  # (batch, targets)
    lost, all_of_it = errors.sum(0), (target - target.mean(0)).square().sum(0)
    told = torch.where(all_of_it > 0, 1 - lost / all_of_it, (lost == 0).double())
    each = errors.mean(0).tolist()
    return {
        "mae": float((output - target).abs().mean()),
        "r2": float(told.mean()),
        **({f"mse_{place}": error for place, error in enumerate(each, 1)} if len(each) > 1 else {}),
    }


def _scored(output: Tensor, target: Tensor) -> dict[str, Any]:
    single = (output - target).square().mean(1)
    mse = float(single.mean())
    return {"loss": mse, "mse": mse, SINGLE: single, **_measures(output, target)}
