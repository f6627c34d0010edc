"""Warm workers that take, run and tell the trials of one or several studies, each on its own."""

import itertools
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from howdeep.errors import UserError
from howdeep.processes.locks import this_process
from howdeep.processes.signals import stopping
from howdeep.processes.workers import WorkerDied, cores, run_all
from howdeep.sweeping.outcomes import Hopeless, Interrupted, Result, best
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.storage import Storage, was_cut
from howdeep.sweeping.study import Study, Trial
from howdeep.sweeping.trials import Counts

Objective = Callable[[Trial], float | Sequence[float]]
POLL_SECONDS = 0.05, 0.5  # between two looks whether others left a trial, at first and at most
SECONDS_UNTOLD = 5.0  # of waiting for trials of other hosts
DEATHS_IN_A_ROW = 5  # of workers, without a trial that ended


@dataclass(frozen=True)
class Outcome:
    """A trial that ended in a worker, and how far its study is."""

    study: str
    result: Result
    counts: Counts
    best: Result | None


def run(
    plans: Sequence[Plan],
    storage: str,
    objective: Objective,
    n_jobs: int | None = None,
    told: Callable[[Outcome], None] = lambda outcome: None,
    say: Callable[[str], None] = lambda line: None,
) -> list[list[Result]]:
    """Fills the studies, the first ones first, and returns when they are complete, by whomever.

    Any number of processes, on any number of machines, may do so with the same studies at the same time.

    Args:
        storage: as `Storage` takes it; holds all the studies.
        objective: the values of a trial, called in a worker. It may raise `Pruned`; `Hopeless` ends the sweep; any
            other exception makes the trial a failed one.
        n_jobs: workers; None: one for each core.
        told: called in this process with each trial that ended here.
        say: takes a line for a person, such as that a worker died, or for whose trials this process waits.

    Returns:
        For each study its trials that count, by number.

    Raises:
        UserError: a plan that does not fit its study, a storage that cannot be used, too many failures.
        WorkerDied: workers are killed one after the other.
    """
    check_jobs(n_jobs)
    if len({plan.study for plan in plans}) < len(plans):
        raise ValueError("every plan needs a study of its own")
    crew = _Crew(plans, storage, objective, this_process())
    heard = set[tuple[str, int]]()
    with closing(Storage(storage)) as store:  # a fork must not inherit connections
        studies = [Study(plan, store) for plan in plans]
        counts = store.steadily(lambda: [study.open().counts() for study in studies])
        before = store.steadily(lambda: [(of, r) for of in studies for r in of.results(crew.sweep)])
        heard |= {(study.plan.study, result.number) for study, result in before}
    by_name = {plan.study: plan for plan in plans}

    def hear(outcome: Outcome) -> None:
        heard.add((outcome.study, outcome.result.number))
        told(outcome)
        check_failures(by_name[outcome.study], outcome)

    if any(count.done < count.total for count in counts):
        deaths = _Deaths(say)
        # To its end, though all studies may be complete before: the last workers have something to tell.
        with closing(_outcomes(crew, n_jobs or cores(), deaths, say)) as outcomes:
            for outcome in outcomes:
                deaths.in_a_row = 0
                hear(outcome)
    with closing(Storage(storage, has_answered=True)) as store:
        studies = [Study(plan, store) for plan in plans]
        for outcome in store.steadily(
            lambda: [_outcome(of, r) for of in studies for r in of.results(crew.sweep)]
        ):
            if (outcome.study, outcome.result.number) not in heard:  # a worker told the storage, and died
                hear(outcome)
        return store.steadily(lambda: [study.results() for study in studies])


def check_jobs(n_jobs: int | None) -> None:
    """
    Raises:
        UserError: no number of workers.
    """
    if n_jobs is not None and (not isinstance(n_jobs, int) or n_jobs < 1):
        raise UserError(
            f"n_jobs must be a whole number of at least 1, or null for one for each core, got {n_jobs!r}"
        )


def _outcomes(
    crew: "_Crew", n_jobs: int, died: Callable[[WorkerDied], None], say: Callable[[str], None]
) -> Generator[Outcome, None, None]:
    complete, said = False, set[str]()

    def turns() -> Iterator[int]:
        for turn in itertools.count():
            if complete:
                return
            yield turn

    for _, outcome in run_all(crew, turns(), n_jobs, died):
        if outcome is None:
            complete = True
        elif isinstance(outcome, Outcome):
            yield outcome
        elif outcome not in said:
            said.add(outcome)
            say(outcome)


