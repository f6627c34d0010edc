"""What every task has in common: a net, an optimizer, a schedule, a loss and a score."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from howdeep.data.examples import Examples, Split

Scores = dict[str, dict[str, float]]


class Task(LightningModule):
    """A net that learns to map x to its target by gradient descent on `loss`, and is judged by `score`.

    A new task says its `loss`, its `score` and its `baselines`; one that trains otherwise (an adversarial
    game, say) overrides the steps and `measure` as well.

    Args:
        net: maps x of shape (batch, *in_shape) to the output that `loss` and `score` understand.
        optimizer: given the parameters, returns the optimizer.
        schedule: maps the progress of training, from 0 to 1, to a factor of the learning rate.
    """

    score_name: ClassVar[str]
    higher_is_better: ClassVar[bool]
    expects: ClassVar[str] = "out_features"  # the parameter by which models are known that learn the task

    def __init__(
        self,
        *,
        net: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        schedule: Callable[[float], float],
    ) -> None:
        super().__init__()
        self.net = net
        self._optimizer = optimizer
        self._schedule = schedule
        self._running = RunningMean()

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar that training lowers."""
        raise NotImplementedError

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean score of a batch, a scalar that people compare."""
        raise NotImplementedError

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

    def target(self, x: Tensor, y: Tensor) -> Tensor:
        """What the output for x is compared with."""
        return y

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        """What simple methods reach on `held_out`: `{name: {"loss": ..., score_name: ...}}`.

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
        self.add_to_running_loss(loss, len(x))
        return loss

    def add_to_running_loss(self, loss: Tensor, n: int) -> None:
        """Logs the mean over an epoch as `train/loss`; each step would cost a small network more than the step."""
        self._running.add(loss, n)
        if self.trainer.is_last_batch:
            self.log("train/loss", self._running.take(), on_step=False, on_epoch=True, batch_size=1)

    def validation_step(self, batch: Examples, batch_idx: int) -> None:
        x, y = batch
        output, target = self.net(x), self.target(x, y)
        values = {"val/loss": self.loss(output, target), f"val/{self.score_name}": self.score(output, target)}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(x))

    @torch.no_grad()
    def measure(self, batches: Iterable[Examples]) -> dict[str, float]:
        """Loss and score over all examples, in evaluation mode, with the weights as they are now."""
        was_training = self.training
        self.eval()
        total, n = torch.zeros(2, dtype=torch.float64), 0
        for x, y in batches:
            x, y = x.to(self.device), y.to(self.device)
            output, target = self.net(x), self.target(x, y)
            total += torch.stack(
                [self.loss(output, target), self.score(output, target)]
            ).double().cpu() * len(x)
            n += len(x)
        self.train(was_training)
        loss, score = (total / n).tolist()
        return {"loss": loss, self.score_name: score}

    def configure_optimizers(self) -> Any:
        optimizer = self._optimizer(self.net.parameters())
        steps = self.trainer.estimated_stepping_batches
        scheduler = LambdaLR(optimizer, lambda step: self._schedule(step / steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class RunningMean:
    """The mean over the examples of an epoch, added up on the device: reading it each step would wait for it."""

    def __init__(self) -> None:
        self._total: Tensor | float = 0.0
        self._n = 0

    def add(self, mean: Tensor, n: int) -> None:
        self._total = self._total + mean.detach() * n
        self._n += n

    def take(self) -> Tensor | float:
        """The mean, and a fresh start."""
        mean = self._total / self._n
        self._total, self._n = 0.0, 0
        return mean
