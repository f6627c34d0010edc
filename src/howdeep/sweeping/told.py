"""What a person sees of a sweep: a bar with an ETA at a terminal, else a line now and then."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

from howdeep.sweeping.outcomes import Result
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.pool import Outcome

tqdm.monitor_interval = 0  # its thread would make the process unsafe to fork
SECONDS_BETWEEN_LINES = 15.0


class Progress:
    """Trials done of all, the best so far, how many were pruned and failed, and how long it will take.

    Args:
        plans: the studies that are filled.
        done: the trials that they have already.
        label: stands before each line.
    """

    def __init__(self, plans: list[Plan], done: int, label: str) -> None:
        self._plans, self.label = {plan.study: plan for plan in plans}, label
        self._total = sum(plan.wanted for plan in plans)
        self._first, self._newest = done, dict[str, Outcome]()
        self._start, self._told = time.monotonic(), time.monotonic()
        self._bar = tqdm(
            total=self._total,
            initial=done,
            desc=label,
            unit="trial",
            disable=None,
            leave=False,
            dynamic_ncols=True,
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, _kind: type | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def say(self, line: str) -> None:
        """One line for a person, beside a bar that may be drawn."""
        tqdm.write(f"{self.label}: {line}", file=sys.stderr)

    def __call__(self, outcome: Outcome) -> None:
        """Takes a trial that ended."""
        self._newest[outcome.study] = outcome
        if outcome.result.state == "failed":
            result = outcome.result
            self.say(f"trial {result.number} ({result.tried}) failed: {result.reason}")
        if not self._bar.disable:
            self._bar.set_postfix_str(self._state(outcome), refresh=False)
            self._bar.update(self._done() - self._bar.n)
        elif time.monotonic() - self._told > SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            self.say(f"{self._done()} of {self._total} trials, {self._state(outcome)}{self._time_left()}")

    def _done(self) -> int:
        """Of all processes that fill the studies; a study of which nothing was heard yet counts as it began."""
        heard = sum(outcome.counts.done for outcome in self._newest.values())
        return heard if len(self._newest) == len(self._plans) else max(heard, self._first)

    def _state(self, outcome: Outcome) -> str:
        pruned, failed = (
            sum(getattr(o.counts, name) for o in self._newest.values()) for name in ("pruned", "failed")
        )
        return f"{best_so_far(self._plans[outcome.study], outcome.best)}, {pruned} pruned, {failed} failed"

    def _time_left(self) -> str:
        fresh = self._done() - self._first
        if fresh < 1 or self._done() == self._total:
            return ""
        seconds = (time.monotonic() - self._start) / fresh * (self._total - self._done())
        return f", about {seconds:.0f} s left" if seconds < 100 else f", about {seconds / 60:.0f} min left"


def best_so_far(plan: Plan, best: Result | None) -> str:
    """`best val/loss 0.123 (trial 7: model.depth=2 optimizer=adam)`."""
    if best is None or best.values is None:
        return "no trial complete yet"
    values = ", ".join(
        f"{name} {value:.4g}" for name, value in zip(plan.objectives, best.values, strict=True)
    )
    return f"best {values} (trial {best.number}: {best.tried})"
