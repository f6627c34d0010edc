"""Series of somebody's own, a row a step in time: one or many that are forecast, or many with a class each."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from howdeep.data import prepared
from howdeep.data.splits import chronological, moments, standardise, stratified
from howdeep.errors import UserError
from howdeep.intake import columns as declared
from howdeep.intake import steps as in_time
from howdeep.intake.columns import Column, Number, NumberTarget, Target, Where
from howdeep.intake.reading import Sheet, read

Rows = Mapping[str, Sequence[int]]  # of each series, by its name


def prepare(
    raw: Path,
    *,
    file: str,
    encoding: str,
    separator: str,
    columns: Mapping[str, Mapping[str, Any]],
    time: str | None,
    test_fraction: float,
    by: str | None = None,
) -> prepared.Prepared:
    """The last steps of each series are the test. Each of its variables is standardised as its own training steps say.

    So a small shop and a large one are learned from alike: an error of 1 is a standard deviation of the series that it
    is of. `series` (rows, variables) has the rows of all series in the order of time; `of` (rows,) says which series
    each is of, and `moment` (rows,) when it was, as a number that grows.

    Args:
        raw: the folder of the file.
        file, encoding, separator: see `intake.reading`.
        columns: what each column is; those of kind `number_target` are the variables.
        time: the column that says when each row was, whose steps must be even; None: rows are steps.
        test_fraction: share of the steps of each series that are the test.
        by: the column that says which of several series a row is of; None: there is one.

    Raises:
        UserError: a file or a column that is not as declared, a value that is missing, uneven steps, a variable that
            does not change in the training steps of a series.
    """
    sheet, of = read(raw / file, encoding, separator), declared.declared(columns, "data.prepare.columns")
    declared.check_names(of, sheet, file)
    return arranged(sheet, of, file=file, time=time, test_fraction=test_fraction, by=by)


def arranged(
    sheet: Sheet,
    of: Mapping[str, Column],
    *,
    file: str,
    time: str | None,
    test_fraction: float,
    by: str | None,
) -> prepared.Prepared:
    """What `prepare` makes of a table that is read."""
    _check_columns({"by": by, "time": time}, of, file)
    variables = {name: column for name, column in of.items() if isinstance(column, NumberTarget)}
    if not variables:
        raise UserError(
            f"expected a column of {file} with kind number_target in data.prepare.columns, found none"
        )
    rows = rows_of(sheet, by, file)
    card = {"step": _step(rows, time, of, sheet, file, by)} if time else {}
    values = np.stack([whole(name, column, sheet, file) for name, column in variables.items()], axis=1)
    series, kept = np.empty(values.shape, dtype=np.float32), np.zeros(len(values), dtype=bool)
    cards = {}
    for name, own in rows.items():
        past, future = (np.array(own)[part] for part in chronological(len(own), test_fraction))
        _check_changes(values[past], list(variables), called(file, by, name))
        mean, std = moments(values[past], 0)
        series[own], kept[past] = standardise(values[own], mean, std), True
        cards[name] = {
            "examples": {"train": len(past), "test": len(future)},
            **(_ends(sheet.column(time), own) if time else {}),
            "mean": mean.tolist(),
            "std": std.tolist(),
        }
    arrays = {"series": series, "of": _of(rows), "moment": _moments(rows, time, of, sheet, file)}
    order = np.lexsort((arrays["of"], arrays["moment"]))
    train, test = (
        {name: array[order[kept[order] == part]] for name, array in arrays.items()} for part in (True, False)
    )
    card |= {
        "shape": [len(variables)],
        "examples": {"train": int(kept.sum()), "test": int((~kept).sum())},
        "range": {"raw": _range(values[kept]), "standardised": _range(series[kept])},
        "variables": list(variables),
        "file": file,
        **({"series": cards} if by else cards[""]),
    }
    return prepared.Prepared(train, test, card)


def _step(rows: Rows, time: str, of: Mapping[str, Column], sheet: Sheet, file: str, by: str | None) -> str:
    """The step between two rows in words, the same in every series.

    Raises:
        UserError: steps that are not even, or those of two series differ.
    """
    values, found = sheet.column(time), {}
    for name, own in rows.items():
        where = Where(called(file, by, name), time, [sheet.lines[place] for place in own])
        found.setdefault(in_time.of([values[place] for place in own], of[time], where), (name, own[0]))
    if len(found) > 1:
        told = ", ".join(
            f"{step} in '{name}' from line {sheet.lines[first]}" for step, (name, first) in found.items()
        )
        raise UserError(
            f"{file}, column '{time}': expected the same step in every series, got {told}: make a data set of each"
        )
    return next(iter(found))


def called(file: str, by: str | None, name: str) -> str:
    """What messages call a series."""
    return f"{file}, {by} '{name}'" if by else file


def _check_columns(named: Mapping[str, str | None], of: Mapping[str, Column], file: str) -> None:
    for key, name in named.items():
        if name is not None and name not in of:
            raise UserError(f"data.prepare.{key} must be a column of {file}, or null, got {name!r}")


def _check_changes(past: np.ndarray, variables: Sequence[str], where: str) -> None:
    """Raises `UserError` if a variable does not change, (steps, variables): its errors would have no unit."""
    if (constant := np.flatnonzero(past.max(axis=0) == past.min(axis=0))).size:
        raise UserError(
            f"{where}, column '{variables[constant[0]]}': expected values that change, but all {len(past)} training "
            f"steps have {past[0, constant[0]]:g}: exclude the column, or leave such a series out"
        )


def _ends(values: Sequence[str], own: Sequence[int]) -> dict[str, str]:
    return {"first": values[own[0]], "last": values[own[-1]]}


def _of(rows: Rows) -> np.ndarray:
    """Which series each row is of, (rows,)."""
    found = np.empty(sum(map(len, rows.values())), dtype=np.int64)
    for index, own in enumerate(rows.values()):
        found[own] = index
    return found


def _moments(rows: Rows, time: str | None, of: Mapping[str, Column], sheet: Sheet, file: str) -> np.ndarray:
    """When each row was, (rows,): the place of its time among all, or without times of its step in its series."""
    if time:
        times = in_time.times(sheet.column(time), of[time], Where(file, time, sheet.lines))
        return np.unique(times, return_inverse=True)[1].astype(np.int64)
    found = np.empty(len(sheet.rows), dtype=np.int64)
    for own in rows.values():
        found[own] = np.arange(len(own))
    return found


def _range(x: np.ndarray) -> list[float]:
    return [float(x.min()), float(x.max())]


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
    _check_columns({"by": by, "time": time}, of, file)
    numbers = {
        name: column for name, column in of.items() if isinstance(column, Number) and name not in (by, time)
    }
    targets = {name: column for name, column in of.items() if isinstance(column, Target)}
    if not numbers or len(targets) != 1:
        raise UserError(
            f"expected columns of {file} with kind number, and one with kind classes, for series with classes"
        )
    rows = rows_of(sheet, by, file)
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


def rows_of(sheet: Sheet, by: str | None, file: str) -> dict[str, list[int]]:
    """The rows of each series, in the order in which series begin.

    Args:
        by: the column that says which series a row is of; None: there is one, without a name.

    Raises:
        UserError: a row of no series.
    """
    if by is None:
        return {"": list(range(len(sheet.rows)))}
    found: dict[str, list[int]] = {}
    for place, name in enumerate(sheet.column(by)):
        found.setdefault(name, []).append(place)
    if "" in found:
        where = Where(file, by, sheet.lines)
        raise where.refused("the name of a series in every row", sheet.column(by), found[""], "write it")
    return found


def _check_times(rows: Rows, time: str | None, of: Mapping[str, Column], sheet: Sheet, file: str) -> None:
    """Raises `UserError` unless the times of each series grow."""
    if time is None:
        return
    where, values = Where(file, time, sheet.lines), sheet.column(time)
    times = in_time.times(values, of[time], where)
    back = [after for places in rows.values() for before, after in itertools.pairwise(places)
            if not times[after] > times[before]]  # fmt: skip
    if back:
        raise where.refused(
            "times that grow within each series", values, sorted(back), "sort the rows by time"
        )
