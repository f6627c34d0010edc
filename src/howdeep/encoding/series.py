"""Examples that are windows of series in time, or whole series."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Self

import numpy as np

from howdeep.encoding.inputs import Examples, Inputs, Source, by_place, listed, numbered
from howdeep.errors import UserError, near
from howdeep.intake import columns as declared
from howdeep.intake import steps as in_time
from howdeep.intake.columns import Boolean, Category, Column, Date, Number, NumberTarget
from howdeep.intake.reading import Sheet
from howdeep.intake.refusals import Where

Columns = dict[str, dict[str, Any]]
ROLES = ("series", "inputs", "known")


class Windows(Inputs):
    """The last steps up to a row, of its series; an answer is for the step `horizon` rows after it.

    Rows after the last known step may be there with values of `known` alone: the answer of that step needs them.

    Args:
        by: the column that says which series a row is of; None: there is one.
        time: the column that says when each row was; None: rows are steps.
        roles: columns that are told (`series`), that are seen beside them (`inputs`), and whose values are known ahead
            (`known`), as declared.
        scales: by series and role, mean and std of the training steps.
        horizon: steps from the last that is seen to the one that is told.
    """

    by_row: ClassVar[bool] = False
    by: str | None
    time: str | None
    time_declared: dict[str, Any] | None
    roles: dict[str, Columns]
    scales: dict[str, dict[str, dict[str, list[float]]]]
    horizon: int

    @classmethod
    def of(cls, data: Mapping[str, Any], card: Mapping[str, Any]) -> Self:
        prepare, examples = data["prepare"], data["examples"]
        common = {"shape": list(data["in_shape"]), "horizon": examples.get("horizon", 1)}
        if "columns" not in prepare:  # one of the data sets that come with howdeep
            own: Columns = {name: {"kind": "number"} for name in numbered(len(card["mean"]))}
            scales = {"": {"series": {name: listed(card[name]) for name in ("mean", "std")}}}
            return cls(by=None, time=None, time_declared=None, roles={"series": own}, scales=scales, **common)
        of = declared.declared(prepare["columns"], "data.prepare.columns")
        by, time, known = prepare.get("by"), prepare.get("time"), prepare.get("known", ())
        seen = {name for name, column in of.items() if column.width and name not in (time, by, *known)}
        places = {
            "series": [name for name, column in of.items() if isinstance(column, NumberTarget)],
            "inputs": [name for name in of if name in seen],
            "known": [name for name in of if name in known],
        }
        cards = card["series"] if by else {"": card}
        return cls(
            by=by,
            time=time,
            time_declared=of[time].model_dump(mode="json") if time else None,
            roles={
                role: {name: of[name].model_dump(mode="json") for name in names}
                for role, names in places.items()
                if names
            },
            scales={name: _scales(of_series) for name, of_series in cards.items()},
            **common,
        )

    def columns(self) -> dict[str, str]:
        own = {name: column for columns in self.roles.values() for name, column in self._of(columns).items()}
        first = {name: self._column(name) for name in (self.by, self.time) if name is not None}
        return {
            name: "number" if isinstance(column, Number) else "text" for name, column in (first | own).items()
        }

    def example(self) -> list[dict[str, float | str]]:
        """As many rows as a window has, and those after it where something is known ahead, of means."""
        name, scale = next(iter(self.scales.items()))
        means = {
            of: mean
            for role, own in self.roles.items()
            for of, mean in zip(own, scale[role]["mean"], strict=False)
        }
        rows = self.shape[0] + (self.horizon if "known" in self.roles else 0)
        return [self._row(place, name, means) for place in range(rows)]

    def _row(self, place: int, series: str, means: Mapping[str, float]) -> dict[str, float | str]:
        row: dict[str, float | str] = {}
        for name, kind in self.columns().items():
            column = self._column(name)
            if name == self.by:
                row[name] = series
            elif isinstance(column, Date):
                row[name] = (datetime(2000, 1, 1) + timedelta(days=place)).strftime(column.format)
            elif name == self.time:
                row[name] = float(place)
            elif isinstance(column, Category | Boolean):
                row[name] = column.values[0]
            else:
                row[name] = means.get(name, 0.0) if kind == "number" else ""
        return row

    def _column(self, name: str) -> Column | None:
        """What a column is, of those that are seen, and of the time."""
        of = {key: node for columns in self.roles.values() for key, node in columns.items()}
        if self.time is not None and self.time_declared is not None:
            of[self.time] = self.time_declared
        return self._of({name: of[name]})[name] if name in of else None

    def examples(self, sheet: Sheet, source: Source) -> Examples:
        needed = list(self.columns())
        if needed == numbered(len(needed)):
            found = by_place(sheet, needed, source.file, "the values one after another")
            sheet = sheet._replace(names=needed) if found == sheet.names else sheet
        self.check(sheet, source.file)
        errors: list[str | None] = [None] * len(sheet.rows)
        raw = {
            role: self._numbers(self._of(columns), sheet, source, errors)
            for role, columns in self.roles.items()
        }
        x = np.zeros((len(errors), *self.shape), dtype=np.float32)
        scale = np.ones((2, len(errors), raw["series"].shape[1]))
        for name, own in self._rows(sheet).items():
            try:
                scales = self._checked(name, own, sheet, source)
            except UserError as error:
                for place in own:
                    errors[place] = errors[place] or str(error)
                continue
            scaled = {
                role: (values[own] - np.array(scales[role]["mean"])) / np.array(scales[role]["std"])
                for role, values in raw.items()
            }
            self._window({role: of.astype(np.float32) for role, of in scaled.items()}, own, sheet, errors, x)
            scale[0, own], scale[1, own] = scales["series"]["mean"], scales["series"]["std"]
        return Examples(sheet, x, errors, scale=scale)

    def _window(
        self,
        scaled: dict[str, np.ndarray],
        own: Sequence[int],
        sheet: Sheet,
        errors: list[str | None],
        x: np.ndarray,
    ) -> None:
        """Fills in the windows of one series, and says which rows have none."""
        context, n = self.shape[0], len(own)
        seen = np.concatenate([scaled[role] for role in ("series", "inputs") if role in scaled], axis=1)
        known = scaled.get("known", np.empty((n, 0), dtype=np.float32))
        bad = np.isnan(seen.sum(axis=1))
        for place, row in enumerate(own):
            if errors[row] is not None:
                continue
            first, ahead = place + 1 - context, place + 1 - context + self.horizon
            if first < 0:
                errors[row] = (
                    f"no answer: networks see {context} rows of a series, and up to this one there are {place + 1}"
                )
            elif bad[first : place + 1].any():
                line = sheet.lines[own[first + int(bad[first : place + 1].argmax())]]
                errors[row] = (
                    f"expected numbers in the {context} rows up to it, but line {line} has none, or a wrong one"
                )
            elif known.shape[1] and (
                place + self.horizon >= n or np.isnan(known[ahead : ahead + context]).any()
            ):
                told = ", ".join(self.roles["known"])
                errors[row] = (
                    f"expected {told} in the rows up to {self.horizon} after it: add them, without the others"
                )
            else:
                x[row, :, : seen.shape[1]] = seen[first : place + 1]
                x[row, :, seen.shape[1] :] = known[ahead : ahead + context] if known.shape[1] else 0

    def _checked(
        self, name: str, own: Sequence[int], sheet: Sheet, source: Source
    ) -> dict[str, dict[str, list[float]]]:
        """The scales of a series that was there in training, and whose steps are even."""
        if name not in self.scales:
            raise UserError(f"expected one of the series of training, got '{name}'{near(name, self.scales)}")
        if self.time is not None and self.time_declared is not None and len(own) > 1:
            values, lines = sheet.column(self.time), [sheet.lines[place] for place in own]
            column = self._of({self.time: self.time_declared})[self.time]
            in_time.of([values[place] for place in own], column, Where(source.file, self.time, lines))
        return self.scales[name]

    def _rows(self, sheet: Sheet) -> dict[str, list[int]]:
        if self.by is None:
            return {"": list(range(len(sheet.rows)))}
        return _places(sheet.column(self.by))

    def _numbers(
        self, columns: Mapping[str, Column], sheet: Sheet, source: Source, errors: list[str | None]
    ) -> np.ndarray:
        """(rows, inputs), NaN where a value is missing or wrong; in the latter case an error says so."""
        found = []
        for name, column in columns.items():
            values, of = sheet.column(name), np.full((len(sheet.rows), _width(column)), np.nan)
            there = [place for place, text in enumerate(values) if text not in column.missing]
            for place, numbers in _tolerant(column, name, values, there, sheet, source, errors):
                of[place] = numbers
            found.append(of)
        return np.concatenate(found, axis=1)

    @staticmethod
    def _of(columns: Columns) -> dict[str, Column]:
        return declared.declared(columns, "columns")


class LabelledSeries(Inputs):
    """Whole series, an answer each: their last steps, standardised, after padding that the last number of a step marks.

    Args:
        by: the column that says which series a row is of.
        variables: columns of numbers, as declared.
        mean, std: of the training series.
    """

    by_row: ClassVar[bool] = False
    by: str
    variables: Columns
    mean: list[float]
    std: list[float]

    @classmethod
    def of(cls, data: Mapping[str, Any], card: Mapping[str, Any]) -> Self:
        columns = data["prepare"]["columns"]
        return cls(
            shape=list(data["in_shape"]),
            by=data["prepare"]["by"],
            variables={name: dict(columns[name]) for name in card["variables"]},
            mean=listed(card["mean"]),
            std=listed(card["std"]),
        )

    def columns(self) -> dict[str, str]:
        return {self.by: "text", **dict.fromkeys(self.variables, "number")}

    def example(self) -> list[dict[str, float | str]]:
        return [{self.by: "a", **dict(zip(self.variables, self.mean, strict=True))}]

    def examples(self, sheet: Sheet, source: Source) -> Examples:
        self.check(sheet, source.file)
        columns = declared.declared(self.variables, "columns")
        rows = _places(sheet.column(self.by))
        asked = Sheet([self.by], [[name] for name in rows], [sheet.lines[own[0]] for own in rows.values()])
        x, errors = np.zeros((len(rows), *self.shape), dtype=np.float32), []
        for place, (name, own) in enumerate(rows.items()):
            of = Sheet(sheet.names, [sheet.rows[row] for row in own], [sheet.lines[row] for row in own])
            try:
                x[place] = padded([self._values(columns, of, source)], self.shape[0], self.mean, self.std)[0]
                errors.append(None)
            except UserError as error:
                errors.append(f"series '{name}': {error}")
        return Examples(asked, x, errors)

    @staticmethod
    def _values(columns: Mapping[str, Column], sheet: Sheet, source: Source) -> np.ndarray:
        found = []
        for name, column in columns.items():
            values, where = sheet.column(name), Where(source.file, name, sheet.lines)
            if missing := [place for place, text in enumerate(values) if text in column.missing]:
                raise where.refused("a number at every step", values, missing, "fill it")
            assert isinstance(column, Number)
            found.append(column.numbers(values, where))
        return np.stack(found, axis=1)


def padded(
    series: Sequence[np.ndarray],
    steps: int,
    mean: Sequence[float] | np.ndarray,
    std: Sequence[float] | np.ndarray,
) -> np.ndarray:
    """(n, steps, variables + 1): the last steps of each series, standardised; before a shorter one stand zeros, which
    the last number of a step marks with 1.

    Args:
        series: (steps, variables) each.
    """
    x = np.zeros((len(series), steps, len(mean) + 1), dtype=np.float32)
    x[:, :, -1] = 1
    for place, own in enumerate(series):
        last = own[-steps:]
        x[place, steps - len(last) :, :-1] = (last - np.array(mean)) / np.array(std)
        x[place, steps - len(last) :, -1] = 0
    return x


def _scales(card: Mapping[str, Any]) -> dict[str, dict[str, list[float]]]:
    """Mean and standard deviation of each role, of a series as the data card has it."""
    found = {"series": {name: listed(card[name]) for name in ("mean", "std")}}
    return found | {
        role: {name: listed(card[role][name]) for name in ("mean", "std")}
        for role in ROLES[1:]
        if role in card
    }


def _places(names: Sequence[str]) -> dict[str, list[int]]:
    """The rows of each series, in the order in which series begin."""
    found: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found.setdefault(name, []).append(place)
    return found


def _width(column: Column) -> int:
    return 1 if isinstance(column, Number) else column.width


def _tolerant(
    column: Column,
    name: str,
    values: Sequence[str],
    there: Sequence[int],
    sheet: Sheet,
    source: Source,
    errors: list[str | None],
) -> list[tuple[int, np.ndarray]]:
    """What each value becomes, (inputs,); one that is wrong leaves an error, and no other does."""

    def numbers(places: Sequence[int]) -> np.ndarray:
        own, where = (
            [values[place] for place in places],
            Where(source.file, name, [sheet.lines[p] for p in places]),
        )
        return (
            column.numbers(own, where)[:, None] if isinstance(column, Number) else column.inputs(own, where)
        )

    try:
        return list(zip(there, numbers(there), strict=True))
    except UserError:
        pass
    found = []
    for place in there:
        try:
            found.append((place, numbers([place])[0]))
        except UserError as error:
            errors[place] = str(error)
    return found
