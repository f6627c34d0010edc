"""A search space as data: which settings are tried, in which range, and where."""

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, Any

from howdeep.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

Value = str | int | float | bool | None
Point = dict[str, Any]  # a `Value` for each name


@dataclass(frozen=True)
class Choice:
    """One of a few values, without an order."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise UserError("a choice needs at least one value, got none")

    def __str__(self) -> str:
        return ",".join(text(value) for value in self.values)

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)

    def suggest(self, trial: "Trial", name: str) -> Value:
        return trial.suggest_categorical(name, self.values)

    def exact(self, drawn: Value) -> Value:
        return drawn

    def points(self) -> list[Value] | None:
        return list(self.values)

    def contains(self, other: "Dimension") -> bool:
        return self == other  # Optuna keeps the index of a value: a longer list is another choice


@dataclass(frozen=True)
class IntRange:
    """The whole numbers low, low + step, ..., up to high at most."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        _check_range(self)
        if self.log and self.step != 1:
            raise UserError(f"a logarithmic range of whole numbers has the step 1, got {self.step}")
        _end_on_a_step(self)

    def __str__(self) -> str:
        step = f", step {self.step}" if self.step != 1 else ""
        return f"{self.low} to {self.high}{step}{' (log)' if self.log else ''}"

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def suggest(self, trial: "Trial", name: str) -> Value:
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def exact(self, drawn: Value) -> Value:
        return drawn

    def points(self) -> list[Value] | None:
        return list(range(self.low, self.high + 1, self.step))

    def contains(self, other: "Dimension") -> bool:
        return (
            isinstance(other, IntRange)
            and (other.step, other.log) == (self.step, self.log)
            and self.low <= other.low <= other.high <= self.high
            and (other.low - self.low) % self.step == 0
        )


