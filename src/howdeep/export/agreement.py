"""Whether an exported file says what the network says."""

import math
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from howdeep.errors import UserError
from howdeep.export.inputs import Inputs
from howdeep.export.refusals import refusing

BATCHES = (1, 2, 7)
TOLERANCE = 1e-5


class Loaded(NamedTuple):
    """An exported file as it is used: what it makes of a batch, and what its writer noted in it."""

    net: Callable[[Tensor], Tensor]
    metadata: dict[str, str]


@torch.no_grad()
def check(net: Callable[[Tensor], Tensor], exported: Callable[[Tensor], Tensor], inputs: Inputs) -> None:
    """Compares both on batches of 1, 2 and 7 drawn examples, of several lengths where the length varies.

    They agree if no number of a batch differs by more than 1e-5 times max(1, the largest output of that batch): sums
    of float32 in another order differ by parts of their largest terms, not of their result.

    Raises:
        UserError: where they differ, or an output of the network that is no finite number.
    """
    for n, length in product(BATCHES, inputs.lengths()):
        x = inputs.draw(n, length)
        batch = f"a batch of {n}" + (f" and length {length}" if length else "")
        expected = net(x)
        if not expected.isfinite().all():
            raise UserError(
                f"the network's outputs are not finite on {batch} of standard normal examples: "
                "a diverged run cannot be exported, choose another one"
            )
        with refusing(f"the exported file does not read {batch}", "it is not written; choose another format"):
            got = exported(x)
        _compare(expected, got, batch)


def _compare(expected: Tensor, got: Tensor, batch: str) -> None:
    if got.shape != expected.shape:
        raise UserError(
            f"the exported file makes {tuple(got.shape)} of {batch}, expected {tuple(expected.shape)}: "
            "it is not written; choose another format"
        )
    difference = (got - expected).abs().max().item()
    allowed = TOLERANCE * max(1.0, expected.abs().max().item())
    if math.isnan(difference) or difference > allowed:
        raise UserError(
            f"the exported file differs from the network by {difference:.2g} on {batch}, "
            f"expected at most {allowed:.2g}: it is not written; choose another format"
        )
