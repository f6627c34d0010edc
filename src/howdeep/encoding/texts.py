"""Examples that are texts: symbols as numbers."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from howdeep.encoding.inputs import Inputs, Source
from howdeep.intake.columns import Text, declared
from howdeep.intake.reading import Sheet
from howdeep.intake.refusals import Where

PADDING, UNKNOWN = 0, 1  # what stands before a short text, and for a symbol that training texts do not have
RESERVED = 2
UNKNOWN_SIGN, PRIVATE = "\N{REPLACEMENT CHARACTER}", 0xE000
WORD = re.compile(r"\w+|[^\w\s]")


class Texts(Inputs):
    """A text a row: its last symbols.

    Args:
        column: where it stands.
        unit: characters, or words, without regard to capitals.
        symbols: those of the training texts, by their numbers.
    """

    column: str
    unit: str
    symbols: list[str]

    @classmethod
    def of(cls, data: Mapping[str, Any], card: Mapping[str, Any]) -> Self:
        known = declared(data["prepare"]["columns"], "data.prepare.columns")
        (column,) = [name for name, of in known.items() if isinstance(of, Text)]
        return cls(shape=list(data["in_shape"]), column=column, unit=card["unit"], symbols=card["symbols"])

    @property
    def dtype(self) -> str:
        return "int64"

    def columns(self) -> dict[str, str]:
        return {self.column: "text"}

    def encoded(self, sheet: Sheet, source: Source) -> np.ndarray:
        texts = sheet.column(self.column)
        if empty := [place for place, text in enumerate(texts) if not text]:
            where = Where(source.file, self.column, sheet.lines)
            raise where.refused("a text", texts, empty, "write one")
        return encoded([symbols_of(text, self.unit) for text in texts], self.symbols, self.shape[0])

    def example(self) -> list[dict[str, float | str]]:
        between = " " if self.unit == "words" else ""
        text = between.join(self.symbols[: self.shape[0]]).strip() or self.symbols[-1]
        return [{self.column: text}]


class RunningText(Inputs):
    """A text a row, of which the last characters are read, to tell the next one.

    Args:
        alphabet: the character that each number stands for.
        unknown: the number of any other.
    """

    blanks: ClassVar[bool] = True
    alphabet: str
    unknown: int = 0

    @classmethod
    def of(cls, data: Mapping[str, Any], card: Mapping[str, Any]) -> Self:
        return cls(shape=list(data["in_shape"]), alphabet=alphabet_of(data, card))

    @property
    def dtype(self) -> str:
        return "int64"

    def columns(self) -> dict[str, str]:
        return {"text": "text"}

    def encoded(self, sheet: Sheet, source: Source) -> np.ndarray:
        texts = [unicodedata.normalize("NFC", text) for text in sheet.column("text")]
        length = self.shape[0]
        if short := [place for place, text in enumerate(texts) if len(text) < length]:
            where = Where(source.file, "text", sheet.lines)
            raise where.refused(f"{length} characters at least", texts, short, "write more")
        numbers = {sign: place for place, sign in enumerate(self.alphabet)}
        return np.array(
            [[numbers.get(sign, self.unknown) for sign in text[-length:]] for text in texts], dtype=np.int64
        )

    def window(self, text: str, before: np.ndarray) -> np.ndarray:
        """The numbers of the last characters of a text, (time,); of a short one after others that stand before it.

        Args:
            before: (time,) the numbers of these.
        """
        numbers = {sign: place for place, sign in enumerate(self.alphabet)}
        own = [numbers.get(sign, self.unknown) for sign in unicodedata.normalize("NFC", text)]
        return np.concatenate([before, np.array(own, dtype=np.int64)])[-len(before) :]

    def text(self, numbers: np.ndarray) -> str:
        """The characters of numbers, (time,)."""
        return "".join(self.alphabet[number] for number in numbers.tolist())

    def example(self) -> list[dict[str, float | str]]:
        return [{"text": (self.alphabet * self.shape[0])[: self.shape[0]]}]


def alphabet_of(data: Mapping[str, Any], card: Mapping[str, Any]) -> str:
    """The character of each number: first what stands for unknown ones, at the end private ones that never occur."""
    known = UNKNOWN_SIGN + card["alphabet"]
    return known + "".join(chr(PRIVATE + place) for place in range(int(data["vocabulary"]) - len(known)))


def symbols_of(text: str, unit: str) -> Sequence[str]:
    """The symbols of a text, in order."""
    text = unicodedata.normalize("NFC", text)
    return WORD.findall(text.casefold()) if unit == "words" else text


def encoded(texts: Sequence[Sequence[str]], known: Sequence[str], length: int) -> np.ndarray:
    """The numbers of the last symbols of each text, (n, length) int64."""
    numbers = {symbol: place for place, symbol in enumerate(known, RESERVED)}
    x = np.full((len(texts), length), PADDING, dtype=np.int64)
    for row, text in enumerate(texts):
        last = [numbers.get(symbol, UNKNOWN) for symbol in text[-length:]]
        x[row, length - len(last) :] = last
    return x
