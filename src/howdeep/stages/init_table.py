"""What `howdeep init` proposes for a table."""

from collections.abc import Mapping, Sequence

from howdeep.errors import UserError
from howdeep.intake import guessing, leaks
from howdeep.intake.columns import declared
from howdeep.intake.guessing import Guess
from howdeep.intake.reading import Sheet
from howdeep.intake.refusals import SHOWN
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
    refuse,
    sample_table,
)

GROUPS = 3  # at least
TOLD = {
    "stratified": "a fifth of the rows are the test, at random, class by class (--group and --time split otherwise)",
    "random": "a fifth of the rows are the test, at random (--group and --time split otherwise)",
    "group": "all rows with one value of '{by}' are on one side; a fifth of the rows are the test",
    "time": "the last fifth of the rows, by '{by}', is the test",
}


def propose_table(asked: Asked, name: str) -> Proposal:
    """A table: each row is an example, whose target is a class or numbers.

    Raises:
        UserError: no such table, a target that cannot be told, too few rows, an option that does not fit.
    """
    refuse(asked, "a table", "--horizon", "--known")
    looked_at, reading, lines = sample_table(asked)
    sheet, file = looked_at.sheet, asked.data.name
    targets, why = guessing.target_of(sheet, asked.target, file)
    if asked.task not in (None, "classification", "regression"):
        raise UserError(f"--task must be classification or regression, got '{asked.task}'")
    check_columns(asked, sheet, "--group", "--time")
    if asked.group and asked.time:
        raise UserError("expected one of --group and --time, got both: rows are split in one way")
    if asked.group and (groups := len(set(sheet.column(asked.group)))) < GROUPS:
        raise UserError(
            f"{file}: expected {GROUPS} different values at least in --group '{asked.group}', for training, validation "
            f"and test, got {groups}: name another column"
        )
    found = guessing.guess(
        sheet, targets, file, task=asked.task, missing=asked.missing, sampled=not looked_at.is_whole
    )
    if asked.group and found[asked.group].kind != "excluded":
        found[asked.group] = guessing.left_out("rows are split by it", found[asked.group].missing)
    if asked.time and found[asked.time].kind not in ("date", "number"):
        raise UserError(
            f"{file}: expected dates or numbers in --time '{asked.time}', got {found[asked.time].why}"
        )
    lines.append(f"told: {', '.join(targets)} ({why}; {found[targets[0]].why})")
    lines += ["", *columns_told(found)]
    _check_rows(sheet, targets, found, asked, file)
    inputs = {of: guess for of, guess in found.items() if guess.kind != "excluded" and of not in targets}
    if not inputs:
        raise UserError(
            f"{file}: expected a column that networks can learn from, got {_why(found, targets) or 'targets alone'}: "
            "add one, or say --kind text where a text is to be read"
        )
    classes = found[targets[0]].column.get("classes")
    task = "classification" if classes else "regression"
    split = "group" if asked.group else "time" if asked.time else "stratified" if classes else "random"
    by = asked.group or asked.time
    lines += ["", f"split: {TOLD[split].format(by=by)}"]
    lines += few_told(round(looked_at.rows * TEST), "rows")
    lines += [f"beware: {danger}" for danger in leaks.found(sheet, found, targets, split, by)]
    columns = {of: guess.column for of, guess in found.items()}
    width = sum(column.width for column in declared(columns, "columns").values())
    prepare = {
        "_target_": "howdeep.data.own_table.prepare", "_partial_": True, "file": file_of(asked, name), **reading,
        "columns": columns, "split": split, **({"by": by} if by else {}), "test_fraction": TEST,
        **({} if split == "time" else {"seed": 0}),
        **({"drop_missing_targets": True} if asked.drop_missing_targets else {}),
    }  # fmt: skip
    how = {"group": "own_table.grouped", "time": "own_table.in_order"}.get(split, "examples.labelled")
    examples = {
        "_target_": f"howdeep.data.{how}", "_partial_": True, "in_shape": "${data.in_shape}",
        "validation_fraction": VALIDATION, **({} if split == "time" else {"seed": 0}),
    }  # fmt: skip
    config = config_of(asked, name, task, prepare, examples, [width], len(classes or targets))
    margin = (
        MARGIN_OF_CLASSES
        if classes
        else ("mse", 0.02, "a fiftieth of the variance of the target; say what matters to you")
    )
    return Proposal(name, lines, config, task, ("mlp",), looked_at.rows, margin)


def _why(found: Mapping[str, Guess], targets: Sequence[str]) -> str:
    told = [f"'{of}', which is left out ({guess.why})" for of, guess in found.items() if of not in targets]
    return ", ".join(told[:SHOWN]) + (f" and {len(told) - SHOWN} more" if len(told) > SHOWN else "")


def _check_rows(
    sheet: Sheet, targets: Sequence[str], found: dict[str, Guess], asked: Asked, file: str
) -> None:
    missing = found[targets[0]].missing
    if missing and not asked.drop_missing_targets:
        raise UserError(
            f"{file}, column '{targets[0]}': expected a target in every row, but {missing} of {len(sheet.rows)} have "
            "none: write them, or add --drop-missing-targets"
        )
    if (rows := len(sheet.rows) - missing) * TEST < FEW:
        raise UserError(
            f"{file}: expected {round(FEW / TEST)} rows at least, for a test of {FEW}, got {rows}"
        )
