"""Handwritten digits, 8x8 pixels of 0 to 16: the test set of the UCI collection (Kaynak, 1995)."""

from pathlib import Path

import numpy as np

from howdeep.data import prepared
from howdeep.data.splits import stratified


def read(raw: Path) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (1797, 64), row by row, and digits (1797,), in the order of the file."""
    table = np.loadtxt(raw / "digits.csv.gz", delimiter=",", dtype=np.int64)  # (1797, 65)
    return table[:, :-1], table[:, -1]


def prepare(raw: Path, *, test_fraction: float, seed: int) -> prepared.Prepared:
    """Splits off a stratified test set, since there is no official one; all pixels have one scale.

    Raises:
        UserError: `test_fraction` leaves one part empty.
    """
    x, y = read(raw)
    kept, held_out = stratified(y, test_fraction, seed)
    return prepared.labelled(
        train=(x[kept], y[kept]),
        test=(x[held_out], y[held_out]),
        classes=[str(digit) for digit in range(10)],
        axis=None,
    )
