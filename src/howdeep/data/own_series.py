"""Series of somebody's own, a row a step in time: one that is forecast, or many with a class each."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from howdeep.data import prepared
from howdeep.data.splits import chronological, moments, stratified
from howdeep.errors import UserError
from howdeep.intake import columns as declared
from howdeep.intake import steps
from howdeep.intake.columns import Date, Number, NumberTarget, Target, Where
from howdeep.intake.reading import Sheet, read


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


def whole(name: str, column: Number, sheet: Sheet, file: str) -> np.ndarray:
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


def labelled(
    raw: Path,
    *,
    file: str,
    encoding: str,
    separator: str,
    columns: Mapping[str, Mapping[str, Any]],
    by: str,
    time: str | None,
    steps: int,
    test_fraction: float,
    seed: int,
) -> prepared.Prepared:
    """Many series with a class each: x (n, steps, variables + 1), y (n,) int64.

    The last `steps` steps of each series are kept, standardised as those of the training series say. Before a shorter
    one stand zeros, which the last number of a step marks with 1.

    Args:
        raw: the folder of the file.
        file, encoding, separator: see `intake.reading`.
        columns: what each column is: the class, numbers, and `by` and `time` among those that are excluded.
        by: the column that says which series a row is of.
        time: the column that says when each row was, which must grow within a series; None: the order of rows.
        steps: of an example.
        test_fraction, seed: share of the series that are the test, at random, class by class.

    Raises:
        UserError: a file or a column that is not as declared, a series with two classes, a number that is missing.
    """
    if type(steps) is not int or steps < 1:
        raise UserError(f"data.prepare.steps must be a whole number above 0, got {steps!r}")
    sheet, of = read(raw / file, encoding, separator), declared.declared(columns, "data.prepare.columns")
    declared.check_names(of, sheet, file)
    for name in (by, *([time] if time else [])):
        if name not in of:
            raise UserError(f"data.prepare.by and time must be columns of {file}, got {name!r}")
    numbers = {
        name: column for name, column in of.items() if isinstance(column, Number) and name not in (by, time)
    }
    targets = {name: column for name, column in of.items() if isinstance(column, Target)}
    if not numbers or len(targets) != 1:
        raise UserError(
            f"expected columns of {file} with kind number, and one with kind classes, for series with classes"
        )
    rows = rows_of(sheet, by)
    _check_times(rows, time, of, sheet, file)
    values = np.stack([whole(name, column, sheet, file) for name, column in numbers.items()], axis=1)
    [(label, target)] = targets.items()
    labels = target.labels(sheet.column(label), Where(file, label, sheet.lines))
    for name, places in rows.items():
        if len(set(labels[places])) > 1:
            raise UserError(
                f"{file}, column '{label}': expected one class for the series '{name}', got several"
            )
    y = np.array([labels[places[0]] for places in rows.values()])
    kept, held_out = stratified(y, test_fraction, seed)
    series = [values[places[-steps:]] for places in rows.values()]
    mean, std = moments(np.concatenate([series[place] for place in kept]), 0)
    x = np.zeros((len(series), steps, values.shape[1] + 1), dtype=np.float32)
    x[:, :, -1] = 1
    for place, own in enumerate(series):
        x[place, steps - len(own) :, :-1] = (own - mean) / std
        x[place, steps - len(own) :, -1] = 0
    content = prepared.unscaled(
        train=(x[kept], y[kept]), test=(x[held_out], y[held_out]), classes=target.classes
    )
    told = {"file": file, "variables": list(numbers), "mean": mean.tolist(), "std": std.tolist()}
    return prepared.Prepared(content.train, content.test, content.card | told)


def rows_of(sheet: Sheet, by: str) -> dict[str, list[int]]:
    """The rows of each series, in the order in which series begin."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(sheet.column(by)):
        found.setdefault(name, []).append(place)
    return found


def _check_times(
    rows: Mapping[str, list[int]], time: str | None, of: Mapping[str, Any], sheet: Sheet, file: str
) -> None:
    if time is None:
        return
    where, values = Where(file, time, sheet.lines), sheet.column(time)
    column = of[time]
    if isinstance(column, Date):
        times = column.days(values, where)
    elif isinstance(column, Number):
        times = column.numbers(values, where)
    else:
        raise UserError(f"{file}: expected dates or numbers in '{time}', the time of the series")
    back = [after for places in rows.values() for before, after in itertools.pairwise(places)
            if not times[after] > times[before]]  # fmt: skip
    if back:
        raise where.refused(
            "times that grow within each series", values, sorted(back), "sort the rows by time"
        )
