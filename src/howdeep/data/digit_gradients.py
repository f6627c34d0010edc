"""The same digits with the same split as hand-made features: where brightness rises, and how steeply."""

from pathlib import Path

import numpy as np

from howdeep.data import prepared
from howdeep.data.digits import read
from howdeep.data.splits import stratified

SIDE, CELL, ORIENTATIONS = 8, 4, 8  # pixels of an image and of a cell; directions of a histogram


def prepare(raw: Path, *, test_fraction: float, seed: int) -> prepared.Prepared:
    """Splits as `digits` does; each image becomes x (72,), standardised one by one, see `features`.

    Raises:
        UserError: `test_fraction` leaves one part empty.
    """
    x, y = read(raw)
    x = features(x.reshape(-1, SIDE, SIDE))
    kept, held_out = stratified(y, test_fraction, seed)
    return prepared.labelled(
        train=(x[kept], y[kept]),
        test=(x[held_out], y[held_out]),
        classes=[str(digit) for digit in range(10)],
        axis=0,
    )


def features(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients, (n, 8, 8) -> (n, 72): of 3 x 3 overlapping cells of 4 x 4 pixels, how much
    brightness rises in each of 8 directions, as a share of all that rises in the cell.

    Source: Dalal and Triggs, "Histograms of oriented gradients for human detection" (2005).
    """
    down, right = np.gradient(images.astype(np.float64), axis=(1, 2))
    steepness = np.hypot(down, right)
    direction = np.round(np.arctan2(down, right) / (2 * np.pi) * ORIENTATIONS).astype(int) % ORIENTATIONS
    rising = steepness[..., None] * (direction[..., None] == np.arange(ORIENTATIONS))  # (n, 8, 8, 8)
    starts = range(0, SIDE - CELL + 1, CELL // 2)
    cells = [rising[:, i : i + CELL, j : j + CELL].sum(axis=(1, 2)) for i in starts for j in starts]
    found = np.stack(cells, axis=1)  # (n, 9, 8)
    total = found.sum(axis=2, keepdims=True)
    return np.divide(found, total, out=np.zeros_like(found), where=total > 0).reshape(len(images), -1)
