"""Hydra's `hydra/sweeper=optuna`: a command line, or an experiment, as a study that `howdeep.sweeping` fills.

Hydra imports this module whenever it starts, so that everything else is imported late.
"""

import hashlib
import math
import os
import re
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, Transformer
from hydra.core.utils import setup_globals
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

from howdeep.runs.multirun import LOCAL
from howdeep.study.unused import check_mode, typed
from hydra_plugins.howdeep_jobs import exact_range, run_composed, sharing

if TYPE_CHECKING:
    from howdeep.sweeping.outcomes import Result
    from howdeep.sweeping.plan import Plan
    from howdeep.sweeping.space import Dimension, Point, Space
    from howdeep.sweeping.study import Trial


class OptunaSweeper(Sweeper):
    """Fills a study with trials of the task function; see conf/hydra/sweeper/optuna.yaml for the arguments.

    On this machine warm workers take the trials. With another launcher the trials go to it in batches of `n_jobs`,
    each a job that finds its trial in OPTUNA_STORAGE, OPTUNA_STUDY and OPTUNA_TRIAL.
    """

    def __init__(
        self,
        *,
        study: str | None,
        storage: str | None,
        n_trials: int,
        n_jobs: int | None,
        objectives: dict[str, str] | None,
        sampler: str,
        sampler_options: dict[str, Any] | None,
        seed: int,
        pruner: str,
        pruner_options: dict[str, Any] | None,
        max_failure_rate: float | None,
        take_over: str | None,
        conditions: dict[str, dict[str, list[Any]]],
        params: dict[str, Any] | None,
    ) -> None:
        self.name, self.storage, self.n_jobs, self.gone = study, storage, n_jobs, take_over
        self.conditions, self.params = conditions, params or {}
        self.settings: dict[str, Any] = {
            "total": n_trials,
            "objectives": objectives or {"val/loss": "minimize"},
            "sampler": sampler,
            "sampler_options": sampler_options or {},
            "seed": seed,
            "pruner": pruner,
            "pruner_options": pruner_options or {},
            "max_failure_rate": max_failure_rate,
        }

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        check_mode(config.hydra)
        self.task_function, self.job_config = task_function, config
        self.context = sharing(hydra_context)

    def sweep(self, arguments: list[str]) -> None:
        """Fills the study; a person is told of its progress, and of its best trial at the end."""
        from howdeep.errors import UserError, masked
        from howdeep.files.project import find
        from howdeep.records.provenance import commit
        from howdeep.runs.common import common_settings, other_than_last_time
        from howdeep.runs.nodes import places, scheduler
        from howdeep.sweeping.storage import Storage
        from howdeep.sweeping.study import Study
        from howdeep.sweeping.told import Progress, best_so_far
        from howdeep.tracking.parents import tracked_parent
        from howdeep.tracking.store import store_of

        lines = typed(self.job_config.hydra)
        if named := [line for line in lines if line.startswith("hydra.sweep.subdir=")]:
            raise UserError(
                f"the folder of a trial is its number: leave {named[0]} out, or set hydra.sweep.dir"
            )
        plan = self._plan(arguments)
        here = self.project = find()
        settings, cfg = common_settings(plan.space, self._compose, here)
        plan = replace(plan, study=self.name or _name(settings, plan), setting=settings)
        self.folder = self._folder(here.root, plan.study)
        self.where = self.storage or str(self.folder / "study.journal")
        if "://" not in self.where:
            self.where = str(Path(self.where).absolute())
        with open_dict(self.job_config):
            self.job_config.hydra.sweep.dir = str(self.folder)
        gpu = cfg.trainer.accelerator != "cpu"
        if nodes := scheduler(self.job_config.hydra, here):
            found = places(nodes, here, gpu=gpu)  # asked in any case: without a scheduler nothing is begun
            self.n_jobs = self.n_jobs or found
        elif gpu:
            self.n_jobs = self.n_jobs or 1
        setup_globals()
        with closing(Storage(self.where)) as storage:
            study = Study(plan, storage)
            there = {int(of.parent.name) for of in self.folder.glob("*/run") if of.parent.name.isdigit()}
            if max(there, default=-1) >= storage.steadily(lambda: study.open().started()):
                raise UserError(
                    f"{os.path.relpath(self.folder)} holds trials that {masked(_short(self.where))} does not know: "
                    "move it away, or name another study"
                )
            done = storage.steadily(study.counts).done
            freed = storage.steadily(partial(study.take_over, self.gone)) if self.gone else 0
        self.store = store_of(cfg, here)
        with Progress([plan], done, plan.study) as progress:
            if self.name is None and (
                line := other_than_last_time(self._typed(plan), plan.study, settings, here)
            ):
                progress.say(line)
            if self.gone:
                closed = self.store.close_abandoned(self.gone) if self.store else 0
                progress.say(
                    f"{freed} trials and {closed} runs in MLflow taken over from the host {self.gone}"
                )
            progress.say(f"{plan.wanted} trials, {done} done; the same command goes on where it was stopped")
            if nodes:
                progress.say(f"trains on the nodes of {nodes}, {self.n_jobs} at a time")
            progress.say(f"to look at it: optuna-dashboard {masked(_short(self.where))}")
            with tracked_parent(self.store, plan.study, commit(here.root), "sweep") as self.parent:
                results = self._fill(plan, progress)
                if self.store is not None:
                    self.store.close_abandoned()  # of workers that were killed
        self._say_best(plan, results, best_so_far)

    # What the user wants

    def _plan(self, arguments: list[str]) -> "Plan":
        from howdeep.errors import UserError
        from howdeep.names import check_name
        from howdeep.sweeping.plan import Plan
        from howdeep.sweeping.pool import check_jobs

        check_jobs(self.n_jobs)
        if self.name is not None:
            check_name(self.name, "hydra.sweeper.study")
        if self.gone is not None and (isinstance(self.gone, bool) or not str(self.gone)):
            raise UserError(
                f"hydra.sweeper.take_over must be the name of a host that is gone, or null, got {self.gone!r}"
            )
        self.gone = None if self.gone is None else str(self.gone)
        lines = [f"{key}={value}" for key, value in self.params.items()]
        parser = OverridesParser.create(config_loader=self.context.config_loader)
        # What is typed comes last and wins.
        named = {
            override.get_key_element(): override for override in parser.parse_overrides([*lines, *arguments])
        }
        fixed = [override for override in named.values() if not override.is_sweep_override()]
        swept = [override for override in named.values() if override.is_sweep_override()]
        self.fixed = [str(override.input_line) for override in fixed]
        return Plan(self.name or "", space_of(swept, fixed, self.conditions), **self.settings)

    def _folder(self, root: Path, study: str) -> Path:
        """Of the sweep: one that stays the same, or the one that was asked for."""
        lines = typed(self.job_config.hydra)
        asked = [line for line in lines if line.startswith("hydra.sweep.dir=")]
        return (Path(self.job_config.hydra.sweep.dir).absolute() if asked else root / "multirun") / study

    def _typed(self, plan: "Plan") -> list[str]:
        """What a command says is to be computed; not in which ranges, nor how often."""
        return [*self.fixed, *plan.space.dimensions, *plan.objectives]

    def _compose(self, point: "Point") -> DictConfig:
        """The config of a point; interpolations are not resolved."""
        from howdeep.sweeping.space import overrides

        typed = [*self.fixed, *overrides(point)]
        cfg = self.context.config_loader.load_sweep_config(self.job_config, typed)
        with open_dict(cfg):
            cfg.pop("hydra")
        return cfg

    # Running it

    def _fill(self, plan: "Plan", progress: Any) -> "list[Result]":
        if self.job_config.hydra.launcher._target_ != LOCAL:
            return self._launch_batches(plan, progress)
        from howdeep.sweeping.pool import run

        (results,) = run([plan], self.where, self._run_here, self.n_jobs, told=progress, say=progress.say)
        return results

    def _job(self, trial: "Trial") -> list[str]:
        """The overrides of a trial's job; its folder is its number, which no other trial ever has."""
        return [
            *self.fixed,
            *trial.overrides,
            f"hydra.sweep.dir={_quoted(str(self.folder))}",
            f"hydra.sweep.subdir='{trial.number}'",
        ]

    def _run_here(self, trial: "Trial") -> list[float]:
        """Runs a trial in this worker."""
        from hydra.errors import HydraException
        from omegaconf.errors import OmegaConfBaseException

        from howdeep.runs.trial import Running, attached
        from howdeep.study.complaints import explain

        try:
            config = self.context.config_loader.load_sweep_config(
                self.job_config, [*self.fixed, *trial.overrides]
            )
        except (HydraException, OmegaConfBaseException) as error:
            raise explain(error, self.project.conf) from error
        with open_dict(config):
            config.hydra.sweep.dir, config.hydra.sweep.subdir = str(self.folder), str(trial.number)
        with attached(Running(trial, self.store, self.parent)):
            return run_composed(config, trial.number, self.context, self.task_function).return_value

    def _launch_batches(self, plan: "Plan", progress: Any) -> "list[Result]":
        from hydra.core.plugins import Plugins

        from howdeep.sweeping.pool import waits_for
        from howdeep.sweeping.storage import Storage
        from howdeep.sweeping.study import Study

        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.context, task_function=self.task_function, config=self.job_config
        )
        said = None
        with closing(Storage(self.where, has_answered=True)) as storage:
            study = Study(plan, storage)
            while not storage.steadily(lambda: study.open().is_complete()):
                batch = [trial for _ in range(self._batch_size()) if (trial := storage.steadily(study.take))]
                if batch:
                    self._launch(launcher, study, batch, progress)
                else:
                    if (line := storage.steadily(lambda: waits_for([study]))) and line != said:
                        progress.say(said := line)
                    time.sleep(1)  # what is left runs elsewhere
            return storage.steadily(study.results)

    def _batch_size(self) -> int:
        from howdeep.processes.workers import cores

        return self.n_jobs or cores()

    def _launch(self, launcher: Launcher, study: Any, batch: "list[Trial]", progress: Any) -> None:
        """Hands a batch to Hydra's launcher, whose jobs tell the storage how they ended."""
        from howdeep.errors import UserError, masked
        from howdeep.processes.signals import stop_if_asked
        from howdeep.study.passwords import NAME, in_environment
        from howdeep.sweeping.outcomes import one_line
        from howdeep.sweeping.pool import check_failures, outcome_of

        has_password = masked(self.where) != self.where  # Hydra saves what a job is given
        where = in_environment(f"{NAME}_STORAGE", self.where) if has_password else self.where
        jobs = []
        for trial in batch:
            environment = {
                "OPTUNA_STORAGE": where,
                "OPTUNA_STUDY": study.plan.study,
                "OPTUNA_TRIAL": str(trial.number),
            }
            sets = [f"++hydra.job.env_set.{name}={_quoted(value)}" for name, value in environment.items()]
            jobs.append([*self._job(trial), *sets])
        why = "its job ended without a word"
        try:
            launcher.launch(jobs, initial_job_idx=batch[0].number)
        except UserError:
            raise
        except Exception as error:
            stop_if_asked()
            raise UserError(f"the launcher gave up ({one_line(error)}): finished trials are kept") from error
        except BaseException:
            why = "stopped"
            raise
        finally:
            for trial in batch:
                study.storage.steadily(partial(study.give_back, trial, why, died=why != "stopped"))
        for trial in batch:
            if outcome := outcome_of(study, trial):
                progress(outcome)
                check_failures(study.plan, outcome)

    def _say_best(self, plan: "Plan", results: "list[Result]", in_words: Any) -> None:
        from howdeep.sweeping.outcomes import best, pareto_front

        counts = {
            state: sum(result.state == state for result in results)
            for state in ("complete", "pruned", "failed")
        }
        again = sum(result.repeats is not None for result in results)
        more = f"; {again} tried what another had tried, and were given its run" if again else ""
        print(f"{plan.study}: " + ", ".join(f"{n} {state}" for state, n in counts.items()) + more)
        front = pareto_front(results, plan.objectives)
        for result in front if len(plan.objectives) > 1 else [best(results, plan.objectives)]:
            where = f" -> {os.path.relpath(self.folder / str(result.number))}" if result else ""
            print(f"{in_words(plan, result)}{where}")


