"""What a person sees while something trains: a bar with an ETA at a terminal, quiet lines otherwise."""

import sys

from pytorch_lightning import Callback, LightningModule, Trainer
from tqdm import tqdm

tqdm.monitor_interval = 0  # its thread would make the process unsafe to fork


class EpochBar(Callback):
    """A bar over epochs with the newest losses."""

    _bar: tqdm | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar = tqdm(
            total=trainer.max_epochs, initial=trainer.current_epoch, unit="epoch", disable=None, leave=False
        )

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self._bar is not None
        if not self._bar.disable:
            losses = {
                name: f"{float(trainer.callback_metrics[name]):.4g}" for name in ("train/loss", "val/loss")
            }
            self._bar.set_postfix(losses, refresh=False)
            self._bar.update()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._bar is not None:
            self._bar.close()


def say(line: str) -> None:
    """One line for a person, beside a bar that may be drawn."""
    tqdm.write(line, file=sys.stderr)


def summary(record: dict, seconds: float) -> str:
    """A run in one line."""
    matching, config = record["matching"], record["config"]
    solved = "" if matching == "width" else f" and width {config['model']['width']}, equal {matching},"
    who = f"{record['model']} depth {record['depth']}{solved} on {record['data']}, seed {record['seed']}"
    if record["state"] != "finished":
        return f"{who}: {record['state']}, {record['reason']} ({seconds:.1f} s)"
    score = record["score"]["name"]
    best = next(row for row in record["epochs"] if row["epoch"] == record["best_epoch"])
    return (
        f"{who}: val loss {best['val/loss']:.4g}, val {score} {best[f'val/{score}']:.4g} in epoch "
        f"{record['best_epoch'] + 1} of {len(record['epochs'])}; overfitting gap {record['gap']['best']['loss']:+.3g} "
        f"({seconds:.1f} s)"
    )
