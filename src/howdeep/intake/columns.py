"""Columns as a data set's YAML declares them: from text to numbers, and what is refused."""

import math
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from howdeep.errors import UserError, near
from howdeep.intake.reading import Sheet
from howdeep.intake.refusals import Where

YEAR = 365.2425  # days
MOST_DATES = 1 << 16  # that are kept
NO_NUMBERS = frozenset(("", "NA", "N/A", "NULL", "?", "-"))  # texts that `float` refuses
Missing = list[str]


class Column(BaseModel):
    """One column of a table. Its texts become a number each, `codes`, and these the inputs of networks, `expanded`.

    Args:
        missing: texts that stand for no value.
    """

    model_config = ConfigDict(extra="forbid")
    missing: Missing = [""]

    @property
    def width(self) -> int:
        """How many inputs it becomes."""
        return 0

    def codes(self, values: Sequence[str], where: Where) -> np.ndarray:
        """(rows,) float64, all that is kept of the texts; what is missing is NaN. Columns of no width have none.

        Raises:
            Refused: texts that are not as declared.
        """
        raise NotImplementedError

    def expanded(self, codes: np.ndarray) -> np.ndarray:
        """The inputs that codes stand for, (rows,) -> (rows, width) float64."""
        return np.empty((len(codes), 0))

    def inputs(self, values: Sequence[str], where: Where) -> np.ndarray:
        """(rows, width) float64; what is missing is NaN."""
        return self.expanded(self.codes(values, where) if self.width else np.empty(len(values)))


class Number(Column):
    """Numbers; what is missing is replaced by the mean of the training rows, and told by an input of its own.

    Args:
        decimal, thousands: the signs before the fraction, and between groups of three digits.
        indicator: whether there is an input that says that the number is missing.
    """

    kind: Literal["number"]
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    indicator: bool = False

    @property
    def width(self) -> int:
        return 2 if self.indicator else 1

    def numbers(self, values: Sequence[str], where: Where) -> np.ndarray:
        """(rows,) float64, NaN where one is missing.

        Raises:
            UserError: text that is no such number, or one that is not finite; with its places.
        """
        if (plain := self._plain(values)) is not None:
            return plain
        found, wrong = np.full(len(values), math.nan), []
        for place, text in enumerate(values):
            if text in self.missing:
                continue
            number = number_of(text, self.decimal, self.thousands)
            if number is None or not math.isfinite(number):
                wrong.append(place)
            else:
                found[place] = number
        if wrong:
            raise where.refused("numbers", values, wrong, "correct them, or list them under `missing`")
        return found

    def _plain(self, values: Sequence[str]) -> np.ndarray | None:
        """The same many times as fast, where all numbers are as Python has them; None where one may not be.

        Of ASCII without _, which may stand between digits, `float` takes what `number_of` takes, and infinity and NaN.
        """
        whole = "".join(values)
        if self.decimal != "." or self.thousands or not whole.isascii() or "_" in whole:
            return None
        missing = frozenset(self.missing)
        try:
            if missing <= NO_NUMBERS or missing.isdisjoint(values):
                found = np.fromiter(map(float, values), np.float64, len(values))
                return found if np.isfinite(found).all() else None
        except ValueError:
            pass
        try:
            found = np.array([math.nan if text in missing else float(text) for text in values])
        except ValueError:
            return None
        strange = np.flatnonzero(~np.isfinite(found)).tolist()
        return found if all(values[place] in missing for place in strange) else None

    def codes(self, values: Sequence[str], where: Where) -> np.ndarray:
        numbers = self.numbers(values, where)
        if not self.indicator and (missing := np.flatnonzero(np.isnan(numbers))).size:
            raise where.refused(
                "no missing numbers", values, missing.tolist(), "set indicator: true", absent=True
            )
        return numbers

    def expanded(self, codes: np.ndarray) -> np.ndarray:
        return np.stack([codes, np.isnan(codes)], axis=1) if self.indicator else codes[:, None]


class Places(dict[str, int]):
    """Numbers of words, and `other` of any other word. To look words up with `get` takes five times as long."""

    other: int

    def __missing__(self, word: str) -> int:
        return self.other