class _Deaths:
    """Tells that a worker was killed, and gives up where they all are."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say, self.in_a_row = say, 0

    def __call__(self, death: WorkerDied) -> None:
        self.in_a_row += 1
        if self.in_a_row >= DEATHS_IN_A_ROW:
            raise WorkerDied(
                f"{self.in_a_row} workers ended by {death.cause}, one after the other: finished trials are kept; free "
                "memory if it was the system, then start the sweep again"
            )
        self.say(f"a worker ended by {death.cause}: its trial is tried once more, finished ones are kept")


def check_failures(plan: Plan, outcome: Outcome) -> None:
    """
    Raises:
        UserError: more than `max_failure_rate` allows.
    """
    counts, rate = outcome.counts, plan.max_failure_rate
    if rate is not None and outcome.result.state == "failed" and counts.failed > rate * counts.total:
        raise UserError(
            f"{counts.failed} of {counts.done} trials failed, more than max_failure_rate={rate:g} of {counts.total} "
            f"allows; the last ({outcome.result.tried}): {outcome.result.reason}"
        )


class _Crew:
    """What a worker does at each turn: waits for a trial that may be run, and runs it.

    None when all is complete; a line for a person where it has waited for a while for trials of other hosts.
    """

    def __init__(self, plans: Sequence[Plan], storage: str, objective: Objective, sweep: str) -> None:
        self.plans, self.storage, self.objective, self.sweep = list(plans), storage, objective, sweep
        self._studies: list[Study] = []
        self._store = Storage(storage)
        self._pid: int | None = None

    def __call__(self, _turn: int) -> Outcome | str | None:
        if self._pid != os.getpid():  # what there was before a fork is the parent's
            self._pid, self._store = os.getpid(), Storage(self.storage, has_answered=True)
            self._studies = [Study(plan, self._store) for plan in self.plans]
        return self._store.steadily(self._next)

    def _next(self) -> Outcome | str | None:
        (pause, longest), since = POLL_SECONDS, time.monotonic()
        while self._studies:
            for study in self._studies:
                if (trial := study.take(self.sweep)) and (outcome := run_trial(trial, self.objective)):
                    return outcome
            self._studies = [study for study in self._studies if not study.is_complete()]
            if self._studies:
                if time.monotonic() - since > SECONDS_UNTOLD and (line := waits_for(self._studies)):
                    return line
                time.sleep(pause)
                pause = min(2 * pause, longest)
        return None


def waits_for(studies: Sequence[Study]) -> str | None:
    """Which other hosts run the trials that these studies wait for, and what to do if they are gone."""
    return "; ".join(str(held) for study in studies for held in study.held_elsewhere()) or None


def run_trial(trial: Trial, objective: Objective) -> Outcome | None:
    """Runs a trial that was taken, and tells how it ended; None if others had given it up meanwhile."""
    study = trial.study
    values, error = None, None
    try:
        with study.storage.alive(trial.id):
            _ = trial.point
            answer = objective(trial)
        values = [float(answer)] if isinstance(answer, int | float) else [float(value) for value in answer]
    except Hopeless as end:
        study.give_back(trial, "ended the sweep", retry=isinstance(end, Interrupted))
        raise
    except BaseException as caught:
        if was_cut(study.storage.where, caught) and not stopping():
            study.held.discard(trial.id)  # it is tried once more: the trial is not what has failed
            raise
        if isinstance(caught, Exception) and not stopping():
            error = caught
        else:
            study.give_back(trial, "stopped")
            raise stopping() or caught from caught
    study.storage.steadily(lambda: study.tell(trial, values, error))
    return outcome_of(study, trial)


def outcome_of(study: Study, trial: Trial) -> Outcome | None:
    """How a trial ended and how far its study is; None if it was interrupted."""

    def ended() -> Outcome | None:
        result = study.result(trial)
        return _outcome(study, result) if result else None

    return study.storage.steadily(ended)


def _outcome(study: Study, result: Result) -> Outcome:
    return Outcome(study.plan.study, result, study.counts(), best(study.results(), study.plan.objectives))
