"""A study in a storage: opened or resumed, its trials taken, told, and given back by any number of processes.

Everything that looks at all trials and then acts on them happens under the storage's lock: so the study ends with
exactly the trials that it should have, whoever is killed, and whenever.
"""

import math
import random
import traceback
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from howdeep.errors import UserError
from howdeep.processes.locks import host_of, is_gone, this_process
from howdeep.processes.signals import hold_stop
from howdeep.sweeping import samplers
from howdeep.sweeping.outcomes import Pruned, Result, one_line
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.space import Point, changed, difference, overrides
from howdeep.sweeping.storage import Storage
from howdeep.sweeping.trials import (
    INTERRUPTED,
    KILLED,
    OWNER,
    REASON,
    REPEATS,
    RETRY_OF,
    SWEEP,
    TRACEBACK,
    Counts,
    Held,
    is_counted,
    is_wanted,
    point_of,
    result_of,
    running_elsewhere,
    with_its_tries,
)  # fmt: skip

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

DEATHS = 2  # of its worker, with the sweep alive, that make a trial a failed one
SPACE, SETTING, OBJECTIVES = "space", "setting", "objectives"


class Study:
    """A study of a storage, created or resumed.

    Raises:
        UserError: the study that is there has another space, setting or objective.
    """

    def __init__(self, plan: Plan, storage: Storage) -> None:
        self.plan, self.storage = plan, storage
        self.owner = this_process()
        self.held = set[int]()  # ids of the trials that are run here

    @cached_property
    def _study(self) -> "optuna.Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        backend = self.storage.optuna
        with hold_stop(), self.storage.lock(), warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            try:
                study = optuna.load_study(study_name=self.plan.study, storage=backend)
            except KeyError:
                directions: list[Any] = list(self.plan.objectives.values())
                study = optuna.create_study(
                    study_name=self.plan.study,
                    storage=backend,
                    directions=directions,
                    load_if_exists=True,
                )
            study.pruner = samplers.pruner(self.plan.pruner, self.plan.pruner_options)
            self._check(study)
        return study

    def open(self) -> "Study":
        """Creates the study, or checks the one that is there, before anything is run."""
        _ = self._study
        return self

    def _check(self, study: "optuna.Study") -> None:
        known, plan = study.user_attrs, self.plan
        trials = study.get_trials(deepcopy=False)
        same_ways = [way.name.lower() for way in study.directions] == list(plan.objectives.values())
        if SPACE not in known or (same_ways and not any(map(is_counted, trials))):
            if trials and SPACE not in known:
                raise UserError(f"the study {plan.study} was not made by howdeep: name another study")
            study.set_metric_names(list(plan.objectives))
            study.set_user_attr(OBJECTIVES, dict(plan.objectives))
            study.set_user_attr(SETTING, dict(plan.setting))
            study.set_user_attr(SPACE, plan.space.to_json())
            return
        if what := (
            changed(known[OBJECTIVES], plan.objectives, "objective")
            or changed(known[SETTING], plan.setting, "setting")
            or difference(known[SPACE], plan.space.to_json())
        ):
            raise UserError(
                f"the study {plan.study} cannot go on: {what}; only a wider range may change: name another study"
            )
        if known[SPACE] != plan.space.to_json():
            study.set_user_attr(SPACE, plan.space.to_json())

    @cached_property
    def _study_id(self) -> int:
        return self.storage.optuna.get_study_id_from_name(self._study.study_name)

    def _id(self, trial: "FrozenTrial") -> int:
        return self.storage.optuna.get_trial_id_from_study_id_trial_number(self._study_id, trial.number)

    def _trials(self) -> list["FrozenTrial"]:
        return self._study.get_trials(deepcopy=False)

    def counts(self) -> Counts:
        return Counts.of(self._trials(), self.plan.wanted)

    @hold_stop()
    def take(self, sweep: str | None = None) -> "Trial | None":
        """A trial to run now, which belongs to this process until it is told.

        Args:
            sweep: the process that restarts this one if it is killed; else this one.

        Returns:
            None if there is none: the study is complete, or will be with what others run. See `is_complete`.
        """
        _ = self._study  # opened outside of the lock, which is taken for it too
        while True:
            with self.storage.lock() as is_held:
                self._recover()
                trials = self._trials()
                counts = Counts.of(trials, self.plan.wanted)
                if counts.done + counts.running >= counts.total:
                    return None
                trial_id = self._claim(trials, {OWNER: self.owner, SWEEP: sweep or self.owner})
                trial = Trial(self, trial_id, self.storage.optuna.get_trial(trial_id).number)
                if self.plan.sampler in samplers.DRAW_IN_TURN:
                    _ = trial.point
                if is_held():
                    self.held.add(trial_id)
                    return trial
            # Somebody else may have counted without it: `_recover` gives it back, and counts again.

    def started(self) -> int:
        """The trials that there are: the interrupted, and those that run, too. Their numbers are the ones below."""
        return len(self._trials())

    def is_complete(self) -> bool:
        return self.counts().done >= self.plan.wanted

    def _claim(self, trials: Sequence["FrozenTrial"], attrs: dict[str, str]) -> int:
        """The id of a waiting trial, or of a new one, that is running from now on."""
        from optuna.trial import TrialState, create_trial

        backend = self.storage.optuna
        waiting = [trial for trial in trials if trial.state == TrialState.WAITING]
        if not waiting and self.plan.sampler == "grid":
            self._study.enqueue_trial(self._next_of_grid(trials))
            waiting = [trial for trial in self._trials() if trial.state == TrialState.WAITING]
        for trial in waiting:
            trial_id = self._id(trial)
            for name, value in attrs.items():
                backend.set_trial_user_attr(trial_id, name, value)
            if backend.set_trial_state_values(trial_id, TrialState.RUNNING):
                return trial_id
        return backend.create_new_trial(
            self._study_id, create_trial(state=TrialState.RUNNING, user_attrs=attrs)
        )

    def _next_of_grid(self, trials: Sequence["FrozenTrial"]) -> Point:
        def key(point: Mapping[str, Any]) -> tuple:
            return tuple(sorted(point.items()))

        exact = self.plan.space.exact
        taken = {
            key(exact(trial.system_attrs.get("fixed_params", trial.params)))
            for trial in trials
            if is_counted(trial)
        }
        points = list(self.plan.space.grid())
        random.Random(self.plan.seed).shuffle(points)
        return next(point for point in points if key(point) not in taken)

    def _recover(self) -> None:
        """Gives back the trials whose process has died, or does not know of them.

        A server that ends a connection may have done what was asked on it.
        """
        from optuna.trial import TrialState

        running = [
            trial for trial in self._trials() if trial.state == TrialState.RUNNING and is_counted(trial)
        ]
        hosts = {host_of(trial.user_attrs[OWNER]) for trial in running}
        stale = self.storage.stale(self._study_id) if hosts - {host_of(self.owner)} else set()
        for trial in running:
            is_stale = self._id(trial) in stale
            if trial.user_attrs[OWNER] == self.owner:
                if self._id(trial) not in self.held:
                    self._interrupt(trial, "the connection to the storage was lost")
            elif is_gone(trial.user_attrs[OWNER]) or is_stale:
                died_alone = not is_stale and not is_gone(trial.user_attrs[SWEEP])
                self._interrupt(trial, "killed", deaths=int(died_alone))

    def held_elsewhere(self) -> list[Held]:
        """What other hosts run, for each of them."""
        found = running_elsewhere(self._trials(), self.owner)
        return [Held.of(self.plan.study, host, trials) for host, trials in found.items()]

    @hold_stop()
    def take_over(self, host: str) -> int:
        """Gives back what another host runs, which is said to be gone; how many trials.

        If it runs them after all, what becomes of them there does not count.
        """
        _ = self._study
        with self.storage.lock():
            its = running_elsewhere(self._trials(), self.owner).get(host, [])
            for trial in its:
                self._interrupt(trial, f"its host {host} was said to be gone")
        return len(its)

    def adopt(self, number: int) -> "Trial":
        """A running trial that another process has taken, as this process's own.

        Raises:
            UserError: it runs no more.
        """
        from optuna.trial import TrialState

        backend = self.storage.optuna
        with hold_stop(), self.storage.lock():
            trial_id = backend.get_trial_id_from_study_id_trial_number(self._study_id, number)
            if backend.get_trial(trial_id).state != TrialState.RUNNING:
                raise UserError(
                    f"trial {number} of the study {self.plan.study} was given up before it started"
                )
            for name in (OWNER, SWEEP):
                backend.set_trial_user_attr(trial_id, name, self.owner)
        self.held.add(trial_id)
        return Trial(self, trial_id, number)

    def give_back(self, trial: "Trial", why: str, *, retry: bool = True, died: bool = False) -> None:
        """Takes a trial, if it still runs, out of the count; another one with the same point takes its place.

        Args:
            retry: whether one does.
            died: whether its process was killed, which makes it a failed one at the second time.
        """
        from optuna.trial import TrialState

        with hold_stop(), self.storage.lock():
            frozen = self.storage.optuna.get_trial(trial.id)
            if frozen.state == TrialState.RUNNING:
                self._interrupt(frozen, why, deaths=int(died), retry=retry)
        self.held.discard(trial.id)

    def _interrupt(self, trial: "FrozenTrial", why: str, *, deaths: int = 0, retry: bool = True) -> None:
        from optuna.trial import TrialState

        backend, trial_id = self.storage.optuna, self._id(trial)
        deaths += trial.user_attrs.get(KILLED, 0)
        if deaths >= DEATHS:
            reason = f"its worker was killed {deaths} times: for want of memory?"
            backend.set_trial_user_attr(trial_id, REASON, reason)
            backend.set_trial_state_values(trial_id, TrialState.FAIL)
            return
        once = self.plan.sampler == "grid"
        if retry and is_wanted(trial, self._trials(), self.plan.wanted, once=once):
            # First of all: whoever is killed after it does it again, and finds it done.
            self._study.enqueue_trial(point_of(trial), user_attrs={RETRY_OF: trial.number, KILLED: deaths})
        backend.set_trial_user_attr(trial_id, INTERRUPTED, why)
        backend.set_trial_state_values(trial_id, TrialState.FAIL)

    @hold_stop()
    def tell(self, trial: "Trial", values: Sequence[float] | None, error: Exception | None = None) -> None:
        """Ends a trial: with its values, or with the exception that it raised."""
        from optuna.trial import TrialState

        backend, state = self.storage.optuna, TrialState.COMPLETE
        error = error or self._refuse(values)
        if isinstance(error, Pruned):
            state, values = TrialState.PRUNED, None
        elif error is not None:
            state, values = TrialState.FAIL, None
            if backend.get_trial(trial.id).state == TrialState.RUNNING:
                backend.set_trial_user_attr(trial.id, REASON, one_line(error))
                lines = "" if isinstance(error, UserError) else "".join(traceback.format_exception(error))
                if lines:
                    backend.set_trial_user_attr(trial.id, TRACEBACK, lines[-4000:])
        self._study.sampler = trial.sampler
        self._study.tell(trial.number, values, state, skip_if_finished=True)
        self.held.discard(trial.id)

    def _refuse(self, values: Sequence[float] | None) -> Exception | None:
        names = list(self.plan.objectives)
        if values is None or len(values) != len(names):
            return UserError(f"expected a value for each of {', '.join(names)}, got {values}")
        for name, value in zip(names, values, strict=True):
            if not math.isfinite(value):
                return UserError(f"{name} became {value}")
        return None

    def result(self, trial: "Trial") -> Result | None:
        """How a trial ended; None if it was interrupted, or still runs."""
        frozen = self.storage.optuna.get_trial(trial.id)
        return (
            result_of(frozen, self.plan.space) if frozen.state.is_finished() and is_counted(frozen) else None
        )

    def results(self, sweep: str | None = None) -> list[Result]:
        """The trials that count, by number; with `sweep` those that this process, or a worker of it, has run."""
        return [
            result_of(trial, self.plan.space)
            for trial in self._trials()
            if trial.state.is_finished()
            and is_counted(trial)
            and sweep in (None, trial.user_attrs.get(SWEEP))
        ]


