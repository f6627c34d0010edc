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
        seed_everything(self.seed, trainer.current_epoch + 1)  # 0 is the initialisation's
