"""Jobs of a multirun that differ in numbers alone are composed once; each is what Hydra would compose for it.

Hydra composes every job twice, to check it and to run it, and each time takes longer than the training of a small
network. Hydra imports this module whenever it starts.
"""

import math
import os
from collections.abc import Sequence
from decimal import Decimal

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from tqdm import tqdm

from howdeep.errors import UserError
from howdeep.files.project import find
from howdeep.processes import progress
from howdeep.processes.workers import WorkerDied, run_all
from howdeep.runs.multirun import LOCAL, table
from howdeep.study.sharing import Shared, parse
from howdeep.study.unused import check_job, check_mode


class SharingLoader(ConfigLoaderImpl):
    """Hydra's loader, for the jobs of one sweep."""

    def __init__(self, loader: ConfigLoaderImpl) -> None:
        super().__init__(loader.get_search_path())
        self._shared: Shared | None = None

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_shared": None}  # launchers carry it to other processes

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The config of a job, which nobody else holds."""
        try:
            config = self._sharing(master_config).of(sweep_overrides)
        except (HydraException, OmegaConfBaseException):  # composed whole, it has Hydra's own words
            return super().load_sweep_config(master_config, sweep_overrides)
        parsed = [parse(line) for line in sweep_overrides]
        _tell_overrides(config, [override for override in parsed if not override.is_hydra_override()])
        return config

    def check(self, master_config: DictConfig, sweep_overrides: list[str]) -> None:
        """Composes what a job shares with others: with another number in it, it is as legal.

        Raises:
            ConfigCompositionException: the job cannot be composed.
        """
        self._sharing(master_config).base(sweep_overrides)

    def numbers_folders(self, master_config: DictConfig, sweep_overrides: list[str]) -> bool:
        """Whether the folder of a job is named by its number, which no other one has."""
        sweep = OmegaConf.to_container(self._sharing(master_config).base(sweep_overrides).hydra.sweep)
        assert isinstance(sweep, dict)
        return sweep["subdir"] == "${hydra.job.num}"

    def _sharing(self, master_config: DictConfig) -> Shared:
        if self._shared is None:

            def compose(overrides: Sequence[str]) -> DictConfig:
                config = ConfigLoaderImpl.load_sweep_config(self, master_config, list(overrides))
                check_job(config, master_config, overrides)
                return config

            self._shared = Shared(compose, master_config)
        return self._shared


def _tell_overrides(config: DictConfig, overrides: list[Override]) -> None:
    """What Hydra notes of a job's overrides."""
    config.hydra.overrides.task = [override.input_line for override in overrides]
    style = config.hydra.job.config.override_dirname
    config.hydra.job.override_dirname = get_overrides_dirname(
        overrides=overrides, kv_sep=style.kv_sep, item_sep=style.item_sep, exclude_keys=style.exclude_keys
    )


def sharing(context: HydraContext) -> HydraContext:
    """The context of a sweep whose jobs share compositions."""
    assert isinstance(context.config_loader, ConfigLoaderImpl)
    return HydraContext(config_loader=SharingLoader(context.config_loader), callbacks=context.callbacks)


def exact_range(override: Override) -> RangeSweep | None:
    """The range that an override sweeps, in decimals as it was typed; Hydra adds their binary neighbours.

    So range(0.7,1,0.1) ends before 1.

    Raises:
        UserError: it has no end, or no step.
    """
    sweep = override.value()
    if not isinstance(sweep, RangeSweep):
        return None
    numbers = (sweep.start, sweep.stop, sweep.step)
    if not all(number is not None and math.isfinite(number) for number in numbers) or sweep.step == 0:
        raise UserError(
            f"{override.input_line}: a range needs finite ends and a step other than 0, as in range(1,9)"
        )
    if not all(isinstance(number, int) for number in numbers):
        sweep.start, sweep.stop, sweep.step = (Decimal(str(number)) for number in numbers)  # type: ignore[assignment]
    return sweep


def run_composed(
    config: DictConfig, number: int, context: HydraContext, task_function: TaskFunction
) -> JobReturn:
    """Runs a job of a multirun in this process, as Hydra's launcher does.

    Raises:
        Exception: what the job raised.
    """
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
    ended = run_job(
        hydra_context=context,
        task_function=task_function,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
    )
    if ended.status is not JobStatus.COMPLETED:
        raise ended._return_value  # the public property also prints
    return ended


