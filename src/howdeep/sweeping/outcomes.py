"""How trials end: with values, pruned, or failed; and which is best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from howdeep.errors import UserError
from howdeep.sweeping.space import Point, overrides


class Pruned(Exception):
    """The trial is not worth its remaining epochs, beside what others reached. A result, not a bug."""


class Hopeless(UserError):
    """A mistake that every other trial would repeat: the sweep ends with this line."""


class Interrupted(Hopeless):
    """What trials need is gone for now: the sweep ends with this line, and the next one tries the trial again."""


@dataclass(frozen=True)
class Result:
    """A trial that counts: it was complete, pruned or failed."""

    number: int
    point: Point
    state: str  # complete, pruned or failed
    values: tuple[float, ...] | None  # of a complete one, in the order of the objectives
    reason: str | None  # of a failed one
    reports: dict[int, float]  # what it reported, by step
    seconds: float
    repeats: int | None = None  # the number of the trial with the same point, whose outcome it was given

    @property
    def tried(self) -> str:
        """Its point for a person, numbers to three digits: `model.depth=2 optimizer=adam`."""
        point = {name: float(f"{v:.3g}") if isinstance(v, float) else v for name, v in self.point.items()}
        return " ".join(overrides(point))


def best(results: Sequence[Result], objectives: Mapping[str, str]) -> Result | None:
    """The complete trial with the best first objective; the earliest of equals, None if none is complete."""
    sign = 1 if next(iter(objectives.values())) == "minimize" else -1
    complete = [(sign * result.values[0], result.number, result) for result in results if result.values]
    return min(complete)[2] if complete else None


def pareto_front(results: Sequence[Result], objectives: Mapping[str, str]) -> list[Result]:
    """The complete trials that no other one equals or beats in every objective and beats in one."""
    signs = [1 if direction == "minimize" else -1 for direction in objectives.values()]
    points = [
        (result, [s * v for s, v in zip(signs, result.values, strict=True)])
        for result in results
        if result.values
    ]
    return [
        result
        for result, own in points
        if not any(
            other != own and all(o <= v for o, v in zip(other, own, strict=True)) for _, other in points
        )
    ]


def one_line(error: BaseException) -> str:
    """An exception for a person: the words of a user's mistake, with its kind where it is another."""
    words = " ".join(str(error).split())[:500]
    return words if isinstance(error, UserError) else f"{type(error).__name__}: {words}"
