"""Where a killed run goes on: a Lightning checkpoint at the end of an epoch."""

import time
from pathlib import Path

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from howdeep.errors import UserError


class ResumePoint(Checkpoint):
    """Writes a checkpoint at the end of an epoch, if the last one is `seconds` old, aside and then renamed.

    As a `Checkpoint` it runs after all other callbacks, so that it holds what they know of this epoch.

    Args:
        path: the file; deleted by who runs the training, once its result is safe.
        identity: what the run is, e.g. `{"key": ..., "model": ..., "depth": ...}`; `check` compares it.
        seconds: training time that a kill may cost at most.
    """

    def __init__(self, path: Path, identity: dict, seconds: float) -> None:
        self.path = path
        self.identity = identity
        self.seconds = seconds
        self._saved = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run that is about to end is not saved: resumed from there it would train one epoch too many.
        last = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if last or time.monotonic() - self._saved < self.seconds:
            return
        aside = self.path.with_suffix(".tmp")
        trainer.save_checkpoint(aside)
        aside.replace(self.path)
        self._saved = time.monotonic()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict) -> None:
        checkpoint["howdeep"] = self.identity


def check(path: Path, identity: dict) -> None:
    """Refuses a checkpoint that is no file of ours or was written by another run.

    Raises:
        UserError: what the checkpoint holds and what this run is.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=False)["howdeep"]
    except FileNotFoundError:
        raise UserError(f"expected a checkpoint at {path}, found no such file: check `resume`") from None
    except Exception as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise UserError(
            f"{path} is not a readable howdeep checkpoint ({reason}): delete it or name another"
        ) from None
    differ = [name for name in identity if found.get(name) != identity[name]]
    if differ:
        theirs, ours = ({name: of.get(name) for name in differ} for of in (found, identity))
        raise UserError(
            f"the checkpoint {path} is of another run: expected {ours}, found {theirs}; name its own run"
        )
