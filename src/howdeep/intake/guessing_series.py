"""What the columns of series in time are taken for, and why."""

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from howdeep.errors import UserError
from howdeep.intake import formats
from howdeep.intake.columns import number_of
from howdeep.intake.guessing import TARGETS, Guess, guess_input, left_out, target_of
from howdeep.intake.reading import Sheet
from howdeep.intake.refusals import SHOWN

OF_A_CLASS = 5  # series at least
OF_SERIES = "it says which series a row is of"
WHEN = "the time of each row"
Rows = Mapping[str, Sequence[int]]  # of each series, by its name


def guess_series(
    sheet: Sheet,
    targets: Sequence[str],
    file: str,
    *,
    time: str | None,
    by: str | None = None,
    rows: Rows | None = None,
    known: Collection[str] = (),
    missing: Collection[str] = (),
) -> dict[str, Guess]:
    """What the columns of series are taken for: variables, inputs, the time, or nothing.

    Args:
        targets: the variables; other numbers, and columns of yes and no, are inputs. None: every column of numbers that
            changes within series is told.
        time: the column that says when each row was; None: the first one of dates, or else the first one of numbers
            that grow by the same step in every row.
        by: the column that says which of several series a row is of.
        rows: of each series; None: there is one.
        known: columns whose values are known ahead.
        missing: texts that stand for no value in any column, beside the usual ones.

    Raises:
        UserError: no column of numbers, or one with missing values: nothing is filled.
    """
    rows = rows or {"": range(len(sheet.rows))}
    of = {
        name: guess_input(name, sheet.column(name), sheet, file, missing)
        for name in sheet.names
        if name != by
    }
    time = time or _time(of, targets, sheet, rows)
    found = {}
    for name in sheet.names:
        if name == by:
            found[name] = left_out(OF_SERIES, 0)
        elif name == time:
            found[name] = _when(name, of[name], sheet, file, ahead=name in known)
        elif name in known:
            found[name] = _known(name, of[name], file)
        elif name in targets and of[name].kind != "number":
            raise UserError(f"{file}, column '{name}': expected numbers to forecast, but {of[name].why}")
        elif name not in targets and by and not _changing(sheet, name, rows):
            found[name] = left_out("it never changes within a series", 0)
        elif of[name].kind != "number" or (targets and name not in targets):
            found[name] = _beside(of[name], targets)
        else:
            found[name] = _variable(name, of[name], sheet, file)
    if not any(guess.kind == "number_target" for guess in found.values()):
        raise UserError(
            f"{file}: expected a column of numbers to forecast, found none: name one with --target"
        )
    return found


def have_classes(sheet: Sheet, wanted: Sequence[str], rows: Rows, file: str) -> bool:
    """Whether the target is the class of each of several series: then it is the same in all of its rows.

    Args:
        wanted: columns that were named as targets.
        rows: of each series.

    Raises:
        UserError: a target that is the same in all rows of some series, but not of all.
    """
    [target, *others], _ = target_of(sheet, wanted, file)
    named = bool(wanted) or target.lower() in TARGETS
    changing = _changing(sheet, target, rows)
    if not changing and not others:
        return named or OF_A_CLASS * len(set(sheet.column(target))) <= len(rows)
    if others or not named or len(changing) == len(rows):
        return False
    constant = [name for name in rows if name not in changing]
    few, how = (changing, "changes") if len(changing) < len(constant) else (constant, "does not change")
    told = ", ".join(f"'{name}' from line {sheet.lines[rows[name][0]]}" for name in few[:SHOWN])
    more = f" and {len(few) - SHOWN} more" if len(few) > SHOWN else ""
    raise UserError(
        f"{file}, column '{target}': expected a class, which does not change within a series, or numbers to forecast, "
        f"which change in each, but it {how} in {told}{more}: correct such series, or leave them out"
    )


def _time(of: Mapping[str, Guess], targets: Sequence[str], sheet: Sheet, rows: Rows) -> str | None:
    """The first column of dates, or of numbers that only count; one column of numbers is left to forecast."""
    dates = [name for name in of if of[name].kind == "date" and name not in targets]
    numbers = [name for name in of if of[name].kind == "number" and name not in targets]
    counters = (name for name in numbers if _counts(of[name], sheet.column(name), rows))
    return dates[0] if dates else next(counters, None) if targets or len(numbers) > 1 else None


def _counts(guess: Guess, values: Sequence[str], rows: Rows) -> bool:
    """Whether numbers grow by one and the same step in all rows of each series."""
    decimal, thousands = guess.column["decimal"], guess.column["thousands"]
    steps = set()
    for own in rows.values():
        numbers = [number_of(values[place], decimal, thousands) for place in own]
        known = np.array([math.nan if of is None else of for of in numbers])
        steps |= set(np.round(np.diff(known), 9).tolist())
    return len(steps) == 1 and steps.pop() > 0


def _when(name: str, guess: Guess, sheet: Sheet, file: str, *, ahead: bool) -> Guess:
    values = sheet.column(name)
    if guess.kind == "excluded" and formats.style_of(values):  # it counts the rows
        guess = Guess({"kind": "number"}, guess.why, 0, "")
    if guess.kind not in ("date", "number"):
        told = ", ".join(f"'{text}'" for text in dict.fromkeys(values[:SHOWN]))
        raise UserError(
            f"{file}, column '{name}': expected numbers, or dates of one format (all with a time zone, or none) to say "
            f"when each row was, got {told} and others: correct them"
        )
    return guess._replace(happens=f"{WHEN}, known" if ahead else WHEN)


def _known(name: str, guess: Guess, file: str) -> Guess:
    if guess.missing:
        raise UserError(
            f"{file}, column '{name}': expected a value at every step as --known, but {guess.missing} are missing: "
            "fill them"
        )
    if guess.kind == "excluded":
        raise UserError(
            f"{file}, column '{name}': expected numbers, words or dates as --known, but {guess.why}"
        )
    return guess._replace(happens="an input, known ahead")


def _beside(guess: Guess, targets: Sequence[str]) -> Guess:
    """A column that is not told."""
    if guess.kind == "excluded":
        return left_out(guess.why, guess.missing)
    if targets and guess.kind in ("number", "boolean"):
        if guess.missing:
            return left_out(f"{guess.missing} values are missing, and nothing is filled", guess.missing)
        return guess._replace(happens="an input")
    return left_out(f"{guess.why}: no numbers", guess.missing)


def _variable(name: str, guess: Guess, sheet: Sheet, file: str) -> Guess:
    if guess.missing:
        values = sheet.column(name)
        first = next(place for place, text in enumerate(values) if text in guess.column["missing"])
        raise UserError(
            f"{file}, column '{name}': expected a number at every step, but {guess.missing} of {len(values)} rows lack "
            f"one, the first in line {sheet.lines[first]}: fill them, or name other columns with --target"
        )
    column = {key: guess.column[key] for key in ("decimal", "thousands", "missing")}
    return Guess({"kind": "number_target", **column}, guess.why, 0, "told: its value to come")


def _changing(sheet: Sheet, name: str, rows: Rows) -> list[str]:
    """The series in which a column changes."""
    values = sheet.column(name)
    return [of for of, own in rows.items() if len({values[place] for place in own}) > 1]