class Category(Column):
    """One of several words: an input for each, and one for words that are not listed, or missing.

    Args:
        values: the words.
    """

    kind: Literal["category"]
    values: Annotated[list[str], Field(min_length=1)]

    @property
    def width(self) -> int:
        return len(self.values) + 1

    def codes(self, values: Sequence[str], where: Where) -> np.ndarray:
        return self.indices(values).astype(np.float64)

    def expanded(self, codes: np.ndarray) -> np.ndarray:
        return np.eye(self.width)[codes.astype(np.int64)]

    def indices(self, values: Sequence[str]) -> np.ndarray:
        """(rows,) the place of each word, and the number of words for any other."""
        place = Places({word: index for index, word in enumerate(self.values) if word not in self.missing})
        place.other = len(self.values)
        return np.fromiter(map(place.__getitem__, values), np.int64, len(values))


class Boolean(Column):
    """Yes or no: one input, 1 for the first word and 0 for the other; missing ones as those of `Number`.

    Args:
        values: the word for yes and the word for no.
    """

    kind: Literal["boolean"]
    values: Annotated[list[str], Field(min_length=2, max_length=2)]
    indicator: bool = False

    @property
    def width(self) -> int:
        return 2 if self.indicator else 1

    @property
    def _number(self) -> Number:
        return Number(kind="number", missing=[""], indicator=self.indicator)

    def codes(self, values: Sequence[str], where: Where) -> np.ndarray:
        known = {self.values[0]: 1.0, self.values[1]: 0.0, **dict.fromkeys(self.missing, math.nan)}
        try:
            found = np.fromiter(map(known.__getitem__, values), np.float64, len(values))
        except KeyError:
            found = None
        if found is not None and (self.indicator or not np.isnan(found).any()):
            return found
        of = {self.values[0]: "1", self.values[1]: "0", **dict.fromkeys(self.missing, "")}
        return self._number.codes([of.get(text, text or "?") for text in values], where)

    def expanded(self, codes: np.ndarray) -> np.ndarray:
        return self._number.expanded(codes)


class Date(Column):
    """A date: three inputs, years since 2000 and the place in the year as a point of a circle.

    Args:
        format: as `datetime.strptime` has it, such as %Y-%m-%d.
    """

    kind: Literal["date"]
    format: str

    @property
    def width(self) -> int:
        return 3

    def days(self, values: Sequence[str], where: Where) -> np.ndarray:
        """(rows,) days since 2000, of dates with a time zone in UTC; NaN where one is missing."""
        if frozenset(self.missing).isdisjoint(values):
            with suppress(ValueError):
                return np.fromiter(map(calendar(self.format).__getitem__, values), np.float64, len(values))
        found, wrong = np.full(len(values), math.nan), []
        for place, text in enumerate(values):
            if text in self.missing:
                continue
            try:
                found[place] = calendar(self.format)[text]
            except ValueError:
                wrong.append(place)
        if wrong:
            raise where.refused(
                f"dates as {self.format}", values, wrong, "correct them, or list them under `missing`"
            )
        return found

    def codes(self, values: Sequence[str], where: Where) -> np.ndarray:
        days = self.days(values, where)
        if (missing := np.flatnonzero(np.isnan(days))).size:
            raise where.refused(
                "no missing dates", values, missing.tolist(), "fill them, or exclude the column", absent=True
            )
        return days

    def expanded(self, codes: np.ndarray) -> np.ndarray:
        years = codes / YEAR
        angle = 2 * np.pi * years
        return np.stack([years, np.sin(angle), np.cos(angle)], axis=1)


class Calendar(dict[str, float]):
    """The days from 2000 to dates of a format, of those with a time zone in UTC; kept, since they are slow to read.

    Raises:
        ValueError: a text that is no such date.
    """

    def __init__(self, form: str) -> None:
        self.form = form

    def __missing__(self, text: str) -> float:
        moment = datetime.strptime(text, self.form)
        if moment.tzinfo:  # clocks that are put back show an hour twice
            moment = moment.astimezone(UTC).replace(tzinfo=None)
        if len(self) >= MOST_DATES:
            self.clear()
        self[text] = days = (moment - datetime(2000, 1, 1)).total_seconds() / 86_400
        return days


