"""Spaces and plans that are cheap to try."""

from collections.abc import Callable

import pytest

from howdeep.sweeping.plan import Plan
from howdeep.sweeping.space import Choice, FloatRange, IntRange, Space


@pytest.fixture
def space() -> Space:
    return Space(
        {
            "optimizer": Choice(("sgd", "adam")),
            "optimizer.momentum": FloatRange(0.0, 0.9),
            "optimizer.lr": FloatRange(1e-4, 1.0, log=True),
            "model.depth": IntRange(1, 8),
        },
        {"optimizer.momentum": {"optimizer": ("sgd",)}},
    )


@pytest.fixture
def plan(space) -> Callable[..., Plan]:
    def of(**changes) -> Plan:
        return Plan(**{"study": "test", "space": space, "total": 6, "sampler": "random", **changes})

    return of
