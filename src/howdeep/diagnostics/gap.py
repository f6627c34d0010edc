"""The overfitting gap: how much worse a network does on examples that it has not seen."""

from collections.abc import Iterable

from pytorch_lightning import Callback, LightningModule, Trainer

from howdeep.data.examples import Examples
from howdeep.diagnostics.due import due
from howdeep.diagnostics.history import History
from howdeep.tasks.task import Task


def overfitting_gap(
    task: Task, row: dict[str, float], *, train: Iterable[Examples], val: Iterable[Examples]
) -> dict[str, float]:
    """Validation minus training loss, and the same for the score, both in evaluation mode with the same weights.

    Args:
        task: with the weights that its net had at the end of an epoch.
        row: that epoch's, in the history; what it holds is not measured again.
        train, val: the examples that `OverfittingGap` and `History` have measured.

    Returns:
        `{"loss": ..., "<score>": ..., "train_loss": ..., "train_<score>": ...}`; for a score of which more
        is better, overfitting makes the gap negative.
    """
    found = {name.removeprefix("gap/"): value for name, value in row.items() if name.startswith("gap/")}
    if not found:
        found = _gap(task.validate(train), row)
    return {**found, **_difference(task.more_scores(train), task.more_scores(val))}


def _gap(seen: dict[str, float], row: dict[str, float]) -> dict[str, float]:
    return _difference(seen, {name: row[f"val/{name}"] for name in seen})


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
            gap = _gap(pl_module.validate(self.train), self.history.epochs[-1])
            self.history.add(trainer.current_epoch, {f"gap/{name}": value for name, value in gap.items()})
