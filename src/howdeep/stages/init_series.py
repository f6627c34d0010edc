"""What `howdeep init` proposes for a series in time."""

from typing import Any

from howdeep.data.own_series import rows_of
from howdeep.errors import UserError
from howdeep.intake import guessing, steps
from howdeep.intake.columns import Where, declared
from howdeep.intake.reading import Sheet
from howdeep.stages.proposals import (
    FEW,
    TEST,
    VALIDATION,
    Asked,
    Proposal,
    check_columns,
    columns_told,
    config_of,
    file_of,
    read_table,
    refuse,
)

LONGEST = 128  # steps of an example


def propose_series(asked: Asked, name: str) -> Proposal:
    """A series: each row is a step in time.

    Raises:
        UserError: no such table, missing numbers, uneven steps, too few of them, an option that does not fit.
    """
    sheet, reading, lines = read_table(asked)
    file = asked.data.name
    refuse(asked, "a series", "--task", "--drop-missing-targets")
    check_columns(asked, sheet, "--target", "--group", "--time")
    if asked.group:
        return _with_classes(asked, name, sheet, reading, lines)
    found = guessing.guess_series(sheet, asked.target, file, time=asked.time, missing=asked.missing)
    time = next((of for of, guess in found.items() if guess.kind == "date" or of == asked.time), None)
    columns = declared({of: guess.column for of, guess in found.items()}, "columns")
    told = "each row is a step"
    if time is not None:
        told = f"a step is {steps.of(sheet.column(time), columns[time], Where(file, time, sheet.lines))}, by '{time}'"
    targets = [of for of, guess in found.items() if guess.kind == "number_target"]
    when = "the next" if asked.horizon in (None, 1) else f"{asked.horizon} steps ahead,"
    lines += [f"told: {when} {', '.join(targets)}; {told}", "", *columns_told(found)]
    past, horizon = round(len(sheet.rows) * (1 - TEST) * (1 - VALIDATION)), asked.horizon or 1
    context = min(max(24, horizon), past // 4)
    if context < 2 or len(sheet.rows) * TEST < FEW:
        raise UserError(
            f"{file}: expected {round(FEW / TEST)} steps at least, for a test of {FEW}, got {len(sheet.rows)}"
        )
    if horizon > past // 4:
        raise UserError(
            f"--horizon must be at most {past // 4}, a quarter of the {past} training steps of {file}, got {horizon}"
        )
    lines += ["", f"split: the last fifth of the steps is the test; networks see {context} steps"]
    prepare = {
        "_target_": "howdeep.data.own_series.prepare", "_partial_": True, "file": file_of(asked, name), **reading,
        "columns": {of: guess.column for of, guess in found.items()}, "time": time, "test_fraction": TEST,
    }  # fmt: skip
    examples = {
        "_target_": "howdeep.data.examples.windows", "_partial_": True, "context": "${data.context}",
        "in_shape": "${data.in_shape}", "validation_fraction": VALIDATION,
        "horizon": horizon,
    }  # fmt: skip
    config = config_of(
        *(asked, name, "forecasting", prepare, examples, ["${data.context}", len(targets)], len(targets)),
        context=context,
    )
    margin = ("mae", 0.02, "a fiftieth of the standard deviation of the series; say what matters to you")
    notes = {
        "context": "steps that networks see",
        "examples.horizon": "steps from the last of them to the one that is told",
        "in_shape": "(steps, variables)",
    }
    return Proposal(name, lines, config, "forecasting", ("mlp", "gru"), len(sheet.rows), margin, notes=notes)


def _with_classes(
    asked: Asked, name: str, sheet: Sheet, reading: dict[str, Any], lines: list[str]
) -> Proposal:
    """Many series, told apart by --group, with a class each."""
    refuse(asked, "series with classes", "--horizon")
    file, by = asked.data.name, str(asked.group)
    targets, why = guessing.target_of(sheet, asked.target, file)
    rows = rows_of(sheet, by)
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
            columns[column] = guessing.left_out("it says which series a row is of", 0)
        elif column == asked.time:
            if guess.kind not in ("date", "number"):
                raise UserError(f"{file}: expected dates or numbers in --time '{column}', got {guess.why}")
            columns[column] = guess._replace(happens="the time of each row")
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
    margin = ("accuracy", 0.01, "one right answer of a hundred; say what matters to you")
    return Proposal(
        name,
        lines,
        config,
        "classification",
        ("mlp", "gru"),
        len(rows),
        margin,
        notes=notes,
    )
