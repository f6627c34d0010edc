"""The weights of the best epoch, kept in memory."""

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn


class BestWeights(Callback):
    """Copies the net's weights whenever the validation loss is lower than ever before.

    In memory, since most networks here train for a second and a file an epoch would cost more than the
    epoch; in Lightning's checkpoints too, so that a resumed run still knows its best epoch.
    """

    def __init__(self) -> None:
        self.loss = float("inf")
        self.epoch: int | None = None
        self.weights: dict[str, Tensor] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(trainer.callback_metrics["val/loss"])
        if loss < self.loss:
            self.loss, self.epoch = loss, trainer.current_epoch
            net = pl_module.net
            assert isinstance(net, nn.Module)
            weights = {name: w.detach() for name, w in net.state_dict().items()}
            if not self.weights:
                self.weights = {name: torch.empty_like(w) for name, w in weights.items()}
            for kept, w in zip(self.weights.values(), weights.values(), strict=True):
                kept.copy_(w)

    def state_dict(self) -> dict:
        return {"loss": self.loss, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state_dict: dict) -> None:
        self.loss, self.epoch = state_dict["loss"], state_dict["epoch"]
        self.weights = state_dict["weights"]
