"""Jobs of a multirun that differ in numbers alone are composed once; each is what Hydra would compose for it.

Hydra composes every job twice, to check it and to run it, and each time takes longer than the training of a small
network. Hydra imports this module whenever it starts.
"""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, Node, OmegaConf
from omegaconf.errors import OmegaConfBaseException

MOST_KEPT = 1000


class SharingLoader(ConfigLoaderImpl):
    """Hydra's loader, for the jobs of one sweep."""

    def __init__(self, loader: ConfigLoaderImpl) -> None:
        super().__init__(loader.get_search_path())
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_composed": {}}  # launchers carry it to other processes

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The config of a job, which nobody else holds."""
        config = duplicate(self.shared(master_config, sweep_overrides))
        overrides = [_parsed(line) for line in sweep_overrides]
        for override in overrides:
            if _is_number(override, overrides, master_config):
                OmegaConf.update(config, override.key_or_group, override.value())
        _tell_overrides(config, [override for override in overrides if not override.is_hydra_override()])
        return config

    def shared(self, master_config: DictConfig, sweep_overrides: Sequence[str]) -> DictConfig:
        """What a job shares with those that differ from it in numbers alone: the config of the first of them.

        Raises:
            ConfigCompositionException: the job cannot be composed.
        """
        overrides = [_parsed(line) for line in sweep_overrides]
        alike = tuple(
            override.key_or_group if _is_number(override, overrides, master_config) else line
            for override, line in zip(overrides, sweep_overrides, strict=True)
        )
        if alike not in self._composed:
            if len(self._composed) == MOST_KEPT:
                self._composed.clear()
            self._composed[alike] = super().load_sweep_config(master_config, list(sweep_overrides))
        return self._composed[alike]


def duplicate(node: Any, parent: Any = None) -> Any:
    """A config that shares no node with another one, in a fifth of the time that `deepcopy` takes.

    OmegaConf has no public way: a node is its attributes, and a container holds its nodes in `_content`. Types and
    plain values are shared, as nobody changes these.
    """
    new = object.__new__(type(node))
    state, metadata = new.__dict__, object.__new__(type(node._metadata))
    state.update(node.__dict__)
    metadata.__dict__.update(node._metadata.__dict__)
    metadata.flags, metadata.resolver_cache = dict(metadata.flags), defaultdict(dict)
    for name, cache in node._metadata.resolver_cache.items():  # such as the time of ${now:}
        metadata.resolver_cache[name] = dict(cache)
    state |= {"_metadata": metadata, "_parent": parent, "_flags_cache": None}
    content = state.get("_content")
    if isinstance(content, dict):
        state["_content"] = {key: duplicate(child, new) for key, child in content.items()}
    elif isinstance(content, list):
        state["_content"] = [duplicate(child, new) for child in content]
    elif isinstance(content, Node):  # of a union
        state["_content"] = duplicate(content, new)
    return new


@lru_cache(MOST_KEPT)  # each is asked for when a job is checked, and when it is run
def _parsed(line: str) -> Override:
    return OverridesParser.create().parse_overrides([line])[0]


def _is_number(override: Override, overrides: list[Override], master: DictConfig) -> bool:
    """Whether it puts a number in the place of another, so that all else stays as it is."""
    key, value = override.key_or_group, override.value()
    if override.type != OverrideType.CHANGE or override.package or key.startswith("hydra."):
        return False
    for other in overrides:  # `model={depth: 5}` after `model.depth=3` would win
        name = other.key_or_group
        inside = name == key or (key.startswith(f"{name}.") and isinstance(other.value(), dict))
        if other is not override and inside:
            return False
    try:
        return isinstance(value, int | float) and isinstance(OmegaConf.select(master, key), int | float)
    except OmegaConfBaseException:
        return False


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
        """Composes what jobs share: with another number in it, it is as legal."""
        assert self.config is not None
        assert self.hydra_context is not None
        loader = self.hydra_context.config_loader
        assert isinstance(loader, SharingLoader)
        for overrides in batch:
            loader.shared(self.config, overrides)
