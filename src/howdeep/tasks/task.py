"""What every task has in common: a net, an optimizer, a schedule, a loss and a score."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from howdeep.data.batches import Batches
from howdeep.data.examples import Examples, Split
from howdeep.data.splits import random_state
from howdeep.errors import UserError

SINGLE = "single"  # beside the scores of a method, those of single examples
MOST_LEARNED = 100_000  # training examples of simple methods
MOST_REMEMBERED = 100_000  # examples that methods which compare each with others are asked about
AT_ONCE = 1 << 16  # examples that a simple method is asked about
Scores = dict[str, dict[str, Any]]


def same_shape(output: Tensor, target: Tensor, task: str) -> None:
    """Called before one is subtracted from the other: of (n, 1) and (n,) torch would make (n, n) differences.

    Raises:
        UserError: they have different shapes.
    """
    if output.shape != target.shape:
        raise UserError(
            f"{task} expects outputs of the targets' shape {tuple(target.shape)}, got {tuple(output.shape)}: "
            "choose the task that belongs to the data and the model"
        )


def answered(examples: Examples, answer: Callable[[Tensor], np.ndarray]) -> np.ndarray:
    """What a simple method says of examples, which it is asked about a few at a time: many libraries copy them.

    Args:
        answer: x (some, ...) -> (some, ...).
    """
    return np.concatenate([answer(x) for x, _ in Batches(examples, batch_size=AT_ONCE)])


class Task(LightningModule):
    """A net that learns to map x to its target by gradient descent on `loss`, and is judged by `score`.

    A new task says its `loss`, its `score` and its `baselines`; one that trains otherwise (an adversarial
    game, say) overrides the steps and `validate` as well.

    Args:
        net: maps x of shape (batch, *in_shape) to the output that `loss` and `score` understand.
        optimizer: given the parameters, returns the optimizer.
        schedule: maps the progress of training, from 0 to 1, to a factor of the learning rate; None for 1.
    """

    score_name: ClassVar[str]
    higher_is_better: ClassVar[bool]
    in_time: ClassVar[bool] = False  # whether examples follow one another, so that neighbours err alike
    more_score_names: ClassVar[tuple[str, ...]] = ()  # what `more_scores` always tells
    expects: ClassVar[str] = "out_features"  # the parameter by which models are known that learn the task

    def __init__(
        self,
        *,
        net: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        schedule: Callable[[float], float] | None,
    ) -> None:
        super().__init__()
        self.net = net
        self._optimizer = optimizer
        self._schedule = schedule
        self.running_loss = RunningMean()  # of the epoch, as it comes; `History` takes it

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar that training lowers."""
        raise NotImplementedError

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean score of a batch, a scalar that people compare."""
        raise NotImplementedError

    def check_trainer(self, trainer: Mapping[str, Any]) -> None:
        """Looks at the settings of the trainer before anything is trained.

        Raises:
            UserError: one with which this task cannot be learned.
        """

    def prepare(self, split: Split) -> None:
        """Called once before training and before measuring: for a task that must see all training examples.

        Raises:
            UserError: examples that the task cannot be learned from.
        """

    @torch.no_grad()
    def first_output(self, split: Split) -> Tensor:
        """What the net answers, in evaluation mode, to a batch of the first training example."""
        was_training = self.training
        self.eval()
        output = self.net(split.train[0][:1].to(self.device))
        self.train(was_training)
        return output

    def single_scores(self, output: Tensor, target: Tensor) -> Tensor | None:
        """The score of each example, (n,), whose mean is that of all of them; None of one that no example has alone.

        From them comes the error of the score through the choice of the test examples.

        Args:
            output, target: of all examples together.
        """
        return None

    def target(self, x: Tensor, y: Tensor) -> Tensor:
        """What the output for x is compared with."""
        return y

    @classmethod
    def learned_from(cls, train: Examples) -> Examples:
        """What simple methods learn from: the training examples, or 100,000 of them drawn at random.

        These are always the same, with one of each class among them. Where examples follow one another, all are taken.
        """
        x, y = train
        if cls.in_time or len(x) <= MOST_LEARNED:
            return train
        rows = random_state(0).permutation(len(x))
        if not y.is_floating_point() and y.ndim == 1:
            _, first = np.unique(y.numpy(), return_index=True)
            rows = np.concatenate([first, rows[~np.isin(rows, first)]])
        drawn = torch.from_numpy(rows[:MOST_LEARNED].copy())
        return x[drawn], y[drawn]

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        """What simple methods reach on `held_out`: `{name: {"loss": ..., score_name: ..., SINGLE: (n,)}}`.

        A method without probabilities has no loss; a score that no single example has leaves SINGLE out.

        Args:
            model: the parameters of the net that they are compared with, such as its bottleneck.
        """
        raise NotImplementedError

    def gradient_losses(
        self, net: nn.Module, x: Tensor, y: Tensor
    ) -> dict[str, tuple[list[nn.Module], Tensor]]:
        """The parts of `net` whose gradient flow is followed: hidden layers, and the loss that they lower.

        One part without a name, unless several networks are trained against each other.
        """
        return {"": (list(net.get_submodule("layers").children()), self.loss(net(x), self.target(x, y)))}

    def artifacts(self, split: Split) -> dict[str, Tensor | str]:
        """A few small tensors and texts that show what the trained net does, the same each time."""
        return {}

    def training_step(self, batch: Examples, batch_idx: int) -> Tensor:
        x, y = batch
        loss = self.loss(self.net(x), self.target(x, y))
        self.running_loss.add(loss, len(x))
        return loss

    @torch.no_grad()
    def validate(self, batches: Iterable[Examples]) -> dict[str, float]:
        """Loss and score over all examples, in evaluation mode, with the weights as they are now."""
        was_training = self.training
        self.eval()
        total, n = torch.zeros(2, dtype=torch.float64), 0
        for x, y in batches:
            x, y = x.to(self.device), y.to(self.device)
            output, target = self.net(x), self.target(x, y)
            both = self.loss(output, target), self.score(output, target)
            total += torch.stack([of.double() for of in both]).cpu() * len(x)
            n += len(x)
        self.train(was_training)
        loss, score = (total / n).tolist()
        return {"loss": loss, self.score_name: score}

    def more_scores(self, batches: Iterable[Examples]) -> dict[str, float]:
        """What is measured beside loss and score once training has ended: each epoch, it would take too long."""
        return {}

    def measure(self, batches: Iterable[Examples]) -> dict[str, float]:
        """Loss, score and whatever else there is to say of these examples."""
        return {**self.validate(batches), **self.more_scores(batches)}

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(self.net.parameters())
        schedulers = self.schedulers(optimizer)
        return [optimizer], [{"scheduler": scheduler, "interval": "step"} for scheduler in schedulers]

    def schedulers(self, *optimizers: Optimizer) -> list[LambdaLR]:
        """One for each optimizer; none where the learning rate stays as it is."""
        schedule, steps = self._schedule, self.trainer.estimated_stepping_batches
        if schedule is None:
            return []
        return [LambdaLR(optimizer, lambda step, of=schedule: of(step / steps)) for optimizer in optimizers]


class RunningMean:
    """The mean over the examples of an epoch. Added up at its end: each step, a small network would feel it."""

    def __init__(self) -> None:
        self._means: list[Tensor] = []
        self._counts: list[int] = []

    def add(self, mean: Tensor, n: int) -> None:
        """The mean, a scalar, over the next n examples."""
        self._means.append(mean.detach())
        self._counts.append(n)

    def take(self) -> float:
        """The mean over all, and a fresh start."""
        means, counts = torch.stack(self._means).double().cpu(), torch.tensor(self._counts).double()
        self._means, self._counts = [], []
        return float(means @ counts / counts.sum())
