"""The usual way of using Lightning: DataLoaders, a log a step, a progress bar.

The other yardstick of `loops`: what a network costs that is trained as Lightning's introduction shows it.
"""

import contextlib
import os
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from howdeep.data.examples import Split
from howdeep.tasks.generation import judge_of
from howdeep.training.seeding import seed_everything

VALIDATION_BATCH = 1024


class Classifier(pl.LightningModule):
    def __init__(self, net: nn.Module, optimizer: Any) -> None:
        super().__init__()
        self.net, self.optimizer = net, optimizer

    def configure_optimizers(self) -> Any:
        return self.optimizer(self.parameters())

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        loss = functional.cross_entropy(self.net(x), y)
        self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        logits = self.net(x)
        self.log("val_loss", functional.cross_entropy(logits, y), prog_bar=True)
        self.log("val_accuracy", (logits.argmax(1) == y).float().mean())


class Autoencoder(Classifier):
    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, _ = batch
        loss = functional.mse_loss(self.net(x), x)
        self.log("train_loss", loss, prog_bar=True, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, _ = batch
        loss = functional.mse_loss(self.net(x), x)
        self.log("val_loss", loss, prog_bar=True)
        self.log("val_mse_ratio", loss / x.var(0, unbiased=False).mean())


class Gan(Classifier):
    """As the others, with a judge that is given: Lightning's way is manual optimization."""

    def __init__(self, net: nn.Module, optimizer: Any, judge: Any) -> None:
        super().__init__(net, optimizer)
        self.judge, self.automatic_optimization = judge, False

    def configure_optimizers(self) -> Any:
        net: Any = self.net
        return [self.optimizer(part.parameters()) for part in (net.generator, net.discriminator)]

    def training_step(self, batch: Any, batch_idx: int) -> None:  # type: ignore[override]
        (x, _), net = batch, self.net
        by_generator, by_discriminator = self.optimizers()  # type: ignore[misc]
        fake = net.generator(torch.randn(len(x), net.latent))  # type: ignore[operator,arg-type]
        self.toggle_optimizer(by_discriminator)
        real, made = net.discriminator(torch.cat([x, fake.detach()])).split(len(x))  # type: ignore[operator]
        lost = functional.softplus(-real).mean() + functional.softplus(made).mean()
        by_discriminator.zero_grad()
        self.manual_backward(lost)
        by_discriminator.step()
        self.untoggle_optimizer(by_discriminator)
        self.toggle_optimizer(by_generator)
        fooled = functional.softplus(-net.discriminator(fake)).mean()  # type: ignore[operator]
        by_generator.zero_grad()
        self.manual_backward(fooled)
        by_generator.step()
        self.untoggle_optimizer(by_generator)
        self.log_dict({"d_loss": lost, "g_loss": fooled}, prog_bar=True)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        (x, _), net = batch, self.net
        kid = self.judge.distance(x, net.generator(net.fixed_noise(len(x))))  # type: ignore[operator]
        self.log("val_kid", kid)


def train(cfg: DictConfig, split: Split, folder: Path) -> nn.Module:
    """Trains the network of a config of `howdeep train`; `folder` takes Lightning's checkpoints and its log."""
    seed_everything(cfg.seed, 0)
    kind = cfg.task._target_.rpartition(".")[2]
    judged = [judge_of(split.train)] if kind == "Generation" else []
    module = {"Classification": Classifier, "Reconstruction": Autoencoder, "Generation": Gan}[kind]
    train_set, val_set = (TensorDataset(*examples) for examples in (split.train, split.validation))
    task = module(instantiate(cfg.model), instantiate(cfg.optimizer), *judged)
    with (
        open(os.devnull, "w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(
            action="ignore"
        ),  # Lightning would rather have workers: for these sizes they lose
    ):
        trainer = pl.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=cfg.trainer.max_epochs,
            default_root_dir=folder,
            logger=False,
        )
        trainer.fit(
            task,
            DataLoader(train_set, batch_size=cfg.batch_size, shuffle=True),
            DataLoader(val_set, batch_size=VALIDATION_BATCH),
        )
    return task.net
