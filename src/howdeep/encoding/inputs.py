"""What every kind of input has in common, and how one becomes JSON and is read again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import BaseModel, ConfigDict

from howdeep.encoding.scale import standardise
from howdeep.errors import UserError, near
from howdeep.intake.reading import Sheet
from howdeep.intake.refusals import SHOWN

ROOM = "howdeep.encoding."


class Source(NamedTuple):
    """Where rows come from.

    Args:
        file: its name, for messages.
        folder: where paths in rows begin; None where no file may be read, and contents stand in the rows as base64.
    """

    file: str
    folder: Path | None = None


class Examples(NamedTuple):
    """What a network is asked.

    Args:
        rows: that are asked about: an answer each.
        x: (rows, *shape); zeros where a row is wrong.
        errors: why a row is wrong; None where it is right.
        unseen: see `Inputs.unseen`, of rows that are right.
        scale: (2, rows, targets), mean and deviation of the answers to each row; None where all have the same.
    """

    rows: Sheet
    x: np.ndarray
    errors: list[str | None]
    unseen: Mapping[tuple[str, str], int] = MappingProxyType({})
    scale: np.ndarray | None = None


class Inputs(BaseModel):
    """How rows become the examples of a data set.

    Args:
        shape: of one example as the network takes it.
    """

    model_config = ConfigDict(extra="forbid")
    by_row: ClassVar[bool] = True  # whether a row means the same whatever stands around it
    blanks: ClassVar[bool] = False  # whether blanks around a value mean something
    shape: list[int]

    @property
    def dtype(self) -> str:
        """Of what a network takes: float32, or int64 where it takes symbols."""
        return "float32"

    @classmethod
    def of(cls, data: Mapping[str, Any], card: Mapping[str, Any]) -> Self:
        """From the config of a data set, and the card that its preparation wrote."""
        raise NotImplementedError

    def columns(self) -> dict[str, str]:
        """The columns that a row must have, and the type of each: number, or text."""
        raise NotImplementedError

    def encoded(self, sheet: Sheet, source: Source) -> np.ndarray:
        """(rows, *shape), what a network sees of rows that have all `columns`.

        Raises:
            UserError: a value that is no such thing, with its line.
        """
        raise NotImplementedError

    def example(self) -> list[dict[str, float | str]]:
        """Rows that could be asked about, as few as have an answer, for those who want to see what they look like."""
        raise NotImplementedError

    def parts(self) -> list[str]:
        """To what each number of an example belongs, flattened: a column, or a step of a sequence and a variable."""
        if len(self.shape) == 1:
            return numbered(self.shape[0])
        return [", ".join(map(str, place)) for place in np.ndindex(*self.shape)]

    def written(self, name: str, number: float) -> str:
        """A number of a column as the files of this data set write it."""
        return repr(number)

    def unseen(self, sheet: Sheet) -> Counter[tuple[str, str]]:
        """How often rows have a word that the training examples did not have, by column and word."""
        return Counter()

    def check(self, sheet: Sheet, file: str) -> None:
        """Raises `UserError` unless a table has the columns that are asked for; others may be there."""
        for name in self.columns():
            if name not in sheet.names:
                raise UserError(
                    f"{file}: expected the column '{name}', as in training, found none{near(name, sheet.names)}"
                )

    def examples(self, sheet: Sheet, source: Source) -> Examples:
        """Examples of all rows; a row that is wrong takes no other one with it.

        Raises:
            UserError: the table lacks a column.
        """
        self.check(sheet, source.file)
        x, errors = self._tolerant(sheet, source)
        right = [row for row, error in zip(sheet.rows, errors, strict=True) if error is None]
        return Examples(sheet, x, errors, self.unseen(sheet._replace(rows=right)))

    def _tolerant(self, sheet: Sheet, source: Source) -> tuple[np.ndarray, list[str | None]]:
        """Halves what is refused until the rows that are wrong stand alone."""
        n = len(sheet.rows)
        try:
            x = self.encoded(sheet, source)
            return x.reshape(n, *self.shape), [None] * n
        except UserError as error:
            if n == 1:
                return np.zeros((1, *self.shape), dtype=self.dtype), [str(error)]
        halves = [self._tolerant(part(sheet, *cut), source) for cut in ((0, n // 2), (n // 2, n))]
        x = np.concatenate([half for half, _ in halves])
        return x, [error for _, errors in halves for error in errors]


def part(sheet: Sheet, start: int, stop: int) -> Sheet:
    """The rows from `start` to before `stop`."""
    return Sheet(sheet.names, sheet.rows[start:stop], sheet.lines[start:stop])


def numbered(count: int) -> list[str]:
    """What the columns of a data set are called that came without names: x1, x2, ..."""
    return [f"x{place}" for place in range(1, count + 1)]


def by_place(sheet: Sheet, own: Sequence[str], file: str, what: str) -> Sequence[str]:
    """Which columns of a table are those of a data set that came without names: those, or as many of any name.

    Args:
        own: see `numbered`.
        what: the numbers are, for the message.
    """
    if set(own) <= set(sheet.names):
        return own
    if len(sheet.names) == len(own) and not set(own) & set(sheet.names):
        return sheet.names
    wanted = "1 column" if len(own) == 1 else f"{len(own)} columns"
    named = own[0] if len(own) == 1 else f"{own[0]} to {own[-1]}"
    raise UserError(
        f"{file}: expected {wanted} of numbers and no other, {what}, or {named} among others, got {len(sheet.names)}: "
        f"{', '.join(map(str, sheet.names[:SHOWN]))}{', ...' if len(sheet.names) > SHOWN else ''}"
    )


def dumped(of: BaseModel) -> dict[str, Any]:
    """As JSON has it, with the class by name."""
    return {"_target_": f"{type(of).__module__}.{type(of).__qualname__}", **of.model_dump(mode="json")}


def loaded(content: Mapping[str, Any], kind: type[BaseModel]) -> Any:
    """What `dumped` was given.

    Raises:
        ValueError: it names something else than a `kind` of this room.
    """
    options = dict(content)
    return class_of(str(options.pop("_target_", "")), kind).model_validate(options)


def class_of(name: str, kind: type[BaseModel]) -> Any:
    """The class of that name.

    Raises:
        ValueError: it is no `kind` of this room.
    """
    module, _, word = name.rpartition(".")
    found = getattr(import_module(module), word, None) if module.startswith(ROOM) else None
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise ValueError(f"expected one of {ROOM}*, a kind of {kind.__name__}, got {name!r}")
    return found


def standardised(x: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """As `scale.standardise`, with one mean and deviation for all numbers, or one for each."""
    center, scale = (np.array(of) if len(of) > 1 else of[0] for of in (mean, std))
    return standardise(x, center, scale)  # type: ignore[arg-type]


def listed(value: Any) -> list[float]:
    """A number, or several, as a list."""
    return [float(each) for each in np.ravel(value)]
