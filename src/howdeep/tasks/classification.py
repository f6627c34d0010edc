"""Classification: which of k classes does x belong to?"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from torch import Tensor
from torch.nn import functional

from howdeep.data.examples import Examples, Split
from howdeep.errors import UserError
from howdeep.tasks.task import MOST_REMEMBERED, SINGLE, Scores, Task, answered

MOST_EXAMPLES = 10_000  # that a kernel method learns from: its time grows with their square
MOST_PAIRS = 50_000  # of symbols, that are counted
BINS = 15  # of confidence, in the calibration error


class Classification(Task):
    """Softmax cross-entropy (nats), scored by accuracy: the share of examples whose largest logit is right.

    The net gives logits of shape (batch, classes); y holds class indices of shape (batch,). Beside loss and score stand
    the mean of the recalls of all classes, `balanced_accuracy`, and the least of them, `worst_recall`, of classes that
    there are examples of; and the expected calibration error, `calibration_error` (Guo et al., 2017): with the examples
    in 15 bins by their confidence, the probability of the class that was answered, the mean over the examples of the
    distance between accuracy and mean confidence of their bin. Of two classes that are both there, `auc` too: how
    often an example of the second one is given a higher probability of it than one of the first (Hanley and McNeil,
    1982).

    Baselines: always the most frequent class, multinomial logistic regression (Cox, 1958), the nearest neighbour (Cover
    and Hart, 1967), and a support vector machine with a Gaussian kernel (Cortes and Vapnik, 1995), which says no
    probabilities and has no loss. The last two learn from 10,000 examples at most, and are left out where more than
    100,000 are to be told: their time grows with the product of both. For tables, whose examples are
    vectors of numbers, gradient boosting of trees as well (Friedman, 2001). Symbols are read as indicators, one for
    each symbol at each step; and `n-gram regression` reads how often each symbol occurs, and of few symbols each pair
    (Joachims, 1998, of words).
    """

    score_name = "accuracy"
    more_score_names = ("balanced_accuracy", "worst_recall", "calibration_error")
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
        _check(output, target)
        return functional.cross_entropy(output, target)

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        _check(output, target)
        return (output.argmax(dim=1) == target).double().mean()  # a count over n, not rounded to seven digits

    @torch.no_grad()
    def more_scores(self, batches: Iterable[Examples]) -> dict[str, float]:
        """`balanced_accuracy`, `worst_recall`, `calibration_error`, and of two classes `auc`."""
        was_training = self.training
        self.eval()
        pairs = [(self.net(x.to(self.device)).cpu(), y.cpu()) for x, y in batches]
        self.train(was_training)
        logits, y = (torch.cat(part) for part in zip(*pairs, strict=True))
        probabilities = logits.double().softmax(1)
        confidence, answers = probabilities.max(1)
        right = answers == y
        recalls = recalls_of(right, y)
        return {
            "balanced_accuracy": float(recalls.mean()),
            "worst_recall": float(recalls.min()),
            "calibration_error": calibration_error(confidence, right),
            **({"auc": _auc(y, probabilities[:, 1])} if logits.shape[1] == 2 and len(recalls) == 2 else {}),
        }

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        for known, of in (train, held_out):
            _check(known[:1].flatten(1).expand(len(known), -1), of)
        symbols = 0 if train[0].is_floating_point() else int(torch.cat([train[0], held_out[0]]).max()) + 1

        def read(x: Tensor) -> np.ndarray:
            return (functional.one_hot(x, symbols) if symbols else x).flatten(1).numpy()

        x, y, y_held = read(train[0]), train[1].numpy(), held_out[1].numpy()
        classes, counts = torch.from_numpy(y).unique(return_counts=True)
        shares = (counts / counts.sum()).numpy().reshape(1, -1).repeat(len(y_held), axis=0)
        regression = LogisticRegression(max_iter=1000).fit(x, y)
        few, others = slice(MOST_EXAMPLES), {}
        if len(y_held) <= MOST_REMEMBERED:
            others = {
                "nearest neighbour": KNeighborsClassifier(1).fit(x[few], y[few]),
                "support vector machine": SVC(C=10.0).fit(x[few], y[few]),
            }
        told = {"logistic regression": answered(held_out, lambda x: regression.predict_proba(read(x)))}
        if train[0].ndim == 2 and not symbols:
            boosting = HistGradientBoostingClassifier(early_stopping=False, random_state=0)  # type: ignore[arg-type]
            boosting.fit(x, y)
            told["gradient boosting"] = answered(held_out, lambda x: boosting.predict_proba(read(x)))
        if symbols:
            n_grams = LogisticRegression(max_iter=1000).fit(_n_grams(train[0].numpy(), symbols), y)
            told["n-gram regression"] = answered(
                held_out, lambda x: n_grams.predict_proba(_n_grams(x.numpy(), symbols))
            )
        return {
            "majority": {
                "loss": float(log_loss(y_held, shares, labels=classes.numpy())),
                **_scored(np.full_like(y_held, int(classes[counts.argmax()])), y_held),
            },
            **{
                name: {
                    "loss": float(log_loss(y_held, probabilities, labels=classes.numpy())),
                    **_scored(classes.numpy()[probabilities.argmax(1)], y_held),
                }
                for name, probabilities in told.items()
            },
            **{
                name: _scored(answered(held_out, lambda x, of=of: of.predict(read(x))), y_held)
                for name, of in others.items()
            },
        }


def _n_grams(x: np.ndarray, symbols: int) -> csr_matrix:
    """How often each symbol is in a sequence, and each pair where there are few symbols: (n, time) -> (n, features)."""
    places = [x]
    if symbols**2 <= MOST_PAIRS:
        places.append(symbols * (1 + x[:, :-1]) + x[:, 1:])
    columns = np.concatenate(places, axis=1)
    rows = np.repeat(np.arange(len(x)), columns.shape[1])
    shape = len(x), symbols * (1 + symbols * (len(places) - 1))
    return csr_matrix((np.ones(columns.size), (rows, columns.ravel())), shape)


def _auc(y: Tensor, probabilities: Tensor) -> float:
    if not probabilities.isfinite().all():
        return float("nan")
    return float(roc_auc_score(y.numpy(), probabilities.numpy()))


def recalls_of(right: Tensor, y: Tensor) -> Tensor:
    """The share of right answers to each class that there is, (n,) and (n,) -> (classes,)."""
    _, members, counts = y.unique(return_inverse=True, return_counts=True)
    return torch.bincount(members, right.double()) / counts


def calibration_error(confidence: Tensor, right: Tensor) -> float:
    """The expected calibration error of answers (n,) with their confidence (n,), see `Classification`."""
    of_bin = (confidence * BINS).ceil().long().clamp(1, BINS) - 1  # (0, 1/15], (1/15, 2/15] and so on
    return float(torch.bincount(of_bin, right.double() - confidence).abs().sum() / len(right))


def _check(output: Tensor, target: Tensor) -> None:
    """Raises `UserError` unless each example has a class: of (n,) and (n, 1) torch would compare n times n."""
    if output.ndim != 2 or target.shape != output.shape[:1]:
        raise UserError(
            f"classification expects outputs (batch, classes) and targets (batch,), got {tuple(output.shape)} "
            f"and {tuple(target.shape)}: choose the task that belongs to the data and the model"
        )


def _scored(predicted: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    right = torch.from_numpy(predicted == y).double()
    return {"accuracy": float(right.mean()), SINGLE: right}
