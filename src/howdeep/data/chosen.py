"""Examples chosen by their places among others that are too large to be copied."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from howdeep.files.tensors import LARGE

AT_ONCE = 1 << 16  # rows


def chosen(x: Tensor, rows: Tensor) -> Tensor:
    """x[rows]: of large examples `Chosen`, which stands in for it; else a copy.

    Args:
        x: (n, ...).
        rows: (chosen,) int64.
    """
    if rows.numel() * x[:1].nbytes < LARGE:
        return x[rows]
    return cast(Tensor, Chosen(x, rows, torch.device("cpu")))


class Chosen:
    """Rows of a tensor, mostly one with a memory map behind it, that are copied when somebody asks for some of them.

    It has what batches, and whoever looks at a few examples, ask of a tensor: a length, a shape, a type, a device,
    slices and `index_select`. What is small comes as a tensor. Everything else that a tensor can do is done with a copy
    of all rows.

    Args:
        x: (n, ...), in the computer's memory.
        rows: (chosen,) int64.
        device: where copies go.
    """

    def __init__(self, x: Tensor, rows: Tensor, device: torch.device) -> None:
        self._x, self._rows, self.device = x, rows, device
        self.dtype, self.ndim, self.shape = x.dtype, x.ndim, torch.Size((len(rows), *x.shape[1:]))

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> Any:
        """The rows of a slice or of a tensor of places, as those of a tensor; with several keys, of a copy."""
        if not isinstance(key, slice | Tensor):
            return self.whole()[key]
        found = chosen(self._x, self._rows[key.to(self._rows.device) if isinstance(key, Tensor) else key])
        return found.to(self.device)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """A copy of the rows at these places, (n,) -> (n, ...)."""
        if dim != 0:
            return self.whole().index_select(dim, index)
        places = self._rows.index_select(0, index.to(self._rows.device))
        return self._x.index_select(0, places).to(self.device)

    def to(self, device: torch.device | str) -> "Chosen":
        """The same, whose copies go to another device."""
        return Chosen(self._x, self._rows, torch.device(device))

    def amin(self, dim: int, keepdim: bool = False) -> Tensor:
        """The lowest of each number of an example, over all of them."""
        if dim != 0:
            return self.whole().amin(dim, keepdim)
        parts = [self._x[rows].amin(0, keepdim=True) for rows in self._rows.split(AT_ONCE)]
        return torch.cat(parts).amin(0, keepdim=keepdim).to(self.device)

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def whole(self) -> Tensor:
        """A copy of all rows."""
        return self._x[self._rows].to(self.device)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.whole(), name)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        _types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """A function of torch is given a copy."""
        return func(*map(_copied, args), **{name: _copied(of) for name, of in (kwargs or {}).items()})


def _copied(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_copied, value))
    return value.whole() if isinstance(value, Chosen) else value
