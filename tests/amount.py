"""How much is tried: in each run of the tests what finds most faults a second, all of it where somebody asks.

`HOWDEEP_TESTS=full` (`make torture`) asks for all of it. The cases of a short run are among those of a full one.
"""

import os
import random
from collections.abc import Iterable

import pytest

FULL = os.environ.get("HOWDEEP_TESTS") == "full"
only_in_full = pytest.mark.skipif(not FULL, reason="it takes a minute or more: `make torture` runs it")


def times(quick: int, full: int) -> int:
    return full if FULL else quick


def first(cases: Iterable, quick: int) -> list:
    """The first of all cases."""
    return list(cases)[: None if FULL else quick]


def seeds(quick: int, full: int) -> list:
    """Arguments of a test, a seed each."""
    return [pytest.param(seed, id=f"seed{seed}") for seed in range(times(quick, full))]


def drawn(pool: Iterable, quick: int, full: int, seed: int = 0) -> list:
    """Some of many cases, spread over all of them and the same each time."""
    cases = list(pool)
    random.Random(seed).shuffle(cases)
    return cases[: times(quick, full)]
