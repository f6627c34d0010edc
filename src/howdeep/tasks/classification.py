"""Classification: which of k classes does x belong to?"""

from collections.abc import Mapping
from typing import Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from torch import Tensor
from torch.nn import functional

from howdeep.data.examples import Examples, Split
from howdeep.errors import UserError
from howdeep.tasks.task import Scores, Task


class Classification(Task):
    """Softmax cross-entropy (nats), scored by accuracy: the share of examples whose largest logit is right.

    The net gives logits of shape (batch, classes); y holds class indices of shape (batch,).
    Baselines: always the most frequent class, and multinomial logistic regression (Cox, 1958).
    """

    score_name = "accuracy"
    higher_is_better = True

    def prepare(self, split: Split) -> None:
        """Raises `UserError` unless the net has an output for each class: a label that has none is no index."""
        output, classes = self.first_output(split), int(split.train[1].max()) + 1
        if output.ndim == 2 and split.train[1].ndim == 1 and output.shape[1] != classes:
            raise UserError(
                f"classification expects an output for each of the {classes} classes, got {output.shape[1]}: "
                f"set data.out_features={classes}"
            )

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        if output.ndim != 2 or target.ndim != 1:
            raise UserError(
                f"classification expects outputs (batch, classes) and targets (batch,), got {tuple(output.shape)} "
                f"and {tuple(target.shape)}: choose the task that belongs to the data and the model"
            )
        return functional.cross_entropy(output, target)

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        return (output.argmax(dim=1) == target).float().mean()

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        (x, y), (x_held, y_held) = ((x.flatten(1).numpy(), y.numpy()) for x, y in (train, held_out))
        classes, counts = torch.from_numpy(y).unique(return_counts=True)
        shares = (counts / counts.sum()).numpy().reshape(1, -1).repeat(len(y_held), axis=0)
        regression = LogisticRegression(max_iter=1000).fit(x, y)
        return {
            "majority": {
                "loss": float(log_loss(y_held, shares, labels=classes.numpy())),
                "accuracy": float((y_held == int(classes[counts.argmax()])).mean()),
            },
            "logistic regression": {
                "loss": float(log_loss(y_held, regression.predict_proba(x_held), labels=classes.numpy())),
                "accuracy": float(regression.score(x_held, y_held)),
            },
        }
