"""Configs that differ in numbers alone are composed once, and each gets its own numbers.

Hydra takes longer to compose a config than a small network takes to train, and the runs of a study, or the jobs of a
multirun, differ in depth, seed and learning rate. Hydra imports this module with its plugins whenever it starts.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import lru_cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

MOST_KEPT = 1000


class Shared:
    """Composes what configs have in common, once.

    Args:
        compose: gives the config of overrides; may raise what Hydra raises.
        default: the config without any override, which says where a number stands.
    """

    def __init__(self, compose: Callable[[Sequence[str]], DictConfig], default: DictConfig) -> None:
        self._compose, self._default = compose, default
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def of(self, overrides: Sequence[str]) -> DictConfig:
        """The config of these overrides, which nobody else holds; interpolations are not resolved.

        Raises:
            HydraException, OmegaConfBaseException: it cannot be composed.
        """
        config = deepcopy(self.base(overrides))
        for override in self._numbers(overrides):
            OmegaConf.update(config, override.key_or_group, override.value())
        return config

    def base(self, overrides: Sequence[str]) -> DictConfig:
        """What a config shares with those that differ from it in numbers alone; not to be changed."""
        numbers = {override.input_line for override in self._numbers(overrides)}
        rest = tuple(line for line in overrides if line not in numbers)
        if rest not in self._composed:
            if len(self._composed) == MOST_KEPT:
                self._composed.clear()
            self._composed[rest] = self._compose(rest)
        return self._composed[rest]

    def _numbers(self, overrides: Sequence[str]) -> list[Override]:
        """The overrides that put a number in the place of another, so that all else stays as it is."""
        parsed = [parse(line) for line in overrides]
        return [override for override in parsed if self._is_number(override, parsed)]

    def _is_number(self, override: Override, overrides: Sequence[Override]) -> bool:
        key, value = override.key_or_group, override.value()
        if override.type != OverrideType.CHANGE or override.package or key.startswith("hydra."):
            return False
        for other in overrides:  # `model={depth: 5}` after `model.depth=3` would win
            name = other.key_or_group
            inside = name == key or (key.startswith(f"{name}.") and isinstance(other.value(), dict))
            if other is not override and inside:
                return False
        try:
            there = OmegaConf.select(self._default, key)
        except OmegaConfBaseException:
            return False
        return isinstance(value, int | float) and isinstance(there, int | float)


@lru_cache(MOST_KEPT)  # each is asked for when a job is checked, and when it is run
def parse(line: str) -> Override:
    """An override as Hydra reads it."""
    return OverridesParser.create().parse_overrides([line])[0]