def space_of(swept: list[Override], fixed: list[Override], conditions: dict[str, Any]) -> "Space":
    """Hydra's sweep overrides as a search space.

    A list (`a,b`, `choice(a,b)`, `glob(*)`) is a choice, `range(1,9)` its whole numbers, `interval(0,1)` every number
    between; `int(interval(1,64))` the whole ones; `tag(log, ...)` is logarithmic.

    Raises:
        UserError: nothing is swept, or a range that cannot be.
    """
    from howdeep.sweeping.space import Space

    dimensions = {override.get_key_element(): _dimension(override) for override in swept}
    plain = {name: {other: tuple(values) for other, values in of.items()} for name, of in conditions.items()}
    values: dict[str, Any] = {override.key_or_group: override.value() for override in fixed}
    return Space(dimensions, plain, values)


def _dimension(override: Override) -> "Dimension":
    from howdeep.errors import UserError
    from howdeep.sweeping.space import Choice, FloatRange, IntRange

    sweep = override.value()
    log = "log" in getattr(sweep, "tags", ())
    try:
        if isinstance(sweep, IntervalSweep):
            low, high = sweep.start, sweep.end
            kind = IntRange if isinstance(low, int) and isinstance(high, int) else FloatRange
            return kind(low, high, log=log)  # type: ignore[arg-type]
        if (numbers := exact_range(override)) is not None:
            return _range(numbers, log)
        assert isinstance(sweep, ChoiceSweep) or override.is_choice_sweep()
        return Choice(tuple(override.sweep_iterator(transformer=Transformer.encode)))  # type: ignore[arg-type]
    except UserError as error:
        raise UserError(f"{override.input_line}: {error}") from None


