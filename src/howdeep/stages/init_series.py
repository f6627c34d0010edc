"""What `howdeep init` proposes for a series in time."""

from howdeep.errors import UserError
from howdeep.intake import guessing, steps
from howdeep.intake.columns import Where, declared
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


def propose_series(asked: Asked, name: str) -> Proposal:
    """A series: each row is a step in time.

    Raises:
        UserError: no such table, missing numbers, uneven steps, too few of them, an option that does not fit.
    """
    sheet, reading, lines = read_table(asked)
    file = asked.data.name
    refuse(asked, "a series", "--group", "--task", "--drop-missing-targets")
    check_columns(asked, sheet, "--target", "--time")
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
    if horizon > past // 4:
        raise UserError(
            f"--horizon must be at most {past // 4}, a quarter of the {past} training steps of {file}, got {horizon}"
        )
    if context < 2 or len(sheet.rows) * TEST < FEW:
        raise UserError(
            f"{file}: expected {round(FEW / TEST)} steps at least, for a test of {FEW}, got {len(sheet.rows)}"
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
        asked, name, "forecasting", prepare, examples, ["${data.context}", len(targets)], len(targets)
    )
    config = {**config, "context": context}
    margin = ("mae", 0.02, "a fiftieth of the standard deviation of the series; say what matters to you")
    notes = {
        "context": "steps that networks see",
        "examples.horizon": "steps from the last of them to the one that is told",
        "in_shape": "(steps, variables)",
    }
    return Proposal(name, lines, config, "forecasting", ("mlp", "gru"), len(sheet.rows), margin, notes=notes)
