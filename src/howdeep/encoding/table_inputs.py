"""From rows of a table as they are in a file to what networks see: the part that learns nothing.

What it needs of the training rows, means and standard deviations, stands in the data card, so that new rows become what
they would have become among those that were prepared.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from howdeep.encoding.scale import standardise
from howdeep.intake.columns import Category, Column
from howdeep.intake.reading import Sheet
from howdeep.intake.refusals import Faults, Where


def inputs_of(
    sheet: Sheet, columns: Mapping[str, Column], file: str, *, mean: Sequence[float], std: Sequence[float]
) -> np.ndarray:
    """The inputs of rows, (rows, inputs) float32: those of each column in the order of `columns`, standardised.

    A missing number is taken for the mean of the training rows, and so becomes 0.

    Args:
        sheet: rows; columns that are no inputs, such as targets, may be absent.
        columns: what each column of the table is.
        file: what messages call the table.
        mean, std: of each input, (inputs,), from the data card.

    Raises:
        Refused: texts of a column that are not as declared.
    """
    faults = Faults()
    codes = codes_of(sheet, columns, file, faults)
    faults.check()
    assert codes is not None
    return applied(codes, columns, np.asarray(mean), np.asarray(std))


def seen(columns: Mapping[str, Column]) -> dict[str, Column]:
    """The columns that become inputs."""
    return {name: column for name, column in columns.items() if column.width}


def codes_of(sheet: Sheet, columns: Mapping[str, Column], file: str, faults: Faults) -> np.ndarray | None:
    """A number for each text of the columns that become inputs, (rows, columns) float64; None where one was refused."""
    found = np.empty((len(sheet.rows), len(seen(columns))))
    texts = sheet.columns()
    for place, (name, column) in enumerate(seen(columns).items()):
        with faults.noted(place):
            found[:, place] = column.codes(texts[name], Where(file, name, sheet.lines))
    return None if faults else found


def expanded(codes: np.ndarray, columns: Mapping[str, Column]) -> np.ndarray:
    """The inputs that codes stand for, (rows, columns) -> (rows, inputs) float64, NaN where a number is missing."""
    parts = [column.expanded(codes[:, place]) for place, column in enumerate(seen(columns).values())]
    return np.concatenate(parts, axis=1)


def applied(
    codes: np.ndarray, columns: Mapping[str, Column], mean: np.ndarray, std: np.ndarray
) -> np.ndarray:
    """Inputs as networks see them, (rows, columns) -> (rows, inputs) float32: filled and standardised.

    Args:
        mean, std: of each input, (inputs,).
    """
    found, first = np.empty((len(codes), len(mean)), dtype=np.float32), 0
    for place, column in enumerate(seen(columns).values()):
        part, own = slice(first, first + column.width), codes[:, place]
        if isinstance(column, Category):  # a few rows, many times
            each = _filled(column.expanded(np.arange(column.width)), mean[part], std[part])
            found[:, part] = each[own.astype(np.int64)]
        else:
            found[:, part] = _filled(column.expanded(own), mean[part], std[part])
        first = part.stop
    return found


def _filled(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    return standardise(np.where(np.isnan(x), mean, x), mean, std)
