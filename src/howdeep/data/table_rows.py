"""One pass over the rows of a table: each is checked, and of each what is needed later is kept as numbers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from howdeep.encoding.table_inputs import codes_of
from howdeep.errors import UserError
from howdeep.intake import steps
from howdeep.intake.columns import Column, NumberTarget, Target, check_names
from howdeep.intake.reading import Sheet
from howdeep.intake.refusals import Faults, Where

Targets = dict[str, Target | NumberTarget]


def targets_of(columns: Mapping[str, Column], file: str) -> Targets:
    """The columns that are told.

    Raises:
        UserError: there is none, or classes beside another.
    """
    targets = {name: column for name, column in columns.items() if isinstance(column, Target | NumberTarget)}
    if not targets:
        raise UserError(
            f"expected a column of {file} with kind classes or number_target in data.prepare.columns, found none"
        )
    if len(targets) > 1 and any(isinstance(column, Target) for column in targets.values()):
        raise UserError(
            f"expected one column of {file} with classes, or one or more with numbers as targets, got "
            f"{', '.join(targets)}"
        )
    return targets


class Keys:
    """What the column `by` says of each row, by which rows are split: a number a row.

    Args:
        split: group: the place of the row's group among all of them, sorted; time: when it was; given: 1 for validation
            rows, 2 for test rows, 0 for others. Of other splits, or without a column, nothing is kept.
        by: the name of the column.
        columns: what each column of the table is.
        test, validation: values of `by` where the parts are given.
    """

    def __init__(
        self,
        split: str,
        by: str | None,
        columns: Mapping[str, Column],
        file: str,
        test: Sequence[str],
        validation: Sequence[str],
    ) -> None:
        self._by = by if split in ("group", "time", "given") else None
        self._split, self._columns, self._file = split, columns, file
        self._parts = dict.fromkeys(validation, 1) | dict.fromkeys(test, 2)
        self._groups: dict[str, int] = {}
        self._found: list[np.ndarray] = []

    def add(self, sheet: Sheet) -> None:
        """Raises `UserError` of a column that says no time, `Refused` of a row that has none."""
        if self._by is None:
            return
        values = sheet.column(self._by)
        if self._split == "time":
            where = Where(self._file, self._by, sheet.lines)
            self._found.append(steps.times(values, self._columns[self._by], where))
        elif self._split == "given":
            self._found.append(np.array([self._parts.get(text, 0) for text in values], dtype=np.uint8))
        else:
            codes = [self._groups.setdefault(text, len(self._groups)) for text in values]
            self._found.append(np.array(codes, dtype=np.int64))

    def whole(self) -> np.ndarray | None:
        """(rows,)."""
        if self._by is None:
            return None
        found = np.concatenate(self._found)
        if self._split == "group":
            rank = np.empty(len(self._groups), dtype=np.int64)
            rank[[self._groups[name] for name in sorted(self._groups)]] = np.arange(len(rank))
            return rank[found]
        return found


class Rows:
    """The rows of a table that have every target.

    Args:
        sheets: the table, in chunks.
        columns: what each column is.
        file: what messages call it.
        drop: whether rows that lack a target are left out; else they are refused.
        keys: are given what they need.
    """

    def __init__(
        self, sheets: Iterable[Sheet], columns: Mapping[str, Column], file: str, *, drop: bool, keys: Keys
    ) -> None:
        self._sheets, self._columns, self._file, self._drop = sheets, columns, file, drop
        self._targets, self._keys = targets_of(columns, file), keys
        self._there, self._lacking = 0, {name: (0, 0) for name in self._targets}
        self._found: list[np.ndarray] = []

    def codes(self) -> Iterator[np.ndarray]:
        """The codes of inputs, see `table_inputs.codes_of`, chunk by chunk; to be read to the end, once.

        Raises:
            UserError: a file or a column that is not as declared, or rows without a target; at the end, as of the whole
                file.
        """
        faults, after = Faults(), len(self._columns)
        for sheet in self._sheets:
            if not self._there:
                check_names(self._columns, sheet, self._file)
            self._there += len(sheet.rows)
            sheet = self._with_targets(sheet)
            codes = codes_of(sheet, self._columns, self._file, faults)
            with faults.noted(after):
                self._found.append(self._told(sheet))
            with faults.noted(after + 1):
                self._keys.add(sheet)
            if codes is not None:
                yield codes
        self._check_lacking()
        faults.check()
        if not sum(map(len, self._found)):
            raise UserError(f"{self._file}: expected rows with a target, got none")

    def y(self) -> np.ndarray:
        """(rows,) int64 classes, or (rows, targets) float64 numbers."""
        return np.concatenate(self._found)

    def _with_targets(self, sheet: Sheet) -> Sheet:
        for name, column in self._targets.items():
            texts = sheet.column(name)
            if frozenset(column.missing).isdisjoint(texts):
                continue
            missing = {place for place, text in enumerate(texts) if text in column.missing}
            count, first = self._lacking[name]
            self._lacking[name] = count + len(missing), first or sheet.lines[min(missing)]
            left = [place for place in range(len(sheet.rows)) if place not in missing]
            sheet = Sheet(
                sheet.names, [sheet.rows[place] for place in left], [sheet.lines[place] for place in left]
            )
        return sheet

    def _check_lacking(self) -> None:
        for name, (count, first) in self._lacking.items():
            if count and not self._drop:
                raise UserError(
                    f"{self._file}, column '{name}': expected a target in every row, but {count} of {self._there} "
                    f"have none, the first in line {first}: write them, or set data.prepare.drop_missing_targets=true"
                )

    def _told(self, sheet: Sheet) -> np.ndarray:
        found = []
        for name, column in self._targets.items():
            where, values = Where(self._file, name, sheet.lines), sheet.column(name)
            if isinstance(column, Target):
                return column.labels(values, where)
            found.append(column.numbers(values, where))
        return np.stack(found, axis=1)
