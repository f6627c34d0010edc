"""Monthly sea surface temperature, 1950 to 2010, off Peru (NOAA, Nino 1+2): seasons, and El Nino now and then."""

from pathlib import Path

import numpy as np

from howdeep.data import prepared
from howdeep.data.splits import chronological


def read(raw: Path) -> tuple[list[str], np.ndarray]:
    """Months (732,), such as "1950-01", and their mean temperatures in degrees Celsius (732, 1)."""
    table = np.loadtxt(raw / "elnino.csv", delimiter=",", skiprows=1)  # (61, 1 + 12), a year a row
    months = [f"{year:.0f}-{month:02}" for year in table[:, 0] for month in range(1, 13)]
    return months, table[:, 1:].reshape(-1, 1)


def prepare(raw: Path, *, test_fraction: float) -> prepared.Prepared:
    """The last months are the test: a forecaster knows the past only.

    Raises:
        UserError: `test_fraction` leaves one part empty.
    """
    months, temperatures = read(raw)
    past, future = chronological(len(temperatures), test_fraction)
    content = prepared.series(train=temperatures[past], test=temperatures[future])
    period = {
        part: [months[steps[0]], months[steps[-1]]] for part, steps in (("train", past), ("test", future))
    }
    return prepared.Prepared(content.train, content.test, content.card | {"period": period})
