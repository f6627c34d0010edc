"""What depths have in common: one width, or the width at which each costs as much as a reference network.

With `matching=width` a deeper network is a larger one, and depth cannot be told from size. With `parameters`, or
`flops`, the width of each depth is solved so that its trainable parameters, or the floating point operations of its
training (`training_flops`, for each example and step), are those of one network: `reference.depth` layers of
`reference.width`. All else stays, a bottleneck too. What a network has cost is in its record.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from howdeep.errors import UserError
from howdeep.records.cell import MATCHINGS
from howdeep.records.record import module_name

if TYPE_CHECKING:  # a config with the width of its YAML does not wait for torch
    from omegaconf import DictConfig

TOLERANCE = 0.02


def match(cfg: "DictConfig") -> None:
    """Gives a composed, resolved config the width that its matching asks for, in `cfg.model.width`.

    `cfg.reference` then says what it was solved for, so that the config gives the same network once more.

    Raises:
        UserError: an unknown matching, a reference that no network has, or no width that costs as much to 2 %.
    """
    from howdeep.nets import checks

    checks.choice(MATCHINGS, matching=cfg.matching)
    if cfg.matching == "width":
        return
    from howdeep.training.settings import check_settings

    check_settings(cfg)
    _check_reference(cfg)
    cfg.reference.width = cfg.model.width if cfg.reference.width is None else cfg.reference.width
    cost, wanted = _costs(cfg, cfg.model.depth), _costs(cfg, cfg.reference.depth)(cfg.reference.width)
    step = cfg.model.heads if "heads" in cfg.model else 1  # attention shares the width out among its heads
    width = nearest_width(cost, wanted, step=step)
    if abs(cost(width) - wanted) > TOLERANCE * wanted:
        raise UserError(_refusal(cfg, width, cost(width), wanted, step))
    cfg.model.width = width


def nearest_width(cost: Callable[[int], int], wanted: int, *, step: int = 1) -> int:
    """The width, a multiple of `step`, whose cost comes nearest to `wanted`.

    Costs are about quadratic in the width: their root is interpolated, and where that does not halve the interval, the
    next guess does.

    Args:
        cost: of a width; it grows with the width.
        wanted: what it should be, above 0.
        step: what the width must be a multiple of.
    """
    root = cache(lambda steps: math.sqrt(cost(steps * step)) if steps else 0.0)
    goal, low, high, halve = math.sqrt(wanted), 0, 1, False
    while root(high) < goal:
        low, high = high, 2 * high
    while high - low > 1:
        share = 0.5 if halve else (goal - root(low)) / (root(high) - root(low))
        guess, before = min(max(low + round(share * (high - low)), low + 1), high - 1), high - low
        low, high = (guess, high) if root(guess) < goal else (low, guess)
        halve = not halve and high - low > before // 2
    near = [steps for steps in (low, high) if steps]
    return step * min(near, key=lambda steps: abs(cost(steps * step) - wanted))


def _costs(cfg: "DictConfig", depth: int) -> Callable[[int], int]:
    """What a network of this depth costs, by its width."""
    import torch

    from howdeep.diagnostics.cost import parameters, training_flops
    from howdeep.training.settings import build

    characters = "vocabulary" in cfg.model and cfg.model.vocabulary is not None
    example = torch.zeros(1, *cfg.data.in_shape, dtype=torch.int64 if characters else torch.float32)

    def of(width: int) -> int:
        model = cfg.model.copy()
        model.depth, model.width = depth, width
        if cfg.matching == "flops":
            return training_flops(build(model), example)
        with torch.device("meta"):  # no memory is taken, and nothing drawn
            return parameters(build(model))

    return cache(of)


def _check_reference(cfg: "DictConfig") -> None:
    from omegaconf import DictConfig, OmegaConf

    from howdeep.nets import checks
    from howdeep.training.settings import MOST_LAYERS

    reference = OmegaConf.select(cfg, "reference")
    if not isinstance(reference, DictConfig) or not {"depth", "width"} <= set(reference):
        raise UserError(f"reference must hold depth and width, as in reference.depth=8, got {reference!r}")
    for name in ("depth", "width"):
        if name not in cfg.model:
            raise UserError(
                f"matching={cfg.matching} expects a model with {name}, got none: use matching=width"
            )
    checks.whole(**{"reference.depth": cfg.reference.depth, "model.depth": cfg.model.depth})
    if cfg.reference.width is not None:
        checks.whole(**{"reference.width": cfg.reference.width})
    if cfg.reference.depth > MOST_LAYERS:
        raise UserError(f"reference.depth must be at most {MOST_LAYERS}, got {cfg.reference.depth}")


def _refusal(cfg: "DictConfig", width: int, cost: int, wanted: int, step: int) -> str:
    what = "parameters" if cfg.matching == "parameters" else "FLOPs"
    name, multiple = module_name(cfg.model), f", a multiple of {step} heads," if step > 1 else ""
    return (
        f"matching={cfg.matching} wants {name} of depth {cfg.model.depth} to have the {wanted:,} {what} of depth "
        f"{cfg.reference.depth} at width {cfg.reference.width}, within {TOLERANCE:.0%}, but the nearest width {width}"
        f"{multiple} has {cost:,} ({cost / wanted - 1:+.1%}): choose another reference.width: "
        "a larger one leaves finer steps"
    )