class NodesLauncher(Launcher):
    """Jobs side by side, each in a process that waits for a node to train its run.

    Args:
        n_jobs: at a time.
    """

    def __init__(self, n_jobs: int) -> None:
        self.n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task_function, self.job_config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        setup_globals()
        ended: dict[int, float] = {}
        jobs = list(enumerate(job_overrides, initial_job_idx))
        with tqdm(total=len(jobs), unit="run", disable=None, leave=False) as bar:
            for (number, _), value in run_all(self._run, jobs, self.n_jobs, self._died):
                ended[number] = value
                bar.update()
        return [returned(ended.get(number, math.nan)) for number, _ in jobs]

    def _run(self, job: tuple[int, Sequence[str]]) -> float:
        number, overrides = job
        config = self.context.config_loader.load_sweep_config(self.job_config, list(overrides))
        return run_composed(config, number, self.context, self.task_function).return_value

    def _died(self, death: WorkerDied) -> None:
        progress.say(f"a run failed: its process ended by {death.cause}")


def returned(value: float) -> JobReturn:
    """A job that has ended, without its config, which nobody asks for."""
    job = JobReturn(status=JobStatus.COMPLETED)
    job.return_value = value
    return job


class GridSweeper(BasicSweeper):
    """Hydra's own sweeper, every value with every other one; all jobs are checked before anything is written."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        check_mode(config.hydra)
        from howdeep.runs.nodes import places, scheduler  # and with it torch

        context = sharing(hydra_context)
        super().setup(hydra_context=context, task_function=task_function, config=config)
        self.counts_here = (
            config.hydra.launcher._target_ == LOCAL
        )  # in this process each failed run has been counted
        here = find()
        if nodes := scheduler(config.hydra, here):
            gpu = config.trainer.accelerator != "cpu"
            self.launcher, self.counts_here = NodesLauncher(places(nodes, here, gpu=gpu)), False
            self.launcher.setup(hydra_context=context, task_function=task_function, config=config)
            progress.say(f"trains on the nodes of {nodes}, {self.launcher.n_jobs} at a time")

    @staticmethod
    def split_arguments(overrides: list[Override], max_batch_size: int | None) -> list[list[list[str]]]:
        for override in overrides:
            exact_range(override)
        return BasicSweeper.split_arguments(overrides, max_batch_size)

    def sweep(self, arguments: list[str]) -> list[Sequence[JobReturn]]:
        assert self.config is not None
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        assert isinstance(loader, SharingLoader)
        _ = self.config.hydra.sweep.dir  # which may name the time: once resolved, it is the same for all jobs
        lines = [f"{key}={value}" for key, value in self.params.items()]
        parsed = OverridesParser.create(config_loader=loader).parse_overrides([*lines, *arguments])
        (jobs,) = self.split_arguments(parsed, None)
        for overrides in jobs:
            loader.check(self.config, overrides)
        check_folders(loader, self.config, jobs)
        returned = super().sweep(arguments)
        values = [job.return_value for batch in returned for job in batch]
        if told := table([(overrides, float(value)) for overrides, value in zip(jobs, values, strict=True)]):
            print(told)
        if not self.counts_here and (failed := sum(map(math.isnan, values))):
            raise UserError(f"{failed} of {len(values)} runs failed: each has said why")
        return returned

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """All have been checked."""


def check_folders(loader: SharingLoader, master_config: DictConfig, jobs: Sequence[list[str]]) -> None:
    """Refuses a multirun that gives one folder to two jobs, unless they compute the same.

    Raises:
        UserError: what the two jobs are, and their folder.
    """
    taken: dict[str, tuple[list[str], dict]] = {}
    for number, overrides in enumerate(jobs):
        if loader.numbers_folders(master_config, overrides):
            continue
        config = loader.load_sweep_config(master_config, overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        folder = _folder(config)
        plain = OmegaConf.to_container(config, resolve=False)
        assert isinstance(plain, dict)
        task = {name: node for name, node in plain.items() if name != "hydra"}
        other, its_task = taken.setdefault(folder, (overrides, task))
        if task != its_task:
            one, two = (
                ", ".join(sorted(set(of) - set(others)))
                for of, others in ((other, overrides), (overrides, other))
            )
            raise UserError(
                f"expected a folder for each run, but {one} and {two} would both go to {folder}: name in "
                "hydra.sweep.subdir all that they differ in"
            )


def _folder(config: DictConfig) -> str:
    """Where Hydra puts a job."""
    outer = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)  # for ${hydra:...}
    try:
        return os.path.normpath(os.path.join(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)))
    finally:
        HydraConfig.instance().cfg = outer
