"""A training in parts: it stops after some epochs, and goes on from there if it is worth it; nothing is written."""

from dataclasses import dataclass
from typing import Any

from lightning_fabric.plugins.io.checkpoint_io import CheckpointIO
from omegaconf import DictConfig
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint

from howdeep.data.batches import Batches
from howdeep.data.examples import Examples, Split
from howdeep.diagnostics.history import Diverged, History
from howdeep.tasks.task import Task
from howdeep.training.run import EVALUATION_BATCH, batches_of, ready, trainer_of


@dataclass
class Trial:
    """A training that may be continued: the first epochs of the run of the same config, to the same numbers.

    Args:
        cfg: a composed `conf/train.yaml`, with the epochs of a whole run.
        split: the examples; the test part is not read.
    """

    cfg: DictConfig
    split: Split
    diverged: str | None = None  # why
    losses: tuple[float, ...] = ()  # of the validation examples, one an epoch
    _state: Any = None  # a checkpoint, where there is more to train
    _ready: tuple[Task, Examples, Examples] | None = (
        None  # kept as long: to build it takes as long as an epoch
    )

    @property
    def loss(self) -> float | None:
        """The lowest validation loss so far; None if the training diverged."""
        return None if self.diverged else min(self.losses)

    def train(self, epochs: int) -> None:
        """Trains until there have been so many epochs, or patience is out.

        Args:
            epochs: from the beginning; at most those of the config.

        Raises:
            UserError: a setting that cannot be trained.
        """
        done, whole = len(self.losses), self.cfg.trainer.max_epochs
        if self.diverged or epochs <= done or (done and self._state is None):
            return
        task, train_set, val_set = self._ready or ready(self.cfg, self.split)
        history = History(Batches(val_set, batch_size=EVALUATION_BATCH))
        memory = InMemory(self._state)
        pause = [Pause(epochs)] if epochs < whole else []
        trainer = trainer_of(self.cfg, memory, history, *pause)
        self._state = None
        try:
            trainer.fit(
                task,
                batches_of(self.cfg, train_set),
                ckpt_path=PLACE if done else None,
                weights_only=True,
            )
        except Diverged as reason:
            self.diverged = str(reason)
        else:
            self.losses = tuple(row["val/loss"] for row in history.epochs)
            self._state = memory.checkpoint if len(self.losses) == epochs < whole else None
        self._ready = (task, train_set, val_set) if self._state is not None else None


PLACE = "memory"


class InMemory(CheckpointIO):
    """A checkpoint that stays where it is: a trial takes no longer than it takes to write one to a disk."""

    def __init__(self, checkpoint: Any) -> None:
        self.checkpoint = checkpoint

    def save_checkpoint(self, checkpoint: Any, path: Any, storage_options: Any = None) -> None:
        self.checkpoint = checkpoint

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> Any:
        return self.checkpoint

    def remove_checkpoint(self, path: Any) -> None:
        self.checkpoint = None


class Pause(Checkpoint):
    """Ends a training after so many epochs, with a checkpoint of all that it needs to go on.

    As a `Checkpoint` it runs after all other callbacks.
    """

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch + 1 == self.epochs and not trainer.should_stop:
            trainer.save_checkpoint(PLACE)
            trainer.should_stop = True
