"""Examples that are rows of a table: the inputs of each column, filled and standardised."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Self

import numpy as np

from howdeep.encoding import table_inputs
from howdeep.encoding.inputs import Inputs, Source, listed
from howdeep.intake import columns as declared
from howdeep.intake.columns import Boolean, Category, Column, Date, Number, NumberTarget
from howdeep.intake.reading import Sheet

SEEN = (Number, Category, Boolean, Date)


class Table(Inputs):
    """A row of somebody's own table, as its columns are declared.

    Args:
        declared: what each column is, as in the data set's YAML; those that networks do not see are left out.
        mean, std: of the inputs of the training rows; what is missing becomes the mean.
    """

    declared: dict[str, dict[str, Any]]
    mean: list[float]
    std: list[float]

    @classmethod
    def of(cls, data: Mapping[str, Any], card: Mapping[str, Any]) -> Self:
        known = declared.declared(data["prepare"]["columns"], "data.prepare.columns")
        seen = {name: column.model_dump(mode="json") for name, column in known.items() if _is_seen(column)}
        return cls(
            shape=list(data["in_shape"]), declared=seen, mean=listed(card["mean"]), std=listed(card["std"])
        )

    def columns(self) -> dict[str, str]:
        return {
            name: "number" if isinstance(column, Number) else "text" for name, column in self._known.items()
        }

    def encoded(self, sheet: Sheet, source: Source) -> np.ndarray:
        return table_inputs.inputs_of(sheet, self._known, source.file, mean=self.mean, std=self.std)

    def example(self) -> list[dict[str, float | str]]:
        """A row of the first words and of mean numbers."""
        place, row = 0, {}
        for name, column in self._known.items():
            if isinstance(column, Category | Boolean):
                row[name] = column.values[0]
            elif isinstance(column, Date):
                row[name] = datetime(2000, 1, 1).strftime(column.format)
            else:
                row[name] = float(f"{self.mean[place]:.4g}")
            place += column.width
        return [row]

    def parts(self) -> list[str]:
        return [name for name, column in self._known.items() for _ in range(column.width)]

    def written(self, name: str, number: float) -> str:
        column = self._known.get(name)
        return repr(number).replace(".", column.decimal if isinstance(column, Number) else ".")

    def unseen(self, sheet: Sheet) -> Counter[tuple[str, str]]:
        """Words that are not listed: they share an input of their own."""
        found: Counter[tuple[str, str]] = Counter()
        for name, column in self._known.items():
            if isinstance(column, Category):
                known = {*column.values, *column.missing}
                found.update((name, word) for word in sheet.column(name) if word not in known)
        return found

    @cached_property
    def _known(self) -> dict[str, Column]:
        return declared.declared(self.declared, "columns")


def _is_seen(column: Column) -> bool:
    return isinstance(column, SEEN) and not isinstance(column, NumberTarget)
