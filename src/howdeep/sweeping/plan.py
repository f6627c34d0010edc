"""What a sweep is to do: space, objectives, sampler, number of trials. Data; checked when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from howdeep.errors import UserError, near
from howdeep.sweeping import samplers
from howdeep.sweeping.space import Space

DIRECTIONS = ("minimize", "maximize")


@dataclass(frozen=True)
class Plan:
    """A study that is to be filled.

    Args:
        study: its name in the storage; one storage holds many.
        space: what is tried.
        total: the trials of the study when it is complete, however often and by however many processes it is
            started; the complete, the pruned and the failed count, the interrupted do not. A grid ends earlier if it
            is exhausted.
        objectives: the direction of each objective by its name: `{"val/loss": "minimize"}`.
        sampler, pruner: names as in `samplers`, with options for Optuna's class.
        seed: of the sampler.
        setting: what the trials have in common and must have in common when the study is resumed.
        max_failure_rate: the share of `total` that may fail; None: all may.

    Raises:
        UserError: what does not fit together.
    """

    study: str
    space: Space
    total: int
    objectives: Mapping[str, str] = field(default_factory=lambda: {"val/loss": "minimize"})
    sampler: str = "tpe"
    sampler_options: Mapping[str, Any] = field(default_factory=dict)
    pruner: str = "none"
    pruner_options: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    setting: Mapping[str, str] = field(default_factory=dict)
    max_failure_rate: float | None = None

    def __post_init__(self) -> None:
        if isinstance(self.total, bool) or not isinstance(self.total, int) or self.total < 1:
            raise UserError(f"n_trials must be a whole number of at least 1, got {self.total!r}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise UserError(f"the sampler's seed must be a whole number of at least 0, got {self.seed!r}")
        rate = self.max_failure_rate
        if rate is not None and not (isinstance(rate, int | float) and 0 <= rate <= 1):
            raise UserError(f"max_failure_rate must be a number from 0 to 1, or null, got {rate!r}")
        if not self.objectives:
            raise UserError("a sweep needs an objective, such as {val/loss: minimize}, got none")
        for name, direction in self.objectives.items():
            if direction not in DIRECTIONS:
                raise UserError(
                    f"the objective {name} has the direction '{direction}'{near(direction, DIRECTIONS)}"
                )
        samplers.sampler(self.sampler, self.sampler_options, self.space, self.seed, 0)
        samplers.pruner(self.pruner, self.pruner_options)
        if self.pruner != "none" and len(self.objectives) > 1:
            raise UserError(
                f"the pruner {self.pruner} looks at one objective, got {', '.join(self.objectives)}: pruner=none"
            )
        if self.sampler == "grid":
            self.space.grid()

    @cached_property
    def wanted(self) -> int:
        """The number of trials that complete the study."""
        return min(self.total, sum(1 for _ in self.space.grid())) if self.sampler == "grid" else self.total
