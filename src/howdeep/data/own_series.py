"""Series of somebody's own, a row a step in time: one or many that are forecast, or many with a class each."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from howdeep.data import prepared
from howdeep.data.splits import chronological, moments, stratified
from howdeep.encoding.scale import standardise
from howdeep.encoding.series import LabelledSeries, Windows, padded
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
    known: Sequence[str] = (),
) -> prepared.Prepared:
    """The last steps of each series are the test. Each of its variables is standardised as its own training steps say.

    So a small shop and a large one are learned from alike: an error of 1 is a standard deviation of the series that it
    is of. `series` (rows, variables) has the rows of all series in the order of time; `of` (rows,) says which series
    each is of, and `moment` (rows,) when it was, as a number that grows. What is seen and not told stands beside them:
    `inputs` (rows, ...) of other columns, and `known` (rows, ...) of those whose values are known ahead.

    Args:
        raw: the folder of the file.
        file, encoding, separator: see `intake.reading`.
        columns: what each column is; those of kind `number_target` are the variables that are told, and others that
            networks see in tables are seen here too, but for `time`.
        time: the column that says when each row was, whose steps must be even; None: rows are steps.
        test_fraction: share of the steps of each series that are the test.
        by: the column that says which of several series a row is of; None: there is one.
        known: columns whose value at a step is known before it, such as a price or the day of the week; `time` may be
            one of them.

    Raises:
        UserError: a file or a column that is not as declared, a value that is missing, uneven steps, a variable that
            does not change in the training steps of a series.
    """
    sheet, of = read(raw / file, encoding, separator), declared.declared(columns, "data.prepare.columns")
    declared.check_names(of, sheet, file)
    return arranged(sheet, of, file=file, time=time, test_fraction=test_fraction, by=by, known=known)


def arranged(
    sheet: Sheet,
    of: Mapping[str, Column],
    *,
    file: str,
    time: str | None,
    test_fraction: float,
    by: str | None,
    known: Sequence[str],
) -> prepared.Prepared:
    """What `prepare` makes of a table that is read."""
    columns = _roles(of, file, time, by, known)
    rows = rows_of(sheet, by, file)
    card = {"step": _step(rows, time, of, sheet, file, by)} if time else {}
    raw = {role: _whole(own, sheet, file) for role, own in columns.items() if own}
    kept, variables = _kept(rows, test_fraction), list(columns["series"])
    for name, own in rows.items():
        _check_changes(raw["series"][own][kept[own]], variables, called(file, by, name))
    scaled, scales = _scaled(raw, rows, kept)
    arrays = scaled | {"of": _of(rows), "moment": _moments(rows, time, of, sheet, file)}
    order = np.lexsort((arrays["of"], arrays["moment"]))
    train, test = (
        {name: array[order[kept[order] == part]] for name, array in arrays.items()} for part in (True, False)
    )
    cards = {
        name: {
            "examples": _counts(kept[own]),
            **(_ends(sheet.column(time), own) if time else {}),
            **scales[name],
        }
        for name, own in rows.items()
    }
    card |= {
        "shape": [sum(values.shape[1] for values in raw.values())],
        "examples": _counts(kept),
        "range": {"raw": _range(raw["series"][kept]), "standardised": _range(scaled["series"][kept])},
        "variables": variables,
        **{f"{role}_columns": list(columns[role]) for role in raw if role != "series"},
        "file": file,
        "encoding": f"{Windows.__module__}.{Windows.__name__}",
        **({"series": cards} if by else cards[""]),
    }
    return prepared.Prepared(train, test, card)


def _kept(rows: Rows, test_fraction: float) -> np.ndarray:
    """Which rows are no test, (rows,)."""
    kept = np.zeros(sum(map(len, rows.values())), dtype=bool)
    for own in rows.values():
        past, _ = chronological(len(own), test_fraction)
        kept[np.array(own)[past]] = True
    return kept


def _scaled(
    raw: Mapping[str, np.ndarray], rows: Rows, kept: np.ndarray
) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    """Every array, (rows, ...), standardised as the training rows of each series say; and what these are, by series."""
    scaled = {role: np.empty(values.shape, dtype=np.float32) for role, values in raw.items()}
    scales = {}
    for name, own in rows.items():
        of_series = {}
        for role, values in raw.items():
            mean, std = moments(values[own][kept[own]], 0)
            scaled[role][own] = standardise(values[own], mean, std)
            of_series[role] = {"mean": mean.tolist(), "std": std.tolist()}
        scales[name] = of_series.pop("series") | of_series
    return scaled, scales


def _counts(kept: np.ndarray) -> dict[str, int]:
    return {"train": int(kept.sum()), "test": int((~kept).sum())}


def _roles(
    of: Mapping[str, Column], file: str, time: str | None, by: str | None, known: Sequence[str]
) -> dict[str, Mapping[str, Column]]:
    """The columns that are told, `series`, those that are seen, `inputs`, and those that are known ahead, `known`.

    Raises:
        UserError: a column that there is not, or one that cannot be known; none that is told.
    """
    for key, name in (("by", by), ("time", time)):
        _check_column(key, name, of, file)
    for name in known:
        if name not in of or not of[name].width or name == by:
            raise UserError(
                f"data.prepare.known must list columns of {file} that networks see and do not tell, got {name!r}"
            )
    told = {name: column for name, column in of.items() if isinstance(column, NumberTarget)}
    if not told:
        raise UserError(
            f"expected a column of {file} with kind number_target in data.prepare.columns, found none"
        )
    seen = {name: column for name, column in of.items() if column.width and name not in (time, by, *known)}
    return {"series": told, "inputs": seen, "known": {name: of[name] for name in of if name in known}}


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


def _check_column(key: str, name: str | None, of: Mapping[str, Column], file: str) -> None:
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


def _whole(columns: Mapping[str, Column], sheet: Sheet, file: str) -> np.ndarray:
    """What columns become, side by side, (rows, inputs).

    Raises:
        UserError: a value is missing: nothing is filled.
    """
    found = []
    for name, column in columns.items():
        values, where = sheet.column(name), Where(file, name, sheet.lines)
        if missing := [place for place, text in enumerate(values) if text in column.missing]:
            what = "a number" if isinstance(column, Number) else "a value"
            raise where.refused(f"{what} at every step", values, missing, "fill it, or exclude the column")
        found.append(
            column.numbers(values, where)[:, None]
            if isinstance(column, Number)
            else column.inputs(values, where)
        )
    return np.concatenate(found, axis=1)


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
    _check_column("by", by, of, file)
    _check_column("time", time, of, file)
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
    values = _whole(numbers, sheet, file)
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
    x = padded(series, steps, mean, std)
    content = prepared.unscaled(
        train=(x[kept], y[kept]), test=(x[held_out], y[held_out]), classes=target.classes
    )
    told = {"file": file, "variables": list(numbers), "mean": mean.tolist(), "std": std.tolist()}
    told["encoding"] = f"{LabelledSeries.__module__}.{LabelledSeries.__name__}"
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