class Trial:
    """A trial that is running here."""

    def __init__(self, study: Study, trial_id: int, number: int) -> None:
        self.study, self.id, self.number = study, trial_id, number

    @cached_property
    def sampler(self):
        plan = self.study.plan
        return samplers.sampler(plan.sampler, plan.sampler_options, plan.space, plan.seed, self.number)

    @cached_property
    def _trial(self) -> "optuna.Trial":
        import optuna

        study = self.study._study
        study.sampler = self.sampler
        return optuna.trial.Trial(study, self.id)

    @cached_property
    def point(self) -> Point:
        """What the trial tries, as the sampler draws it; once drawn it stays."""
        with hold_stop():
            return self.study.plan.space.suggest(self._trial)

    @property
    def overrides(self) -> list[str]:
        """The point as Hydra overrides."""
        return overrides(self.point)

    @property
    def retry_of(self) -> int | None:
        """The number of the interrupted trial whose point this one has."""
        return self._trial.user_attrs.get(RETRY_OF)

    @property
    def replaces(self) -> tuple[int, ...]:
        """The numbers of the interrupted trials whose point this one has: that which it retries, and so on back."""
        number = self.retry_of
        return () if number is None else with_its_tries(number, self.study._trials())

    def equals(self) -> "list[FrozenTrial]":
        """The other trials with the same point, however they ended, and those that still run."""
        point, exact = self.point, self.study.plan.space.exact
        others = [trial for trial in self.study._trials() if trial.number != self.number]
        return [trial for trial in others if exact(trial.params) == point]

    @hold_stop()
    def repeat(self, other: "FrozenTrial") -> None:
        """Notes that this trial has the outcome of another one, with what that one reported."""
        self._trial.set_user_attr(REPEATS, other.number)
        for step, value in other.intermediate_values.items():
            self._trial.report(value, step)

    @hold_stop()
    def report(self, step: int, value: float) -> None:
        """Tells the pruner how good the first objective is now.

        Raises:
            Pruned: not good enough, beside other trials at this step.
        """
        if self.study.plan.pruner == "none":
            return  # nobody asks, and a report costs as much as an epoch of a small network

        def told() -> bool:
            self._trial.report(value, step)
            return self._trial.should_prune()

        if self.study.storage.steadily(told):
            raise Pruned(f"pruned in step {step}")
