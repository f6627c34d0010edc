"""What a network reads, as far as an exported file must know it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from howdeep.errors import UserError
from howdeep.export.refusals import refusing

DTYPES = (torch.float32, torch.int64)  # numbers, and indices of characters


@dataclass(frozen=True)
class Inputs:
    """Batches of examples of one shape, whose first dimension may be a length that varies.

    Args:
        shape: of one example, without the batch.
        dtype: float32, or int64 for the indices of characters.
        indices: how many different indices there are; of no meaning for float32.
        longest: the greatest length that the network reads; `math.inf` if there is none, None if it reads a single
            length, that of `shape`.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    indices: int = 2
    longest: float | None = None

    def draw(self, n: int, length: int | None = None) -> Tensor:
        """(n, *shape) of another length if given: standard normal, as prepared data are, or uniform indices.

        The same ones each time.
        """
        shape = (n, *self.shape) if length is None else (n, length, *self.shape[1:])
        generator = torch.Generator().manual_seed(0)
        if self.dtype == torch.int64:
            return torch.randint(self.indices, shape, generator=generator)
        return torch.randn(shape, generator=generator)

    def lengths(self) -> Sequence[int | None]:
        """Lengths to try: one step, that of the data and another one; [None] if there is a single one."""
        if self.longest is None:
            return [None]
        here = self.shape[0]
        other = 2 * here + 1 if self.longest > here else here // 2
        return sorted({1, here, max(1, other)})


def of(net: nn.Module, in_shape: tuple[int, ...], dtype: torch.dtype) -> Inputs:
    """What a net in evaluation mode reads: lengths are tried, since no option of a net names them.

    Raises:
        UserError: a type that networks do not read, or examples that this one does not read.
    """
    if dtype not in DTYPES:
        raise UserError(
            f"a network that reads {dtype} cannot be exported: expected float32, or int64 for characters"
        )
    embeddings = (part.num_embeddings for part in net.modules() if isinstance(part, nn.Embedding))
    inputs = Inputs(in_shape, dtype, indices=next(embeddings, 2))
    with refusing(
        f"the network does not read examples of shape {in_shape}", "give the data set that it was trained on"
    ):
        _run(net, inputs.draw(2))
    return replace(inputs, longest=_longest(net, inputs))


def _longest(net: nn.Module, inputs: Inputs) -> float | None:
    length = inputs.shape[0]
    if _reads(net, inputs.draw(2, length + 1)):
        return math.inf
    return float(length) if length > 1 and _reads(net, inputs.draw(2, length - 1)) else None


def _reads(net: nn.Module, x: Tensor) -> bool:
    try:
        _run(net, x)
    except Exception:  # a matrix of another size, too few positions, whatever the net checks
        return False
    return True


@torch.no_grad()
def _run(net: Callable[[Tensor], Any], x: Tensor) -> None:
    net(x)
