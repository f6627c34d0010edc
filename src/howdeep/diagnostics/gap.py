"""The overfitting gap: how much worse a network does on examples that it has not seen."""

from collections.abc import Iterable

from pytorch_lightning import Callback, LightningModule, Trainer

from howdeep.data.examples import Examples
from howdeep.diagnostics.due import due
from howdeep.diagnostics.history import History
from howdeep.tasks.task import Task


def overfitting_gap(task: Task, train: Iterable[Examples], val: Iterable[Examples]) -> dict[str, float]:
    """Validation minus training loss, and the same for the score, both in evaluation mode with the same weights.

    Returns:
        `{"loss": ..., "<score>": ..., "train_loss": ..., "train_<score>": ...}`; for a score of which more
        is better, overfitting makes the gap negative.
    """
    return _difference(task.measure(train), task.measure(val))


def _difference(seen: dict[str, float], unseen: dict[str, float]) -> dict[str, float]:
    return {name: unseen[name] - seen[name] for name in seen} | {f"train_{name}": seen[name] for name in seen}


class OverfittingGap(Callback):
    """Adds `gap/*` to the history every `every` epochs and in the last: what it validated, less the same in training.

    Args:
        train: batches of fixed, un-augmented training examples; never the running training loss, which is
            measured while the weights move and with dropout on.
    """

    def __init__(self, history: History, *, train: Iterable[Examples], every: int) -> None:
        self.history, self.train, self.every = history, train, every

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if due(trainer, self.every):
            assert isinstance(pl_module, Task)
            seen, row = pl_module.validate(self.train), self.history.epochs[-1]
            gap = _difference(seen, {name: row[f"val/{name}"] for name in seen})
            self.history.add(trainer.current_epoch, {f"gap/{name}": value for name, value in gap.items()})
