"""A training as one would write it by hand: tensors in memory, a loop over batches, nothing else.

The yardstick of `loops`: the same net, optimizer, batches and validation as howdeep's, without anything that
howdeep adds (diagnostics, best weights, checkpoints, tracking). It takes the same random numbers in the same order,
so that it ends with the same parameters, bit for bit: tests/benchmarks holds that.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn import functional

from howdeep.data.examples import Examples, Split
from howdeep.tasks.generation import judge_of
from howdeep.training.seeding import epoch_seed, seed_everything

VALIDATION_BATCH = 1024
Losses = list[tuple[float, float]]  # of each epoch, the running training loss and the validation loss


def train(cfg: DictConfig, split: Split) -> tuple[nn.Module, Losses]:
    """Trains the network of a config of `howdeep train`; not of language modelling."""
    torch.set_num_threads(1)
    loop = {
        "Classification": classify,
        "Forecasting": forecast,
        "Reconstruction": reconstruct,
        "Generation": generate,
    }
    return loop[cfg.task._target_.rpartition(".")[2]](cfg, split)


def classify(cfg: DictConfig, split: Split) -> tuple[nn.Module, Losses]:
    def validate(net: nn.Module) -> float:
        loss, right = 0.0, 0
        for x, y in _in_order(split.validation):
            logits = net(x)
            loss += float(functional.cross_entropy(logits, y)) * len(x)
            right += int((logits.argmax(1) == y).sum())
        return loss / len(split.validation[0])

    return _descend(cfg, split, lambda net, x, y: functional.cross_entropy(net(x), y), validate)


def forecast(cfg: DictConfig, split: Split) -> tuple[nn.Module, Losses]:
    def validate(net: nn.Module) -> float:
        loss, away = 0.0, 0.0
        for x, y in _in_order(split.validation):
            forecasts = net(x)
            loss += float(functional.mse_loss(forecasts, y)) * len(x)
            away += float((forecasts - y).abs().mean()) * len(x)
        return loss / len(split.validation[0])

    return _descend(cfg, split, lambda net, x, y: functional.mse_loss(net(x), y), validate)


def reconstruct(cfg: DictConfig, split: Split) -> tuple[nn.Module, Losses]:
    unseen = split.validation[0]
    variance = (unseen - unseen.mean(0)).square().sum()

    def validate(net: nn.Module) -> float:
        error = sum(float((net(x) - x).square().sum()) for x, _ in _in_order(split.validation))
        _ = error / variance  # the score
        return error / unseen.numel()

    return _descend(cfg, split, lambda net, x, y: functional.mse_loss(net(x), x), validate)


def _descend(
    cfg: DictConfig,
    split: Split,
    loss_of: Callable[[nn.Module, Tensor, Tensor], Tensor],
    validate: Callable[[nn.Module], float],
) -> tuple[nn.Module, Losses]:
    seed_everything(cfg.seed, 0)
    net = instantiate(cfg.model)
    optimizer = instantiate(cfg.optimizer)(net.parameters())
    losses: Losses = []
    for epoch in range(cfg.trainer.max_epochs):
        torch.default_generator.manual_seed(epoch_seed(cfg.seed, epoch))
        net.train()
        total = torch.zeros(())
        for x, y in _shuffled(split.train, cfg.batch_size, cfg.seed, epoch):
            loss = loss_of(net, x, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(x)
        net.eval()
        with torch.no_grad():
            losses.append((float(total) / len(split.train[0]), validate(net)))
    return net, losses


def generate(cfg: DictConfig, split: Split) -> tuple[nn.Module, Losses]:
    """Discriminator and generator in turns; judged once an epoch, as howdeep does (the judge itself is given)."""
    judge = judge_of(split.train)
    seed_everything(cfg.seed, 0)
    net = instantiate(cfg.model)
    generator, discriminator = net.generator, net.discriminator
    of_generator, of_discriminator = list(generator.parameters()), list(discriminator.parameters())
    by_generator, by_discriminator = (
        instantiate(cfg.optimizer)(own) for own in (of_generator, of_discriminator)
    )
    unseen, losses = split.validation[0], []
    for epoch in range(cfg.trainer.max_epochs):
        torch.default_generator.manual_seed(epoch_seed(cfg.seed, epoch))
        net.train()
        total = torch.zeros(())
        for x, _ in _shuffled(split.train, cfg.batch_size, cfg.seed, epoch):
            fake = generator(torch.randn(len(x), net.latent))
            real_logits, fake_logits = discriminator(torch.cat([x, fake.detach()])).split(len(x))
            lost = functional.softplus(-real_logits).mean() + functional.softplus(fake_logits).mean()
            by_discriminator.zero_grad()
            lost.backward(inputs=of_discriminator)
            by_discriminator.step()
            fooled = functional.softplus(-discriminator(fake)).mean()
            by_generator.zero_grad()
            fooled.backward(inputs=of_generator)
            by_generator.step()
            total += (lost + fooled).detach() * len(x)
        net.eval()
        with torch.no_grad():
            kid = judge.distance(unseen, generator(net.fixed_noise(len(unseen))))
        losses.append((float(total) / len(split.train[0]), kid))
    return net, losses


def _shuffled(examples: Examples, batch_size: int, seed: int, epoch: int) -> Iterator[Examples]:
    x, y = examples
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    for rows in torch.randperm(len(x), generator=torch.Generator().manual_seed(mixed)).split(batch_size):
        yield x.index_select(0, rows), y.index_select(0, rows)


def _in_order(examples: Examples) -> Iterator[Examples]:
    x, y = examples
    yield from zip(x.split(VALIDATION_BATCH), y.split(VALIDATION_BATCH), strict=True)
