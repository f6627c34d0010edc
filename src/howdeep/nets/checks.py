"""Refuses what no network can be built from: one function for each kind of mistake.

Each takes the parameters by name, as in `whole(depth=depth, width=width)`, and says in one line which of them
is wrong, what was expected and what came.
"""

import math
from collections.abc import Iterable, Sequence

from howdeep.errors import UserError, near


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(**parameters: object) -> None:
    """Raises `UserError` unless each is a whole number of at least 1."""
    for name, value in parameters.items():
        if not _is_whole(value):
            raise UserError(f"{name} must be a whole number of at least 1, got {value!r}")


def fraction(**parameters: object) -> None:
    """Raises `UserError` unless each is a number p with 0 <= p < 1."""
    for name, value in parameters.items():
        if not (_is_number(value) and 0 <= value < 1):  # type: ignore[operator]
            raise UserError(f"{name} must be a number from 0 to below 1, got {value!r}")


def number(**parameters: object) -> None:
    """Raises `UserError` unless each is a finite number."""
    for name, value in parameters.items():
        if not _is_number(value):
            raise UserError(f"{name} must be a finite number, got {value!r}")


def flag(**parameters: object) -> None:
    """Raises `UserError` unless each is true or false."""
    for name, value in parameters.items():
        if not isinstance(value, bool):
            raise UserError(f"{name} must be true or false, got {value!r}")


def choice(known: Iterable[str], **parameters: object) -> None:
    """Raises `UserError` with a near match unless each is one of `known`."""
    names = list(known)
    for name, value in parameters.items():
        if not isinstance(value, str) or value not in names:
            raise UserError(f"unknown {name} {value!r}{near(value, names)}")


def shape(in_shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of one example as a tuple; raises `UserError` unless it lists whole numbers above 0."""
    is_list = isinstance(in_shape, Sequence) and not isinstance(in_shape, str)
    if not (is_list and len(in_shape) and all(map(_is_whole, in_shape))):
        raise UserError(f"in_shape must be a list of whole numbers such as [1, 8, 8], got {in_shape!r}")
    return tuple(in_shape)
