"""The steps of a series in time: are they even? Where not, the rows are named, and nothing is filled."""

import calendar
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from howdeep.errors import UserError
from howdeep.intake.columns import Column, Date, Number
from howdeep.intake.refusals import Where

SECOND = 1 / 86_400  # of a day


def times(values: Sequence[str], column: Column, where: Where) -> np.ndarray:
    """When each row was, (rows,): days since 2000 of a column of dates, else its numbers.

    Raises:
        UserError: a row without a time, or a column of something else.
    """
    if isinstance(column, Date):
        found = column.days(values, where)
    elif isinstance(column, Number):
        found = column.numbers(values, where)
    else:
        raise UserError(
            f"{where.file}: expected dates or numbers in '{where.name}', which says when each row was: declare it so"
        )
    if (missing := np.flatnonzero(np.isnan(found))).size:
        raise where.refused("a time in every row", values, missing.tolist(), "write it", absent=True)
    return found


def of(values: Sequence[str], column: Column, where: Where) -> str:
    """The step between two rows in words, such as '1 month'.

    Raises:
        UserError: a single row, one without a time, earlier than the one before it or of the same time, or a gap.
    """
    if len(values) < 2:
        raise UserError(f"{where.file}: expected several steps in time, got one row: leave it out")
    moments = times(values, column, where)
    unit, steps = "day" if isinstance(column, Date) else "step", np.diff(moments)
    if (back := np.flatnonzero(steps < 0)).size:
        raise where.refused("times that grow", values, (back + 1).tolist(), "sort the rows by time")
    if (same := np.flatnonzero(steps == 0)).size:
        raise where.refused(
            "one row a time", values, (same + 1).tolist(),
            "leave out rows that are there twice, or say with --group which of several series a row is of",
        )  # fmt: skip
    if np.allclose(steps, steps[0], rtol=1e-6, atol=SECOND):
        return _told(float(steps[0]), unit)
    months = _months(moments) if isinstance(column, Date) else None
    if months is not None:
        steps, unit = np.diff(months).astype(float), "month"
        if (steps == steps[0]).all():
            return _told(float(steps[0]), unit)
    usual, _ = Counter(np.round(steps, 6).tolist()).most_common(1)[0]
    gaps = np.flatnonzero(~np.isclose(steps, usual, rtol=1e-6, atol=SECOND))
    told = ", ".join(
        f"from '{values[place]}' to '{values[place + 1]}' in line {where.lines[place + 1]}"
        for place in gaps[:3]
    )
    more = f" and {len(gaps) - 3} more" if len(gaps) > 3 else ""
    raise UserError(
        f"{where.file}, column '{where.name}': expected even steps of {_told(usual, unit)}, got {told}{more}: fill the "
        "gaps, or leave the column out (no --time) to take each row for a step"
    )


def _months(times: np.ndarray) -> np.ndarray | None:
    """Which month each date is in, where all are of one day of the month, or all the last of theirs."""
    dates = [datetime(2000, 1, 1) + timedelta(days=float(day)) for day in times]
    last = [date.day == calendar.monthrange(date.year, date.month)[1] for date in dates]
    if len({date.day for date in dates}) == 1 or all(last):
        return np.array([12 * date.year + date.month for date in dates])
    return None


def _told(step: float, unit: str) -> str:
    if unit == "day" and step < 1:
        step, unit = (step * 24, "hour") if round(step * 1440) >= 60 else (step * 1440, "minute")
        step = round(step, 6)
    if unit == "month" and step % 12 == 0:
        step, unit = step / 12, "year"
    return f"{step:g} {unit}{'' if step == 1 else 's'}"
