"""What every task has in common: a net, an optimizer, a schedule, a loss and a score."""

from collections.abc import Callable, Iterable
from typing import ClassVar

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Examples = tuple[Tensor, Tensor]


class Task(LightningModule):
    """A net that learns to map x to y by gradient descent on `loss`, and is judged by `score`.

    A new task says its `loss`, its `score` and its `baselines`; one that trains otherwise (an adversarial
    game, say) overrides the steps and `measure` as well.

    Args:
        net: maps x of shape (batch, *in_shape) to the output that `loss` and `score` understand.
        optimizer: given the parameters, returns the optimizer.
        schedule: maps the progress of training, from 0 to 1, to a factor of the learning rate.
    """

    score_name: ClassVar[str]
    higher_is_better: ClassVar[bool]

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

    def loss(self, output: Tensor, y: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar that training lowers."""
        raise NotImplementedError

    def score(self, output: Tensor, y: Tensor) -> Tensor:
        """The mean score of a batch, a scalar that people compare."""
        raise NotImplementedError

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples) -> dict[str, dict[str, float]]:
        """What simple methods reach on `held_out`: `{name: {"loss": ..., score_name: ...}}`."""
        raise NotImplementedError

    def training_step(self, batch: Examples, batch_idx: int) -> Tensor:
        x, y = batch
        loss = self.loss(self.net(x), y)
        self.log("train/loss", loss, on_step=False, on_epoch=True, batch_size=len(y))
        return loss

    def validation_step(self, batch: Examples, batch_idx: int) -> None:
        x, y = batch
        output = self.net(x)
        values = {"val/loss": self.loss(output, y), f"val/{self.score_name}": self.score(output, y)}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(y))

    @torch.no_grad()
    def measure(self, batches: Iterable[Examples]) -> dict[str, float]:
        """Loss and score over all examples, in evaluation mode, with the weights as they are now."""
        was_training = self.training
        self.eval()
        total, n = torch.zeros(2, dtype=torch.float64), 0
        for x, y in batches:
            output = self.net(x.to(self.device))
            y = y.to(self.device)
            total += torch.stack([self.loss(output, y), self.score(output, y)]).double().cpu() * len(y)
            n += len(y)
        self.train(was_training)
        loss, score = (total / n).tolist()
        return {"loss": loss, self.score_name: score}

    def configure_optimizers(self) -> dict:
        optimizer = self._optimizer(self.net.parameters())
        steps = self.trainer.estimated_stepping_batches
        scheduler = LambdaLR(optimizer, lambda step: self._schedule(step / steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
