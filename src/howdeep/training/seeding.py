"""Randomness as a pure function of (seed, epoch)."""

import random

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer


def seed_everything(*entropy: int) -> None:
    """Seeds Python, numpy and torch from a few integers; different integers give independent streams."""
    words = np.random.SeedSequence(entropy).generate_state(3)
    random.seed(int(words[0]))
    np.random.seed(int(words[1]))
    torch.manual_seed(int(words[2]))


class SeedEpochs(Callback):
    """Seeds every epoch from (seed, epoch), so that a resumed run draws the same dropout masks."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Not `torch.manual_seed`, which looks for every kind of device and takes as long as ten steps.
        seed = epoch_seed(self.seed, trainer.current_epoch)
        torch.default_generator.manual_seed(seed)
        if pl_module.device.type == "cuda":
            torch.cuda.manual_seed(seed)


def epoch_seed(seed: int, epoch: int) -> int:
    """The seed of torch in one epoch of a run; its initialisation has another."""
    return int(np.random.SeedSequence([seed, epoch + 1]).generate_state(1)[0])
