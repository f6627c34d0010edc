"""Sequence labelling: which symbol belongs to each step?"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from howdeep.data.examples import Examples, Split
from howdeep.errors import UserError
from howdeep.tasks.task import SINGLE, Scores, Task

BLANK = 0  # the symbol of a step at which nothing is to be said
NEVER = 1e-6  # the probability of a symbol that was never seen where it comes


class SequenceLabelling(Task):
    """Cross-entropy in nats, a mean over all steps, scored by accuracy at the steps whose target is not blank.

    The net gives logits at every step, (batch, time, symbols); y holds symbols, (batch, time), of which 0 is the blank:
    the symbol of all steps at which nothing is to be said. Answering it there is easy, and would hide in an accuracy
    over all steps whether the rest is right. The score of an example is the share of its other steps at which the
    largest logit is right.

    Baselines: "majority", the most frequent symbol of each step, with its frequencies (one count added to each symbol
    that comes there or at another such step) as probabilities; and "memoryless", which knows which steps are always the
    same and takes all symbols of the other steps for equally likely: of copying memory 10 ln 8 nats in all, and one
    right answer of eight.
    """

    score_name = "step_accuracy"
    higher_is_better = True

    def prepare(self, split: Split) -> None:
        """Raises `UserError` unless each sequence has something to be said, and the net an output for each symbol."""
        for part in (split.train, split.validation):
            _check_targets(part)
        output, symbols = self.first_output(split), int(split.train[1].max()) + 1
        if output.ndim == 3 and output.shape[2] < symbols:
            raise UserError(
                f"sequence labelling expects an output for each of the {symbols} symbols, got {output.shape[2]}: "
                f"set data.out_features={symbols}"
            )

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        _check(output, target)
        return functional.cross_entropy(output.flatten(0, 1), target.flatten())

    def score(self, output: Tensor, target: Tensor) -> Tensor:
        return self.single_scores(output, target).mean()

    def single_scores(self, output: Tensor, target: Tensor) -> Tensor:
        _check(output, target)
        return _share(output.argmax(2) == target, target)

    @classmethod
    def baselines(cls, train: Examples, held_out: Examples, model: Mapping[str, Any]) -> Scores:
        for part in (train, held_out):
            _check_targets(part)
        if (times := [part[1].shape[1] for part in (train, held_out)])[0] != times[1]:
            raise UserError(
                f"sequence labelling expects sequences of one length, got {times[0]} and {times[1]} steps"
            )
        y, y_held = train[1], held_out[1]
        symbols = int(torch.cat([y, y_held]).max()) + 1
        counts = functional.one_hot(y, symbols).sum(0).double()  # (time, symbols)
        likely = counts > 0
        varying = likely.sum(1) > 1  # (time,)
        likely[varying] = likely[varying].any(0)
        likely = likely.double()
        return {
            "majority": _scored(counts + likely, y_held, _share(counts.argmax(1) == y_held, y_held)),
            "memoryless": _scored(likely, y_held),
        }


def _scored(weights: Tensor, y: Tensor, single: Tensor | None = None) -> dict[str, Any]:
    """Loss and score of a method that gives each symbol a weight at each step, (time, symbols).

    Args:
        y: (n, time).
        single: the score of each example (n,); None of a guess, which is right as often as it says.
    """
    p = (weights / weights.sum(1, keepdim=True)).expand(len(y), -1, -1).gather(2, y[:, :, None]).squeeze(2)
    if single is None:
        single = _share(p, y)
    return {
        "loss": float(-p.clamp(min=NEVER).log().mean()),
        "step_accuracy": float(single.mean()),
        SINGLE: single,
    }


def _share(right: Tensor, target: Tensor) -> Tensor:
    """The mean of `right` over the steps of each example that are not blank, (n, time) -> (n,), in double precision."""
    counted = target != BLANK
    return (right.double() * counted).sum(1) / counted.sum(1)


def _check(output: Tensor, target: Tensor) -> None:
    """Raises `UserError` unless there are logits at each step."""
    if output.ndim != 3 or output.shape[:2] != target.shape:
        raise UserError(
            f"sequence labelling expects outputs (batch, time, symbols) and targets (batch, time), got "
            f"{tuple(output.shape)} and {tuple(target.shape)}: choose data=copying_memory, or another task"
        )


def _check_targets(examples: Examples) -> None:
    """Raises `UserError` unless each example has a symbol at each step, and one that is not blank."""
    x, y = examples
    if y.ndim != 2 or y.is_floating_point() or x.shape[:2] != y.shape:
        raise UserError(
            f"sequence labelling expects a symbol at each step of a sequence, got x {tuple(x.shape)} and y "
            f"{tuple(y.shape)}: choose data=copying_memory, or another task"
        )
    if bool((y == BLANK).all(1).any()):
        raise UserError(
            "sequence labelling expects a target that is not blank (0) in each sequence, got one without: "
            "leave it out, or number the symbols from 1"
        )
