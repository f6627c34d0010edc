"""Jobs of a multirun that differ in numbers alone are composed once; each is what Hydra would compose for it.

Hydra composes every job twice, to check it and to run it, and each time takes longer than the training of a small
network. Hydra imports this module whenever it starts.
"""

from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from howdeep.study.sharing import Shared, parse


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

    def _sharing(self, master_config: DictConfig) -> Shared:
        if self._shared is None:
            compose = super().load_sweep_config
            self._shared = Shared(lambda rest: compose(master_config, list(rest)), master_config)
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


class GridSweeper(BasicSweeper):
    """Hydra's own sweeper, every value with every other one."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        super().setup(hydra_context=sharing(hydra_context), task_function=task_function, config=config)

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        assert self.config is not None
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        assert isinstance(loader, SharingLoader)
        for overrides in batch:
            loader.check(self.config, list(overrides))
