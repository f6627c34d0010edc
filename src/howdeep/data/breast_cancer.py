"""Breast cancer Wisconsin: is a tumour malignant? 30 measures of its cell nuclei (Street et al., 1993)."""

from pathlib import Path

import numpy as np

from howdeep.data import prepared
from howdeep.data.splits import stratified


def read(raw: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Measures (569, 30), diagnoses (569,) and their names, 0 for malignant and 1 for benign."""
    path = raw / "breast_cancer.csv"
    with path.open() as file:
        names = file.readline().strip().split(",")[2:]  # 569,30,malignant,benign
    table = np.loadtxt(path, delimiter=",", skiprows=1)  # (569, 31)
    return table[:, :-1], table[:, -1].astype(np.int64), names


def prepare(raw: Path, *, test_fraction: float, seed: int) -> prepared.Prepared:
    """Splits off a stratified test set, since there is no official one; each measure has its own scale.

    Raises:
        UserError: `test_fraction` leaves one part empty.
    """
    x, y, names = read(raw)
    kept, held_out = stratified(y, test_fraction, seed)
    return prepared.labelled(train=(x[kept], y[kept]), test=(x[held_out], y[held_out]), classes=names, axis=0)
