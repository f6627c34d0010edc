"""Eight narrow Gaussians on a circle: of which does what a network makes come? (Metz et al., 2017.)"""

from pathlib import Path

import numpy as np

from howdeep.data import drawn, prepared
from howdeep.data.splits import random_state


def prepare(
    raw: Path,
    *,
    modes: int,
    radius: float,
    deviation: float,
    train_examples: int,
    test_examples: int,
    seed: int,
) -> prepared.Prepared:
    """Draws points x (n, 2), standardised with one scale, and the Gaussian y (n,) that each comes from.

    The centres lie evenly on a circle, the first on the right; every point comes from each Gaussian with the same
    probability. Radius 2 and deviation .02 are those of Metz et al. (2017, "Unrolled generative adversarial networks")
    and Srivastava et al. (2017, "VEEGAN"). Both parts are independent draws from a continuous distribution.

    Args:
        raw: unused, nothing is fetched.
        modes: Gaussians.
        radius: of the circle.
        deviation: standard deviation of each coordinate.
        train_examples: training and validation examples.
        test_examples: how many more.
        seed: of all that is drawn.

    Raises:
        UserError: an option that means nothing.
    """
    drawn.whole(2, modes=modes, train_examples=train_examples)
    drawn.whole(1, test_examples=test_examples)
    drawn.above_0(radius=radius, deviation=deviation)
    train, test = (
        draw(n, modes, radius, deviation, random_state(seed, stream))
        for stream, n in enumerate((train_examples, test_examples))
    )
    classes = [f"mode {mode}" for mode in range(modes)]
    return prepared.labelled(train=train, test=test, classes=classes, axis=None)


def draw(
    n: int, modes: int, radius: float, deviation: float, random: np.random.RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2) and their Gaussians (n,)."""
    mode = random.randint(modes, size=n)
    angle = 2 * np.pi * mode / modes
    centres = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return centres + deviation * random.standard_normal((n, 2)), mode