calendar = cache(Calendar)


class Text(Column):
    """A text that is read as a sequence, see `data.own_text`."""

    kind: Literal["text"]


class Excluded(Column):
    """A column that networks do not see.

    Args:
        because: why.
    """

    kind: Literal["excluded"]
    because: str


class Target(Column):
    """What is to be told: one of several classes.

    Args:
        classes: their names, in the order of the outputs.
    """

    kind: Literal["classes"]
    classes: Annotated[list[str], Field(min_length=2)]

    def labels(self, values: Sequence[str], where: Where) -> np.ndarray:
        """(rows,) int64, the index of each row's class.

        Raises:
            UserError: a class that is not listed, or none.
        """
        place = {name: index for index, name in enumerate(self.classes)}
        try:
            return np.fromiter(map(place.__getitem__, values), np.int64, len(values))
        except KeyError:
            wrong = [index for index, text in enumerate(values) if text not in place]
        raise where.refused("one of the classes", values, wrong, "list it under `classes`, or correct it")


class NumberTarget(Number):
    """What is to be told: a number."""

    kind: Literal["number_target"]  # type: ignore[assignment]

    @property
    def width(self) -> int:
        return 0

    def expanded(self, codes: np.ndarray) -> np.ndarray:
        return np.empty((len(codes), 0))


KINDS: dict[str, type[Column]] = {
    "number": Number, "category": Category, "boolean": Boolean, "date": Date, "text": Text, "excluded": Excluded,
    "classes": Target, "number_target": NumberTarget,
}  # fmt: skip


def declared(content: Mapping[str, Any], where: str) -> dict[str, Column]:
    """The columns of a data set's YAML, by name.

    Raises:
        UserError: a key that is unknown or missing, in one line.
    """
    found = {}
    for name, node in content.items():
        if not isinstance(node, Mapping):
            raise UserError(f"{where}.{name} must be a map with kind and more, got {node!r}")
        kind = node.get("kind")
        if kind not in KINDS:
            raise UserError(
                f"{where}.{name}.kind must be one of {', '.join(KINDS)}, got {kind!r}{near(kind, KINDS)}"
            )
        try:
            found[str(name)] = KINDS[kind].model_validate(dict(node))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            known = list(KINDS[kind].model_fields)
            if first["type"] == "extra_forbidden":
                told = f"has the unknown key '{place}'{near(place, known)}"
            elif first["type"] == "missing":
                told = f"lacks the key '{place}'"
            else:
                told = f"{place}: {first['msg'][:1].lower()}{first['msg'][1:]}, got {first['input']!r}"
            raise UserError(f"{where}.{name} ({kind}) {told}") from None
    return found


def check_names(columns: Mapping[str, Column], sheet: Sheet, file: str) -> None:
    """Raises `UserError` unless the file has the declared columns and no other."""
    for name in columns:
        if name not in sheet.names:
            raise UserError(f"{file}: expected the column '{name}', found none{near(name, sheet.names)}")
    for name in sheet.names:
        if name not in columns:
            raise UserError(
                f"{file} has the column '{name}', of which data.prepare.columns says nothing: declare it there, "
                "with kind: excluded if networks shall not see it"
            )


_PLAIN = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)


def number_of(text: str, decimal: str, thousands: str | None) -> float | None:
    """The number that a text is; None if it is none. Groups of thousands have three digits each, or it is none."""
    text = text.strip().replace("\N{MINUS SIGN}", "-")
    if _INFINITE.fullmatch(text):
        return math.inf
    if thousands:
        whole, sign, fraction = text.partition(decimal)
        digits = whole.lstrip("+-")
        if thousands in digits:
            first, *groups = digits.split(thousands)
            if not (1 <= len(first) <= 3 and all(len(group) == 3 and group.isdigit() for group in groups)):
                return None
            whole = whole.replace(thousands, "")
        if thousands in fraction:
            return None
        text = whole + sign + fraction
    if decimal != ".":
        if "." in text:
            return None
        text = text.replace(decimal, ".", 1)
    return float(text) if text.isascii() and _PLAIN.fullmatch(text) else None
