"""Learning-rate schedules: pure functions of progress, the share of the training steps taken, from 0 to 1.

Each returns a factor from 0 to 1 of the optimizer's learning rate.
"""

import math

from howdeep.errors import UserError

WARMUP_START = 0.01  # above 0: a first step of size 0 would be wasted


def constant(progress: float) -> float:
    """The optimizer's own learning rate, all the time."""
    return 1.0


def cosine(progress: float) -> float:
    """Half a cosine from 1 to 0, (1 + cos(pi progress)) / 2 (Loshchilov and Hutter, 2017)."""
    return (1 + math.cos(math.pi * progress)) / 2


def warmup_cosine(progress: float, warmup: float = 0.1) -> float:
    """A straight line from 0.01 to 1 (Goyal et al., 2017), then half a cosine to 0.

    Args:
        warmup: the share of the training that the line takes, from 0 to below 1.

    Raises:
        UserError: `warmup` is no such number.
    """
    if not isinstance(warmup, int | float) or isinstance(warmup, bool) or not 0 <= warmup < 1:
        raise UserError(f"warmup must be a number from 0 to below 1, got {warmup!r}")
    if progress < warmup:
        return WARMUP_START + (1 - WARMUP_START) * progress / warmup
    return cosine((progress - warmup) / (1 - warmup))
