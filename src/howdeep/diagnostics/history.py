"""The rows of a run: what was measured in each epoch."""

import math

from pytorch_lightning import Callback, LightningModule, Trainer


class Diverged(Exception):
    """A loss is no longer a finite number: the run has failed. A result, not a bug."""


class History(Callback):
    """Keeps one row an epoch, and ends a run whose loss is no longer finite.

    Training and validation metrics come from what the task logs; diagnostics add theirs. The rows travel in
    Lightning's checkpoints, so that a resumed run has them all.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.gradient_flow: list[dict[str, float | str]] = []

    def add(self, epoch: int, values: dict[str, float]) -> None:
        """Adds `values` to the row of `epoch`, the newest one or the next."""
        if not self.epochs or self.epochs[-1]["epoch"] != epoch:
            self.epochs.append({"epoch": epoch})
        self.epochs[-1].update(values)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        logged = {
            k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith(("train/", "val/"))
        }
        self.add(trainer.current_epoch, logged)
        for name in ("train/loss", "val/loss"):
            if not math.isfinite(logged[name]):
                raise Diverged(f"{name} became {logged[name]} in epoch {trainer.current_epoch}")

    def state_dict(self) -> dict:
        return {"epochs": self.epochs, "gradient_flow": self.gradient_flow}

    def load_state_dict(self, state_dict: dict) -> None:
        self.epochs = state_dict["epochs"]
        self.gradient_flow = state_dict["gradient_flow"]
