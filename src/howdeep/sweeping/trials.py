"""What howdeep notes of each trial in Optuna's storage: whose it is, and whether it counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from howdeep.processes.locks import host_of
from howdeep.sweeping.outcomes import Result
from howdeep.sweeping.space import Point, Space, word

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

OWNER, SWEEP, INTERRUPTED, RETRY_OF, KILLED = "owner", "sweep", "interrupted", "retry_of", "deaths"
REPEATS, REASON, TRACEBACK = "repeats", "reason", "traceback"


@dataclass(frozen=True)
class Counts:
    """How far a study is."""

    total: int
    complete: int
    pruned: int
    failed: int
    running: int

    @classmethod
    def of(cls, trials: "Sequence[FrozenTrial]", total: int) -> "Counts":
        from optuna.trial import TrialState

        states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING)
        return cls(total, *(sum(of.state == state and is_counted(of) for of in trials) for state in states))

    @property
    def done(self) -> int:
        return self.complete + self.pruned + self.failed


def is_counted(trial: "FrozenTrial") -> bool:
    """Whether a trial is the study's: it was not interrupted, and if it runs, howdeep runs it."""
    from optuna.trial import TrialState

    if trial.state == TrialState.RUNNING:
        return OWNER in trial.user_attrs
    return INTERRUPTED not in trial.user_attrs


def point_of(trial: "FrozenTrial") -> Point:
    """What a trial tries; also of one that waits."""
    return trial.params | trial.system_attrs.get("fixed_params", {})


def is_wanted(trial: "FrozenTrial", trials: "Sequence[FrozenTrial]", total: int, *, once: bool) -> bool:
    """Whether the point of a trial is still to be tried: others may have filled the study, or have it.

    Args:
        trials: all of the study.
        total: how many it should have.
        once: whether it tries no point twice.
    """
    others = [other for other in trials if other.number != trial.number and is_counted(other)]
    if any(other.user_attrs.get(RETRY_OF) == trial.number for other in others):
        return False
    if once and point_of(trial) in map(point_of, others):
        return False
    return len(others) < total


def result_of(trial: "FrozenTrial", space: Space) -> Result:
    """How a trial that counts has ended."""
    state = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}[trial.state.name]
    return Result(
        trial.number,
        space.exact(trial.params),
        state,
        tuple(trial.values) if state == "complete" else None,
        trial.user_attrs.get(REASON, "unknown") if state == "failed" else None,
        dict(trial.intermediate_values),
        trial.duration.total_seconds() if trial.duration else 0.0,
        trial.user_attrs.get(REPEATS),
    )


def with_its_tries(number: int | None, trials: Iterable["FrozenTrial"]) -> tuple[int, ...]:
    """A trial, that which it retries, and so on back."""
    by_number, found = {trial.number: trial for trial in trials}, []
    while number is not None:
        found.append(number)
        number = by_number[number].user_attrs.get(RETRY_OF)
    return tuple(found)


def running_elsewhere(trials: Iterable["FrozenTrial"], owner: str) -> "dict[str, list[FrozenTrial]]":
    """The trials that other hosts than that of `owner` run, by their host."""
    from optuna.trial import TrialState

    found: dict[str, list[FrozenTrial]] = {}
    for trial in trials:
        if trial.state == TrialState.RUNNING and is_counted(trial):
            host = host_of(trial.user_attrs[OWNER])
            if host != host_of(owner):
                found.setdefault(host, []).append(trial)
    return found


@dataclass(frozen=True)
class Held:
    """Trials that run on another host; whether they still do, this one cannot see."""

    study: str
    host: str
    numbers: tuple[int, ...]
    since: datetime  # by the clock of that host, when the first of them was taken

    @classmethod
    def of(cls, study: str, host: str, trials: "list[FrozenTrial]") -> "Held":
        since = min(trial.datetime_start for trial in trials if trial.datetime_start)
        return cls(study, host, tuple(trial.number for trial in trials), since)

    def __str__(self) -> str:
        trials = f"trial{'s' if len(self.numbers) > 1 else ''} {', '.join(map(str, self.numbers))}"
        return (
            f"waiting for {trials} of {self.study}, which the host {self.host} has run since "
            f"{self.since:%Y-%m-%d %H:%M}: if that host is gone, stop this and free them by the same command with "
            f"hydra.sweeper.take_over={word(self.host)}"
        )
