"""The sawtooth: a tent, folded again and again, as deep networks can and shallow ones cannot (Telgarsky, 2016)."""

from pathlib import Path

import numpy as np

from howdeep.data import drawn, prepared
from howdeep.data.splits import random_state
from howdeep.errors import UserError

MOST = 20  # folds: each takes a binary digit of x, of which single precision has 24


def prepare(
    raw: Path, *, folds: int, train_examples: int, test_examples: int, seed: int
) -> prepared.Prepared:
    """Draws x (n, 1), uniform in [0, 1], and y = f(f(...f(x))), the tent map f composed `folds` = k times with itself.

    y is linear in 2^k pieces, with 2^(k - 1) teeth. k layers of two rectified units are enough for it, since
    f(x) = 2 relu(x) - 4 relu(x - 1/2) on [0, 1]; one layer needs a unit for each of its 2^k - 1 bends (Telgarsky, 2016,
    "Benefits of depth in neural networks"). y is uniform as x is, so that always saying 1/2 has a squared error of 1/12
    for every k. Nothing is rescaled.

    Test examples have a stream of random numbers of their own. Both parts are independent draws from a continuous
    distribution.

    Args:
        raw: unused, nothing is fetched.
        folds: k, at most 20.
        train_examples: training and validation examples.
        test_examples: how many more.
        seed: of all that is drawn.

    Raises:
        UserError: an option that means nothing.
    """
    drawn.whole(1, folds=folds)
    if folds > MOST:
        raise UserError(
            f"data.prepare.folds must be at most {MOST}, since x has 24 binary digits, got {folds}"
        )
    drawn.whole(2, train_examples=train_examples)
    drawn.whole(1, test_examples=test_examples)
    return prepared.unscaled(
        train=draw(train_examples, folds, random_state(seed, 0)),
        test=draw(test_examples, folds, random_state(seed, 1)),
    )


def draw(n: int, folds: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """x and y, (n, 1) float32 each."""
    x = random.random_sample((n, 1)).astype(np.float32)
    return x, folded(x.astype(np.float64), folds).astype(np.float32)


def folded(x: np.ndarray, folds: int) -> np.ndarray:
    """The tent map, 2x up to 1/2 and 2 - 2x beyond, `folds` times one after another."""
    for _ in range(folds):
        x = np.where(x <= 0.5, 2 * x, 2 - 2 * x)
    return x
