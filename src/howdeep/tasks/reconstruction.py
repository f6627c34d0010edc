"""Reconstruction: can x be told from the few numbers of its code?"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn import functional

from howdeep.data.examples import Examples, Split
from howdeep.errors import UserError
from howdeep.tasks.task import SINGLE, Scores, Task

SHOWN = 10  # originals and reconstructions among the artifacts
LATENT_POINTS = 512


class Reconstruction(Task):
    """Mean squared error of x itself, scored by the share of the variance that is lost.

    With y the net's output for x, of the same shape, and the means over all examples that are scored:

        mse_ratio = sum (y - x)^2 / sum (x - mean(x))^2,

    the mean of each pixel or feature its own. 0 is perfect, and 1 is what the mean example reaches; it is 1
    less the coefficient of determination. The net has `encode`, which gives codes of shape (batch,
    bottleneck). Labels are not learned from. Baseline: principal component analysis (Pearson, 1901) with as
    many components as the code has numbers, the best that a linear code can do.
    """

    score_name = "mse_ratio"
    higher_is_better = False
    expects = "bottleneck"

    def target(self, x: Tensor, y: Tensor) -> Tensor:
        return x

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Raises `UserError` unless both have one shape."""
        _check(output, target)
        return functional.mse_loss(output, target)

    def single_scores(self, output: Tensor, target: Tensor) -> Tensor:
        return _lost_by_each(output, target)

    @torch.no_grad()
    def validate(self, batches: Iterable[Examples]) -> dict[str, float]:
        """Loss and score over all examples together: a ratio of sums is no mean of the batches' ratios."""
        was_training = self.training
        self.eval()
        lost = _LostVariance()
        for x, y in batches:
            x, y = x.to(self.device), y.to(self.device)
            lost.add(self.net(x), self.target(x, y))
        self.train(was_training)
        return lost.measures()

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        x, x_held = (part[0].flatten(1) for part in (train, held_out))
        components = min(model["bottleneck"], *x.shape)  # there are no more
        pca = PCA(components, svd_solver="full").fit(x.numpy())
        output = pca.inverse_transform(pca.transform(x_held.numpy()))
        lost, output = _LostVariance(), torch.from_numpy(output)
        lost.add(output, x_held)
        return {"PCA": {**lost.measures(), SINGLE: _lost_by_each(output, x_held)}}

    @torch.no_grad()
    def artifacts(self, split: Split) -> dict[str, Tensor | str]:
        """A few validation examples, what the net makes of them, and the plane in which codes vary most.

        Returns:
            `originals` and `reconstructions` (n, *in_shape): the first example of each class, or just the
            first ones where there are no classes; `latent` (points, 2): the first two principal components of
            the codes; `labels` (points,), if the examples have any.
        """
        x, y = split.validation
        labelled = y.ndim == 1 and not y.is_floating_point()
        shown = x[_first_of_each(y) if labelled else slice(SHOWN)]
        found = {
            "originals": shown,
            "reconstructions": self.net(shown),
            "latent": principal_plane(self.net.encode(x[:LATENT_POINTS])),  # type: ignore[operator]
        }
        return found | ({"labels": y[:LATENT_POINTS]} if labelled else {})


def _check(output: Tensor, target: Tensor) -> None:
    """Raises `UserError` unless both have one shape: torch would subtract others in its own way."""
    if output.shape != target.shape:
        raise UserError(
            f"reconstruction expects an output of the shape of x, {list(target.shape[1:])}, "
            f"got {list(output.shape[1:])}: choose model=autoencoder, or another task"
        )


def _lost_by_each(output: Tensor, target: Tensor) -> Tensor:
    """The squared error of each example, (n,), over the mean variance of all."""
    _check(output, target)
    output, target = (part.flatten(1).double() for part in (output, target))
    return (output - target).square().sum(1) / (target - target.mean(0)).square().sum(1).mean()


class _LostVariance:
    """The sums behind loss and score, added up batch by batch."""

    def __init__(self) -> None:
        self._n = 0
        self._error = self._sum = self._squares = torch.zeros(())

    def add(self, output: Tensor, target: Tensor) -> None:
        _check(output, target)
        output, target = (part.detach().flatten(1).double() for part in (output, target))  # (batch, features)
        self._n += len(target)
        self._error = self._error + (output - target).square().sum(0)
        self._sum = self._sum + target.sum(0)
        self._squares = self._squares + target.square().sum(0)

    def measures(self) -> dict[str, float]:
        variance = self._squares - self._sum.square() / self._n  # (features,), each times n
        return {
            "loss": float(self._error.mean() / self._n),
            Reconstruction.score_name: float(self._error.sum() / variance.sum()),
        }


def _first_of_each(labels: Tensor) -> Tensor:
    """Where each of the smallest labels comes first."""
    return torch.stack([(labels == label).nonzero()[0, 0] for label in labels.unique()[:SHOWN]])


def principal_plane(codes: Tensor) -> Tensor:
    """The first two principal components of codes, (n, bottleneck) -> (n, 2).

    The sign of a component is arbitrary: the largest weight of each is made positive. A bottleneck of 1 has a
    second component of zeros.
    """
    centred = codes - codes.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)  # (rank, bottleneck)
    directions = directions[:2]
    largest = directions.gather(1, directions.abs().argmax(1, keepdim=True))
    plane = centred @ (directions * largest.sign()).T
    return functional.pad(plane, (0, 2 - plane.shape[1]))
