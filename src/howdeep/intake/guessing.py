"""What the columns of an unknown table are taken for, and why: guesses that people read, and change in a YAML."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from howdeep.errors import UserError, near
from howdeep.intake import formats
from howdeep.intake.columns import number_of
from howdeep.intake.reading import Sheet
from howdeep.intake.refusals import SHOWN

MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "NaN",
    "nan",
    "NULL",
    "null",
    "None",
    "none",
    "?",
    "-",
    ".",
    "#N/A",
    "<NA>",
    "NaT",
)
REFERENCE = "${"
MAY_BE_CLASSES = {"-", ".", "?", "none", "None"}
TARGETS = ("target", "class", "label", "y", "species", "outcome", "quality")
MOST_WORDS = 50  # of a category
MOST_CLASSES = 20  # of whole numbers that are taken for classes
MOSTLY = 0.9  # of the values that are numbers: then the others are mistakes


class Guess(NamedTuple):
    """What a column is taken for.

    Args:
        column: as the data set's YAML declares it.
        why: in words.
        missing: how many values it lacks.
        happens: what it becomes.
    """

    column: dict[str, Any]
    why: str
    missing: int
    happens: str

    @property
    def kind(self) -> str:
        return self.column["kind"]


def target_of(sheet: Sheet, wanted: Sequence[str], file: str) -> tuple[list[str], str]:
    """The columns that are to be told, and why.

    Raises:
        UserError: a column that there is not.
    """
    for name in wanted:
        if name not in sheet.names:
            raise UserError(f"expected a column of {file} as --target, got '{name}'{near(name, sheet.names)}")
    if wanted:
        return list(wanted), "you said so"
    by_name = {name.lower(): name for name in reversed(sheet.names)}
    for name in TARGETS:
        if name in by_name:
            return [by_name[name]], f"it is called {by_name[name]}; --target COLUMN takes another"
    return [sheet.names[-1]], "it is the last column; --target COLUMN takes another"


def guess(
    sheet: Sheet,
    targets: Sequence[str],
    file: str,
    *,
    task: str | None = None,
    missing: Collection[str] = (),
    sampled: bool = False,
) -> dict[str, Guess]:
    """What each column is taken for.

    Args:
        targets: columns that are to be told.
        task: "classification" or "regression"; None: what the target looks like.
        missing: texts that stand for no value in any column, beside the usual ones.
        sampled: whether the table has more rows than these, so that a class may be less rare than it is here.

    Raises:
        UserError: a target that cannot be told, or numbers with text among them.
    """
    found = {}
    for name in sheet.names:
        values = sheet.column(name)
        if name in targets:
            found[name] = _target(name, values, sheet, file, task, missing, sampled=sampled)
        else:
            found[name] = guess_input(name, values, sheet, file, missing)
    kinds = {found[name].kind for name in targets}
    if len(targets) > 1 and kinds != {"number_target"}:
        raise UserError(
            f"{file}: expected numbers in every one of several targets, got classes: name one --target"
        )
    return {
        name: _excluded(of, why)
        if name not in targets and (why := _tells(sheet, name, targets, found))
        else of
        for name, of in found.items()
    }


def guess_input(name: str, values: Sequence[str], sheet: Sheet, file: str, more: Collection[str]) -> Guess:
    """What a column that is no target is taken for.

    Args:
        more: texts that stand for no value, beside the usual ones.

    Raises:
        UserError: numbers with text among them.
    """
    usual = {*MISSING, *more}
    there = [text for text in values if text not in usual]
    words = [text for text in values if text and text not in more]  # NA may be a word
    if not there:
        return Guess(
            {"kind": "excluded", "because": "all values are missing"},
            "all values are missing",
            len(values),
            "left out",
        )
    distinct = Counter(there)
    lacking = sorted({text for text in values if text in usual})
    if len(distinct) == 1 and len(there) == len(values):
        return left_out(f"it is always '{there[0]}'", 0)
    if pair := formats.yes_and_no(distinct):
        missing = len(values) - len(there)
        return Guess(
            {"kind": "boolean", "values": pair, "missing": lacking or [""], "indicator": bool(missing)},
            f"there are two words, {pair[0]} and {pair[1]}", missing, _becomes("1 for yes, 0 for no", missing),
        )  # fmt: skip
    if style := formats.style_of(there):
        if code := formats.code_of(there):
            return _words(words, values, f"{code}: a code and no quantity", more)
        whole = all(re.fullmatch(r"[+-]?\d+", text) for text in there)
        if whole and formats.counts_rows(there, len(values), sheet.lines):
            return left_out("it counts the rows", 0)
        if whole and len(distinct) == len(values) and formats.names_rows(name):
            return left_out("it names the rows: every value is there once", 0)
        decimal, thousands = style
        missing = len(values) - len(there)
        why = f"all values are {'whole ' if whole else ''}numbers"
        if decimal == "," or thousands:
            why += (
                f", with '{decimal}' before the fraction"
                if decimal == ","
                else f", with '{thousands}' between thousands"
            )
        return Guess(
            {"kind": "number", "decimal": decimal, "thousands": thousands, "missing": lacking or [""],
             "indicator": bool(missing)},
            why, missing, _becomes("standardised", missing),
        )  # fmt: skip
    if form := formats.format_of(there):
        missing = len(values) - len(there)
        if missing:
            return left_out(f"dates as {form}, of which {missing} are missing", missing)
        return Guess(
            {"kind": "date", "format": form, "missing": lacking or [""]},
            f"all values are dates as {form}", 0, "years, and the time of the year",
        )  # fmt: skip
    _check_numbers(name, values, there, sheet, file)
    return _words(words, values, "", more)


def _words(words: Sequence[str], values: Sequence[str], why: str, more: Collection[str]) -> Guess:
    """A category, or text that is left out."""
    distinct, missing = sorted(set(words)), len(values) - len(words)
    if strange := [word for word in distinct if REFERENCE in word]:
        return left_out(f"'{strange[0]}' would be read as a reference in a YAML of Hydra", missing)
    if len(distinct) == len(words) and len(words) > 2:
        return left_out(
            f"{why}; every value is there once" if why else "text: every value is there once", missing
        )
    if len(distinct) > min(MOST_WORDS, max(2, len(words) // 2)):
        told = f"{len(distinct)} different texts in {len(values)} rows"
        return left_out(f"{why}; {told}" if why else f"text: {told}", missing)
    told = f"{len(distinct)} different words" if len(distinct) != 1 else "one word, or none"
    return Guess(
        {"kind": "category", "values": distinct, "missing": ["", *sorted(more)]},
        f"{why}; {told}" if why else told, missing, "an input for each word, and one for any other",
    )  # fmt: skip


def _target(
    name: str,
    values: Sequence[str],
    sheet: Sheet,
    file: str,
    task: str | None,
    more: Collection[str],
    *,
    sampled: bool,
) -> Guess:
    usual = {*MISSING, *more}
    there = [text for text in values if text not in usual]
    if not formats.style_of(there):  # + and - may be classes, as may be "none"
        usual -= MAY_BE_CLASSES - set(more)
        there = [text for text in values if text not in usual]
    if not there:
        raise UserError(
            f"{file}, column '{name}': expected a target, got missing values alone: name another --target"
        )
    missing, lacking = len(values) - len(there), sorted({text for text in values if text in usual}) or [""]
    distinct, style = Counter(there), formats.style_of(there)
    if len(distinct) == 1:
        raise UserError(
            f"{file}, column '{name}': expected a target that differs between rows, got '{there[0]}' in all of them: "
            "name another --target"
        )
    whole = all(re.fullmatch(r"[+-]?\d+", text) for text in there)
    if task == "regression" and not style:
        _check_numbers(name, values, there, sheet, file, all_of_them=True)
    if not style:
        _check_numbers(name, values, there, sheet, file)
    few = whole and len(distinct) <= MOST_CLASSES and len(there) >= 10 * len(distinct)
    if style and (task == "regression" or (task is None and not few)):
        decimal, thousands = style
        why = "numbers" if task is None else "numbers, as --task says"
        return Guess(
            {"kind": "number_target", "decimal": decimal, "thousands": thousands, "missing": lacking},
            f"{why}; --task classification takes each for a class", missing, "told: a number",
        )  # fmt: skip
    classes = sorted(
        distinct, key=lambda text: (number_of(text, ".", None) or 0.0, text) if style else (0.0, text)
    )
    if len(classes) > max(2, len(there) // 5):
        raise UserError(
            f"{file}, column '{name}': expected few classes with many rows each, got {len(classes)} different texts in "
            f"{len(there)} rows: name another --target"
        )
    if strange := [label for label in distinct if REFERENCE in label]:
        raise UserError(
            f"{file}, column '{name}': expected classes without {REFERENCE}, which Hydra reads as a reference, "
            f"got '{strange[0]}': give it another name"
        )
    rare = [f"'{label}' has {often}" for label, often in distinct.items() if often < 5]
    if rare and not sampled:
        raise UserError(
            f"{file}, column '{name}': expected 5 rows of each class at least, for training, validation and test, but "
            f"{', '.join(rare[:SHOWN])}: leave such rows out, or join classes"
        )
    why = f"{len(classes)} different {'whole numbers' if style else 'words'}"
    switch = "; --task regression takes them for numbers" if style else ""
    return Guess(
        {"kind": "classes", "classes": classes, "missing": lacking}, why + switch, missing, "told: one of the classes"
    )  # fmt: skip


def left_out(why: str, missing: int) -> Guess:
    return Guess({"kind": "excluded", "because": why}, why, missing, "left out")


def _excluded(of: Guess, why: str) -> Guess:
    return left_out(why, of.missing)


def _becomes(what: str, missing: int) -> str:
    return f"{what}; where missing, the mean, and an input that says so" if missing else what


def _check_numbers(
    name: str,
    values: Sequence[str],
    there: Sequence[str],
    sheet: Sheet,
    file: str,
    *,
    all_of_them: bool = False,
) -> None:
    """Refuses numbers with a few texts among them: somebody has to say what they mean."""
    usual = set(MISSING)
    both = [  # with decimal points, and with decimal commas
        (
            [
                place
                for place, text in enumerate(values)
                if text not in usual and number_of(text, *style) is None
            ],
            sum(number_of(text, *style) is not None for text in there),
        )
        for style in formats.STYLES[:2]
    ]
    wrong, good = max(both, key=lambda of: of[1])
    if not (all_of_them or MOSTLY * len(there) <= good < len(there)):
        return
    told = ", ".join(f"'{values[place]}' in line {sheet.lines[place]}" for place in wrong[:SHOWN])
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    words = ",".join(dict.fromkeys(values[place] for place in wrong[:SHOWN]))
    raise UserError(
        f"{file}, column '{name}': expected numbers, as in {good} of {len(there)} rows, got {told}{more}: "
        f"correct them, or add --missing '{words}' if they stand for no value"
    )


def _tells(sheet: Sheet, name: str, targets: Sequence[str], found: Mapping[str, Guess]) -> str | None:
    """Why a column alone determines a target: the same in other words, or in other units."""
    if (kind := found[name].kind) == "excluded":
        return None
    own = sheet.column(name)
    for target in targets:
        other = sheet.column(target)
        if found[target].kind == "classes":
            pairs = set(zip(own, other, strict=True))
            if len(pairs) == len(set(own)) == len(set(other)):
                return f"each of its values stands for one of '{target}': it would tell the answer"
        elif kind == "number":
            both = [_numbers(sheet, column, found[column].column) for column in (name, target)]
            known = ~(np.isnan(both[0]) | np.isnan(both[1]))
            a, b = both[0][known], both[1][known]
            if len(a) > 2 and a.std() > 0 and b.std() > 0 and abs(np.corrcoef(a, b)[0, 1]) > 1 - 1e-9:
                return f"'{target}' is a straight line of it: it would tell the answer"
    return None


def _numbers(sheet: Sheet, name: str, column: Mapping[str, Any]) -> np.ndarray:
    found = (
        None if text in column["missing"] else number_of(text, column["decimal"], column["thousands"])
        for text in sheet.column(name)
    )
    return np.array([np.nan if value is None else value for value in found])
