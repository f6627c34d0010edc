"""A series of somebody's own: the numbers of a table, a row a step in time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from howdeep.data import prepared
from howdeep.data.splits import chronological
from howdeep.errors import UserError
from howdeep.intake import columns as declared
from howdeep.intake import steps
from howdeep.intake.columns import NumberTarget, Where
from howdeep.intake.reading import read


def prepare(
    raw: Path,
    *,
    file: str,
    encoding: str,
    separator: str,
    columns: Mapping[str, Mapping[str, Any]],
    time: str | None,
    test_fraction: float,
) -> prepared.Prepared:
    """The last steps are the test. Each variable is standardised as its training steps say.

    Args:
        raw: the folder of the file.
        file, encoding, separator: see `intake.reading`.
        columns: what each column is; those of kind `number_target` are the variables.
        time: the column that says when each row was, whose steps must be even; None: rows are steps.
        test_fraction: share of the steps that are the test.

    Raises:
        UserError: a file or a column that is not as declared, a value that is missing, uneven steps.
    """
    sheet, of = read(raw / file, encoding, separator), declared.declared(columns, "data.prepare.columns")
    declared.check_names(of, sheet, file)
    card: dict[str, Any] = {"file": file}
    if time is not None:
        if time not in of:
            raise UserError(f"data.prepare.time must be a column of {file}, or null, got {time!r}")
        values = sheet.column(time)
        card |= {
            "step": steps.of(values, of[time], Where(file, time, sheet.lines)),
            "first": values[0],
            "last": values[-1],
        }
    variables = {name: column for name, column in of.items() if isinstance(column, NumberTarget)}
    if not variables:
        raise UserError(
            f"expected a column of {file} with kind number_target in data.prepare.columns, found none"
        )
    series = np.stack([whole(name, column, sheet, file) for name, column in variables.items()], axis=1)
    past, future = chronological(len(series), test_fraction)
    content = prepared.series(train=series[past], test=series[future])
    return prepared.Prepared(
        content.train, content.test, content.card | card | {"variables": list(variables)}
    )


def whole(name: str, column: NumberTarget, sheet, file: str) -> np.ndarray:
    """A variable, (steps,).

    Raises:
        UserError: a value is missing: nothing is filled.
    """
    values, where = sheet.column(name), Where(file, name, sheet.lines)
    found = column.numbers(values, where)
    if (missing := np.flatnonzero(np.isnan(found))).size:
        raise where.refused(
            "a number at every step", values, missing.tolist(), "fill it, or exclude the column"
        )
    return found
