"""What data sets that are drawn rather than fetched have in common: the checks of their options, and distinct words."""

from collections.abc import Callable, Sequence

import numpy as np

from howdeep.errors import UserError

VAIN = 20  # rounds of draws without a new word, after which there is none left to be found


def whole(least: int, **options: object) -> None:
    """Raises `UserError` unless each option of `prepare` is a whole number of at least `least`."""
    for name, value in options.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise UserError(f"data.prepare.{name} must be a whole number of at least {least}, got {value!r}")


def above_0(**options: object) -> None:
    """Raises `UserError` unless each option of `prepare` is a finite number above 0."""
    for name, value in options.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < np.inf:
            raise UserError(f"data.prepare.{name} must be a number above 0, got {value!r}")


def lengths(name: str, value: object, *, steps: int, even: bool = False) -> range:
    """The lengths of words from the shortest to the longest that an option of `prepare` lists.

    Args:
        name: of the option.
        value: `[shortest, longest]`.
        steps: the most that an example has room for.
        even: whether lengths are even, and only those count.

    Raises:
        UserError: another value.
    """
    least = 2 if even else 1
    ends = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    if (
        len(ends) != 2
        or any(not isinstance(end, int) or isinstance(end, bool) or (even and end % 2) for end in ends)
        or not least <= ends[0] <= ends[1] <= steps
    ):
        raise UserError(
            f"data.prepare.{name} must list the {'even ' if even else ''}lengths of the shortest and of the longest "
            f"word, from {least} to the {steps} of data.steps, as in [{least}, {steps - steps % least}], got {value!r}"
        )
    return range(ends[0], ends[1] + 1, least)


def distinct(draw: Callable[[int], np.ndarray], n: int, seen: set[bytes]) -> np.ndarray:
    """The first n words that differ from each other and from those seen, (n, ...).

    Args:
        draw: of a number of words, (number, ...).
        n: how many.
        seen: the words that are there already, as bytes; those that were found are added.

    Raises:
        UserError: so many were not found.
    """
    found: list[np.ndarray] = []
    vain = 0
    while len(found) < n and vain < VAIN:
        before = len(found)
        for word in draw(n):
            if len(found) < n and (content := word.tobytes()) not in seen:
                seen.add(content)
                found.append(word)
        vain = vain + 1 if len(found) == before else 0
    if len(found) < n:
        raise UserError(
            f"expected {n} words that differ from all others, found {len(found)}: choose longer words, or smaller "
            "data.prepare.train_examples and data.prepare.test_examples"
        )
    return np.stack(found)
