"""Examples that are arrays of numbers: a column a number, in the order in which the network has them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from pydantic import Field

from howdeep.encoding.inputs import Inputs, Source, by_place, listed, numbered, standardised
from howdeep.errors import UserError
from howdeep.intake.columns import Number
from howdeep.intake.reading import Sheet
from howdeep.intake.refusals import Where


class Numbers(Inputs):
    """Columns x1, x2, ... in the order of the flattened array; a table of exactly so many may call them anything.

    Args:
        mean, std: of the training examples, for all numbers or one for each.
        symbols: how many there are, where each number is one of 0 to symbols - 1; None where they measure something.
    """

    mean: list[float] = Field([0.0])
    std: list[float] = Field([1.0])
    symbols: int | None = None

    @classmethod
    def of(cls, data: Mapping[str, Any], card: Mapping[str, Any]) -> Self:
        moments = {name: listed(card[name]) for name in ("mean", "std") if name in card}
        return cls(shape=list(data["in_shape"]), symbols=data.get("vocabulary"), **moments)

    @property
    def dtype(self) -> str:
        return "float32" if self.symbols is None else "int64"

    def columns(self) -> dict[str, str]:
        return dict.fromkeys(self._own(), "number")

    def check(self, sheet: Sheet, file: str) -> None:
        self._names(sheet, file)

    def encoded(self, sheet: Sheet, source: Source) -> np.ndarray:
        names = self._names(sheet, source.file)
        number = Number(kind="number")
        columns = [
            number.inputs(sheet.column(name), Where(source.file, name, sheet.lines))[:, 0] for name in names
        ]
        x = np.stack(columns, axis=1)
        if self.symbols is None:
            return standardised(x, self.mean, self.std)
        wrong = (x != x.round()) | (x < 0) | (x >= self.symbols)
        if wrong.any():
            row, place = map(int, np.argwhere(wrong)[0])
            raise UserError(
                f"{source.file}, column '{names[place]}': expected whole numbers from 0 to {self.symbols - 1}, got "
                f"'{sheet.column(names[place])[row]}' in line {sheet.lines[row]}: correct it"
            )
        return x.astype(np.int64)

    def raw(self, x: np.ndarray) -> np.ndarray:
        """What a network's numbers were before they were standardised, (n, numbers)."""
        return x.reshape(len(x), -1) * np.array(self.std) + np.array(self.mean)

    def example(self) -> list[dict[str, float | str]]:
        mean = np.resize([0.0] if self.symbols else self.mean, math.prod(self.shape))
        return [dict(zip(self.columns(), mean.tolist(), strict=True))]

    def _own(self) -> list[str]:
        return numbered(math.prod(self.shape))

    def _names(self, sheet: Sheet, file: str) -> Sequence[str]:
        return by_place(sheet, self._own(), file, f"one for each of {' x '.join(map(str, self.shape))}")
