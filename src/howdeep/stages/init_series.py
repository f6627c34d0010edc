"""What `howdeep init` proposes for series in time: one or several to forecast, or many with a class each."""

from typing import Any

import numpy as np

from howdeep.data.own_series import arranged, rows_of
from howdeep.errors import UserError
from howdeep.intake import guessing
from howdeep.intake.columns import declared
from howdeep.intake.guessing_series import OF_SERIES, WHEN, Rows, guess_series, have_classes
from howdeep.intake.reading import Sheet
from howdeep.stages.proposals import (
    FEW,
    MARGIN_OF_CLASSES,
    TEST,
    VALIDATION,
    Asked,
    Proposal,
    check_columns,
    columns_told,
    config_of,
    few_told,
    file_of,
    read_table,
    refuse,
)

LONGEST = 128  # steps of an example
LEAST = round(FEW / TEST)  # steps of a series that is forecast
USUAL = 24  # steps that networks see, where there are as many
SHOWN = 3  # series of a message


def propose_series(asked: Asked, name: str) -> Proposal:
    """Each row is a step in time: of one series, or with --group of several.

    Several series whose target never changes within one have a class each; others are forecast.

    Raises:
        UserError: no such table, missing numbers, uneven steps, too few of them, an option that does not fit.
    """
    sheet, reading, lines = read_table(asked)
    file = asked.data.name
    refuse(asked, "a series", "--task", "--drop-missing-targets")
    check_columns(asked, sheet, "--target", "--group", "--time", "--known")
    _check_roles(asked)
    rows = rows_of(sheet, asked.group, file)
    told = asked.target or sheet.names[-1] not in asked.known  # what is known ahead is no class
    if asked.group and told and have_classes(sheet, asked.target, rows, file):
        return _with_classes(asked, name, sheet, rows, reading, lines)
    return _forecast(asked, name, sheet, rows, reading, lines)


def _forecast(
    asked: Asked, name: str, sheet: Sheet, rows: Rows, reading: dict[str, Any], lines: list[str]
) -> Proposal:
    """One series, or several told apart by --group, of which the next values are told."""
    file, by, known = asked.data.name, asked.group, asked.known
    found = guess_series(
        sheet, asked.target, file, time=asked.time, by=by, rows=rows, known=known, missing=asked.missing
    )
    columns = {of: guess.column for of, guess in found.items()}
    time = next((of for of, guess in found.items() if guess.happens.startswith(WHEN)), None)
    targets = [of for of, guess in found.items() if guess.kind == "number_target"]
    context, horizon = _context(asked, rows, file)
    content = arranged(
        sheet, declared(columns, "columns"), file=file, time=time, test_fraction=TEST, by=by, known=known
    )
    step = f"a step is {content.card['step']}, by '{time}'" if time else "each row is a step"
    when = "the next" if horizon == 1 else f"{horizon} steps ahead,"
    of_each = f" of each of {len(rows)} series, by '{by}'" if by else ""
    lines += [
        f"told: {when} {', '.join(targets)}{of_each}; {step}", "", *columns_told(found), "",
        f"split: the last fifth of the steps{' of each series' if by else ''} is the test; networks see {context} "
        "steps",
        *few_told(len(np.unique(content.test["moment"])), "steps"), *_dangers(rows, context, sheet, time),
    ]  # fmt: skip
    prepare = {
        "_target_": "howdeep.data.own_series.prepare", "_partial_": True, "file": file_of(asked, name), **reading,
        "columns": columns, **({"by": by} if by else {}), "time": time, **({"known": list(known)} if known else {}),
        "test_fraction": TEST,
    }  # fmt: skip
    examples = {
        "_target_": "howdeep.data.own_windows.windows", "_partial_": True, "context": "${data.context}",
        "in_shape": "${data.in_shape}", "validation_fraction": VALIDATION, "horizon": horizon,
    }  # fmt: skip
    in_shape = ["${data.context}", *content.card["shape"]]
    config = config_of(asked, name, "forecasting", prepare, examples, in_shape, len(targets), context=context)
    margin = ("mae", 0.02, "a fiftieth of the standard deviation of the series; say what matters to you")
    notes = {
        "context": "steps that networks see",
        "examples.horizon": "steps from the last of them to the one that is told",
        "in_shape": "(steps, what is told, other inputs and what is known ahead)",
    }
    return Proposal(name, lines, config, "forecasting", ("mlp", "gru"), len(sheet.rows), margin, notes=notes)


def _check_roles(asked: Asked) -> None:
    """Raises `UserError` if a column has two roles."""
    named = [("--target", of) for of in asked.target]
    named += [(role, of) for role, of in (("--group", asked.group), ("--time", asked.time)) if of is not None]
    named += [("--known", of) for of in asked.known if of != asked.time]  # the time of the year is known
    taken: dict[str, str] = {}
    for role, column in named:
        if column in taken:
            raise UserError(
                f"expected a column of its own for {taken[column]} and {role}, got '{column}' twice: name another"
            )
        taken[column] = role