@dataclass(frozen=True)
class FloatRange:
    """The numbers from low to high, both included; with a step only low, low + step, ..., as decimals are added."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.low, self.high))):
            raise UserError(f"a range needs finite ends, got {self}")
        _check_range(self)
        if self.log and self.step is not None:
            raise UserError(f"a logarithmic range of real numbers has no step, got {self}: write interval")
        _end_on_a_step(self)

    def __str__(self) -> str:
        step = f", step {self.step:.15g}" if self.step else ""
        return f"{self.low:.15g} to {self.high:.15g}{step}{' (log)' if self.log else ''}"

    def distribution(self) -> "BaseDistribution":
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def suggest(self, trial: "Trial", name: str) -> Value:
        return self.exact(trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log))

    def exact(self, drawn: Value) -> Value:
        """The value that is meant by one that Optuna has added up in binary, such as 0.6000000000000001."""
        if self.step is None:
            return drawn
        assert isinstance(drawn, float)
        return self._at(round((decimal(drawn) - decimal(self.low)) / decimal(self.step)))

    def _at(self, steps: int) -> float:
        assert self.step is not None
        return float(decimal(self.low) + steps * decimal(self.step))

    def points(self) -> list[Value] | None:
        if self.step is None:
            return [self.low] if self.low == self.high else None
        return [self._at(k) for k in range(_steps(self) + 1)]

    def contains(self, other: "Dimension") -> bool:
        return (
            isinstance(other, FloatRange)
            and (other.step, other.log) == (self.step, self.log)
            and self.low <= other.low <= other.high <= self.high
            and (self.step is None or (decimal(other.low) - decimal(self.low)) % decimal(self.step) == 0)
        )


def decimal(number: float) -> Decimal:
    """The number that was typed: 0.1 is a tenth, not the double next to it."""
    return Decimal(str(number))


def _steps(of: IntRange | FloatRange) -> int:
    """How many steps lead from the start of a range to its end."""
    assert of.step is not None
    return int((decimal(of.high) - decimal(of.low)) // decimal(of.step))


def _end_on_a_step(of: IntRange | FloatRange) -> None:
    """Optuna warns of a range whose end no step meets, and moves it there as well."""
    if of.step is not None:
        end = decimal(of.low) + _steps(of) * decimal(of.step)
        object.__setattr__(of, "high", type(of.high)(end))


def _check_range(of: IntRange | FloatRange) -> None:
    if not of.low <= of.high:
        raise UserError(f"a range must not end below its start, got {of}")
    if of.step is not None and of.step <= 0:
        raise UserError(f"the step of a range must be above 0, got {of.step:g}")
    if of.log and of.low <= 0:
        raise UserError(f"a logarithmic range must start above 0, got {of}")


Dimension = Choice | IntRange | FloatRange
KINDS = {kind.__name__: kind for kind in (Choice, IntRange, FloatRange)}


@dataclass(frozen=True)
class Space:
    """Dimensions by the name of the setting (a Hydra override key), in the order in which they are chosen.

    Args:
        dimensions: e.g. `{"optimizer": Choice(("sgd", "adam")), "optimizer.lr": FloatRange(1e-4, 1, log=True)}`.
        conditions: where a dimension is chosen at all: `{"optimizer.momentum": {"optimizer": ("sgd",)}}`. A
            condition on a setting that is neither a dimension nor in `fixed` holds.
        fixed: settings that every trial shares, which conditions may name.

    Raises:
        UserError: no dimension, or one that can never be chosen.
    """

    dimensions: Mapping[str, Dimension]
    conditions: Mapping[str, Mapping[str, tuple[Value, ...]]] = field(default_factory=dict)
    fixed: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.dimensions:
            raise UserError(
                "the search space is empty: expected something to try, such as model.depth=1,2,4 or "
                "'optimizer.lr=tag(log, interval(1e-4, 1))'"
            )
        for name in self.order:
            for other, allowed in self._conditions(name).items():
                offered = self._offered(other)
                if offered is not None and not any(value in allowed for value in offered):
                    raise UserError(
                        f"{name} is tried only where {other} is {_one_of(allowed)}, but it is "
                        f"{_one_of(offered)}: leave {name} out, or add {other}={text(allowed[0])}"
                    )

    def _conditions(self, name: str) -> Mapping[str, tuple[Value, ...]]:
        return self.conditions.get(name, {})

    def _offered(self, name: str) -> list[Value] | None:
        """The values that a setting can take, None where that is not known."""
        if name in self.dimensions:
            return self.dimensions[name].points()
        return [self.fixed[name]] if name in self.fixed else None

    @property
    def order(self) -> list[str]:
        """The names, each after those on which its condition looks."""
        looks_at = {
            name: [o for o in self._conditions(name) if o in self.dimensions] for name in self.dimensions
        }
        try:
            return list(TopologicalSorter(looks_at).static_order())
        except CycleError as error:
            raise UserError(f"the conditions of {', '.join(error.args[1][1:])} look at each other") from None

    def is_active(self, name: str, point: Mapping[str, Value]) -> bool:
        """Whether a dimension is chosen beside what has been chosen before it."""
        known = {**self.fixed, **point}
        return all(
            known[other] in allowed if other in known else other not in self.dimensions
            for other, allowed in self._conditions(name).items()
        )

    def suggest(self, trial: "Trial") -> Point:
        """Asks an Optuna trial for a value of each dimension that is active."""
        point: Point = {}
        for name in self.order:
            if self.is_active(name, point):
                point[name] = self.dimensions[name].suggest(trial, name)
        return point

    def exact(self, params: Mapping[str, Any]) -> Point:
        """The point that Optuna keeps as these parameters."""
        return {name: self.dimensions[name].exact(drawn) for name, drawn in params.items()}

    def grid(self) -> Iterator[Point]:
        """Every point of the space, each once.

        Raises:
            UserError: a range has no end of points.
        """
        for name, dimension in self.dimensions.items():
            if dimension.points() is None:
                raise UserError(
                    f"the grid sampler cannot list the values of {name}, which is {dimension}: give choices or a "
                    "range with a step, or choose another sampler such as tpe"
                )
        return self._grid({}, self.order)

    def _grid(self, point: Point, names: list[str]) -> Iterator[Point]:
        if not names:
            yield point
        elif not self.is_active(names[0], point):
            yield from self._grid(point, names[1:])
        else:
            for value in self.dimensions[names[0]].points() or []:
                yield from self._grid({**point, names[0]: value}, names[1:])

    def examples(self) -> Iterator[Point]:
        """A few points that together hold every value of every choice: to see whether they can be composed at all."""
        firsts = {
            name: dimension.values[0] if isinstance(dimension, Choice) else dimension.low
            for name, dimension in self.dimensions.items()
        }
        seen: set[tuple] = set()
        for name, dimension in self.dimensions.items():
            for value in dimension.values if isinstance(dimension, Choice) else [firsts[name]]:
                point: Point = {}
                for other in self.order:
                    if self.is_active(other, point):
                        point[other] = value if other == name else firsts[other]
                if (key := tuple(point.items())) not in seen:
                    seen.add(key)
                    yield point

    def to_json(self) -> str:
        """The space as text, the same for the same space: its fingerprint, from which `difference` tells a change."""
        plain = {
            name: {"kind": type(dimension).__name__, **vars(dimension)}
            for name, dimension in self.dimensions.items()
        }
        conditions = {name: self._conditions(name) for name in self.dimensions if self._conditions(name)}
        return json.dumps({"dimensions": plain, "conditions": conditions}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Space":
        plain = json.loads(text)
        dimensions = {name: _from_json(dimension) for name, dimension in plain["dimensions"].items()}
        conditions = {
            name: {other: tuple(values) for other, values in of.items()}
            for name, of in plain["conditions"].items()
        }
        return cls(dimensions, conditions)


def _from_json(plain: dict[str, Any]) -> Dimension:
    values: dict[str, Any] = {
        n: tuple(v) if isinstance(v, list) else v for n, v in plain.items() if n != "kind"
    }
    return KINDS[plain["kind"]](**values)


def difference(old: str, new: str) -> str | None:
    """What the space `new` changes of `old` (both as `Space.to_json` gives them), in a few words.

    None where they are the same, or where `new` only widens ranges: the trials that there are fit into it.
    """
    before, after = json.loads(old), json.loads(new)
    for name in {**before["dimensions"], **after["dimensions"]}:
        was, is_now = (of["dimensions"].get(name) for of in (before, after))
        if was is None:
            return f"{name} is new"
        if is_now is None:
            return f"{name} is gone"
        if not _from_json(is_now).contains(_from_json(was)):
            return f"{name} was {_from_json(was)} and is now {_from_json(is_now)}"
    for name in {**before["conditions"], **after["conditions"]}:
        if before["conditions"].get(name) != after["conditions"].get(name):
            return f"{name} is tried under another condition"
    return None


def changed(was: Mapping[str, str], now: Mapping[str, str], what: str) -> str | None:
    """The first difference in a few words, None where there is none."""
    for name in {**was, **now}:
        if was.get(name) != now.get(name):
            before, after = (of.get(name, "absent") for of in (was, now))
            return f"the {what} {name} was {before} and is now {after}"
    return None


def text(value: Value) -> str:
    """A value as it stands in a Hydra override."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def word(name: str) -> str:
    """A name as a value that is typed into a shell, in Hydra's grammar: one that looks like a number is quoted."""
    plain = re.fullmatch(r"[A-Za-z_][\w.-]*", name) and name.lower() not in (
        "true",
        "false",
        "null",
        "nan",
        "inf",
    )
    return name if plain else f"\"'{name}'\""


def overrides(point: Mapping[str, Value]) -> list[str]:
    """A point as Hydra overrides: `["optimizer=sgd", "optimizer.lr=0.1"]`."""
    return [f"{name}={text(value)}" for name, value in point.items()]


def _one_of(values: Any) -> str:
    return " or ".join(text(value) for value in itertools.islice(values, 6))
