"""Yearly sunspot numbers, 1700 to 2008 (National Geophysical Data Center): a cycle of about eleven years."""

from pathlib import Path

import numpy as np

from howdeep.data import prepared
from howdeep.data.splits import chronological


def read(raw: Path) -> tuple[np.ndarray, np.ndarray]:
    """Years (309,) and their sunspot numbers (309, 1)."""
    table = np.loadtxt(raw / "sunspots.csv", delimiter=",", skiprows=1)  # (309, 2)
    return table[:, 0].astype(np.int64), table[:, 1:]


def prepare(raw: Path, *, test_fraction: float) -> prepared.Prepared:
    """The last years are the test: a forecaster knows the past only.

    Raises:
        UserError: `test_fraction` leaves one part empty.
    """
    years, numbers = read(raw)
    past, future = chronological(len(numbers), test_fraction)
    content = prepared.series(train=numbers[past], test=numbers[future])
    period = {part: years[steps][[0, -1]].tolist() for part, steps in (("train", past), ("test", future))}
    return prepared.Prepared(content.train, content.test, content.card | {"period": period})
