"""Minibatches of examples that are in memory."""

import math
from collections.abc import Iterator
from itertools import islice, repeat

import numpy as np
import torch
from torch import Tensor

from howdeep.data.examples import Examples
from howdeep.errors import UserError


class Batches:
    """Iterates over minibatches (x, y), in order or, with a seed, in an order that each epoch shuffles anew.

    It stands in for torch's DataLoader, whose collating, example by example, costs small networks more time
    than their training. The order is a function of (seed, epoch) alone: what was drawn before, or in another
    run, changes nothing, so that a resumed training sees the same batches. Tensors stay on their device.

    Args:
        examples: x (n, ...) and y (n, ...).
        batch_size: examples a batch; the last batch has what is left.
        seed: None for the order of the examples.
        steps: batches an epoch; None: as many as show each example once. Where they are more, all examples come once,
            in an order of their own each time, before any comes again.

    Raises:
        UserError: no examples, or a batch size that is no whole number of at least 1.
    """

    def __init__(
        self, examples: Examples, *, batch_size: int, seed: int | None = None, steps: int | None = None
    ) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise UserError(f"batch_size must be a whole number of at least 1, got {batch_size!r}")
        self.x, self.y = examples
        if len(self.x) == 0:
            raise UserError("expected at least one example, got none: choose another split of the data")
        self.batch_size = batch_size
        self.seed = seed
        self.steps = math.ceil(len(self.x) / batch_size) if steps is None else steps
        self.epoch = 0

    batch_sampler = None  # Lightning asks for it wherever it finds a sampler

    @property
    def sampler(self) -> "Batches":
        """Where Lightning looks for `set_epoch`, which it calls at the start of each epoch."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order comes next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for indices in islice(self._batches(), self.steps):  # (batch,)
            yield self.x.index_select(0, indices), self.y.index_select(0, indices)

    def _batches(self) -> Iterator[Tensor]:
        draw = self._orders()
        while True:
            yield from next(draw).to(self.x.device).split(self.batch_size)

    def _orders(self) -> Iterator[Tensor]:
        """Permutations of the examples, (n,) each."""
        if self.seed is None:
            yield from repeat(torch.arange(len(self.x)))
            return
        # seed + epoch would give seed 0 in epoch 1 the order of seed 1 in epoch 0: mix them instead.
        mixed = np.random.SeedSequence([self.seed, self.epoch]).generate_state(1)
        generator = torch.Generator().manual_seed(int(mixed[0]))
        while True:
            yield torch.randperm(len(self.x), generator=generator)