def _range(sweep: Any, log: bool) -> "Dimension":
    """The numbers of a range; its end is not one of them."""
    from howdeep.errors import UserError
    from howdeep.sweeping.space import FloatRange, IntRange

    start, step = sweep.start, sweep.step  # whole numbers, or decimals
    steps = math.ceil((sweep.stop - start) / step) - 1
    if steps < 0:
        raise UserError("a range needs at least one number, got none")
    low, high = sorted((start, start + steps * step))
    if isinstance(start, int):
        return IntRange(low, high, abs(step), log)
    return FloatRange(float(low), float(high), log=log, step=float(abs(step)))


def _name(settings: dict[str, str], plan: "Plan") -> str:
    """The same for the same computation: what is fixed, what for, and what is tried, but not in which range."""
    from howdeep.names import LONGEST

    tried = plan.space.dimensions
    model = settings.get("model._target_", "").split(".")[-2:-1]
    words = [
        *([] if "model" in tried else model),
        *([] if "data" in tried else [settings.get("data.name", "")]),
    ]
    fingerprint = repr((sorted(settings.items()), sorted(tried), list(plan.objectives.items())))
    end = f"sweep-{hashlib.sha256(fingerprint.encode()).hexdigest()[:8]}"
    begin = re.sub(r"[^A-Za-z0-9_.-]+", "-", "-".join(words)).lstrip(".-")[: LONGEST - len(end) - 1]
    return f"{begin}-{end}" if begin else end


def _short(where: str) -> str:
    """A path as it may be typed here; a URL as it is."""
    return where if "://" in where else os.path.relpath(where)


def _quoted(text: str) -> str:
    """Text as a value in Hydra's grammar."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
