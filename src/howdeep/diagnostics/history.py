"""The rows of a run: what was measured in each epoch."""

from collections.abc import Iterable

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from howdeep.data.examples import Examples
from howdeep.tasks.task import Task


class Diverged(Exception):
    """A loss is no longer a finite number of single precision, as weights are: the run has failed. A result, not a bug.

    Some losses are added up in double precision. What lies beyond the range of single precision there is no result
    either: another network of this run, or one more example, would be infinite.
    """


class History(Callback):
    """Validates after each epoch, keeps one row an epoch, and ends a run whose loss is no longer finite.

    A row holds `train/loss`, the mean over the epoch's steps, and `val/loss` and `val/<score>`; diagnostics add
    theirs. The rows travel in Lightning's checkpoints, so that a resumed run has them all.

    Here rather than in Lightning's own loop over validation batches, which takes a small network longer than
    the validation.

    Args:
        validation: batches of the validation examples.
    """

    def __init__(self, validation: Iterable[Examples]) -> None:
        self.validation = validation
        self.epochs: list[dict[str, float]] = []
        self.gradient_flow: list[dict[str, float | str]] = []

    def add(self, epoch: int, values: dict[str, float]) -> None:
        """Adds `values` to the row of `epoch`, the newest one or the next."""
        if not self.epochs or self.epochs[-1]["epoch"] != epoch:
            self.epochs.append({"epoch": epoch})
        self.epochs[-1].update(values)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, Task)
        found = {"train/loss": pl_module.running_loss.take()}
        found |= {f"val/{name}": value for name, value in pl_module.validate(self.validation).items()}
        self.add(trainer.current_epoch, found)
        for name in ("train/loss", "val/loss"):
            if not torch.tensor(found[name]).isfinite():
                raise Diverged(f"{name} became {found[name]:.3g} in epoch {trainer.current_epoch}")
        # Where early stopping and other callbacks of Lightning look: the very numbers of the rows.
        trainer.callback_metrics.update(
            {name: torch.tensor(value, dtype=torch.float64) for name, value in found.items()}
        )

    def state_dict(self) -> dict:
        return {"epochs": self.epochs, "gradient_flow": self.gradient_flow}

    def load_state_dict(self, state_dict: dict) -> None:
        self.epochs = state_dict["epochs"]
        self.gradient_flow = state_dict["gradient_flow"]