def _context(asked: Asked, rows: Rows, file: str) -> tuple[int, int]:
    """Steps that networks see, and the horizon: both fit into the training steps of the shortest series.

    Raises:
        UserError: a series that is too short.
    """
    if short := [of for of, own in rows.items() if len(own) < LEAST]:
        told = ", ".join(f"'{of}' has {len(rows[of])}" for of in short[:SHOWN])
        more = f" and {len(short) - SHOWN} more are too short" if len(short) > SHOWN else ""
        series = f" of each series, by '{asked.group}'" if asked.group else ""
        came = (
            f"{told}{more}: leave such series out"
            if asked.group
            else f"it has {len(rows[''])}: name a longer one"
        )
        raise UserError(f"{file}: expected {LEAST} steps at least{series}, for a test of {FEW}, but {came}")
    shortest, horizon = min(map(len, rows.values())), asked.horizon or 1
    past = round(shortest * (1 - TEST) * (1 - VALIDATION))
    if horizon > past // 4:
        of = f"the shortest series of {file}" if asked.group else file
        raise UserError(
            f"--horizon must be at most {past // 4}, a quarter of the {past} training steps of {of}, got {horizon}"
        )
    return min(max(USUAL, horizon), past // 4), horizon


def _dangers(rows: Rows, context: int, sheet: Sheet, time: str | None) -> list[str]:
    """What is told of several series that are not alike."""
    shortest = min(rows, key=lambda of: len(rows[of]))
    found = []
    if context < USUAL and len(rows[shortest]) < max(map(len, rows.values())):
        found.append(
            f"beware: the shortest series, '{shortest}', has {len(rows[shortest])} steps, so that networks see "
            f"{context}: leave short series out for more"
        )
    if time and len({sheet.column(time)[own[-1]] for own in rows.values()}) > 1:
        found.append(
            "beware: series end at different times: of one, networks may have seen times that are the test of another"
        )
    return found


def _with_classes(
    asked: Asked, name: str, sheet: Sheet, rows: Rows, reading: dict[str, Any], lines: list[str]
) -> Proposal:
    """Many series, told apart by --group, with a class each."""
    refuse(asked, "series with classes", "--horizon", "--known")
    file, by = asked.data.name, str(asked.group)
    targets, why = guessing.target_of(sheet, asked.target, file)
    target = sheet.column(targets[0])
    first = Sheet(
        [targets[0]],
        [[target[places[0]]] for places in rows.values()],
        [sheet.lines[of[0]] for of in rows.values()],
    )
    of_target = guessing.guess(first, targets[:1], file, task="classification")[targets[0]]
    found = guessing.guess(sheet, targets[:1], file, task="classification", missing=asked.missing)
    columns = {}
    for column, guess in found.items():
        if column == targets[0]:
            columns[column] = of_target
        elif column == by:
            columns[column] = guessing.left_out(OF_SERIES, 0)
        elif column == asked.time:
            if guess.kind not in ("date", "number"):
                raise UserError(f"{file}: expected dates or numbers in --time '{column}', got {guess.why}")
            columns[column] = guess._replace(happens=WHEN)
        elif guess.kind == "number" and not guess.missing:
            columns[column] = guess
        else:
            columns[column] = guessing.left_out(
                guess.why if guess.kind == "excluded" else "no numbers at every step", 0
            )
    variables = [of for of, guess in columns.items() if guess.kind == "number" and of != asked.time]
    if not variables:
        raise UserError(f"{file}: expected columns of numbers beside '{by}' and '{targets[0]}', found none")
    lengths = [len(places) for places in rows.values()]
    length = min(LONGEST, max(lengths))
    lines += [
        f"told: {targets[0]} of each of {len(rows)} series ({why}; {of_target.why})", "", *columns_told(columns), "",
        f"series have {min(lengths)} to {max(lengths)} steps; networks see the last {length}, after padding",
        "split: a fifth of the series are the test, at random, class by class",
        *few_told(round(len(rows) * TEST), "series"),
    ]  # fmt: skip
    prepare = {
        "_target_": "howdeep.data.own_series.labelled", "_partial_": True, "file": file_of(asked, name), **reading,
        "columns": {of: guess.column for of, guess in columns.items()}, "by": by, "time": asked.time,
        "steps": "${data.steps}", "test_fraction": TEST, "seed": 0,
    }  # fmt: skip
    examples = {
        "_target_": "howdeep.data.examples.labelled", "_partial_": True, "in_shape": "${data.in_shape}",
        "validation_fraction": VALIDATION, "seed": 0,
    }  # fmt: skip
    classes = of_target.column["classes"]
    in_shape = ["${data.steps}", len(variables) + 1]
    config = config_of(asked, name, "classification", prepare, examples, in_shape, len(classes), steps=length)
    notes = {"steps": "of an example", "in_shape": "(steps, variables and a mark of padding)"}
    return Proposal(
        name,
        lines,
        config,
        "classification",
        ("mlp", "gru"),
        len(rows),
        MARGIN_OF_CLASSES,
        notes=notes,
    )
