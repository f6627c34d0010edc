"""The adding problem: what is the sum of the two marked numbers of a long sequence? (Hochreiter, Schmidhuber, 1997.)"""

from pathlib import Path

import numpy as np

from howdeep.data import drawn, prepared
from howdeep.data.splits import random_state


def prepare(
    raw: Path, *, steps: int, train_examples: int, test_examples: int, seed: int
) -> prepared.Prepared:
    """Draws sequences x (n, steps, 2) of a number, uniform in [0, 1], and a mark at each step, and y (n, 1).

    One step of the first half and one of the second have the mark 1, all others 0; y is the sum of the two numbers that
    are marked: the form of Arjovsky et al. (2016, "Unitary evolution recurrent neural networks"). Nothing is rescaled,
    so that squared errors are those of the papers: always saying 1, the mean, has one of 1/6, twice the variance of a
    uniform number.

    Test examples have a stream of random numbers of their own: they stay as they are whatever `train_examples` is. Both
    parts are independent draws from a continuous distribution.

    Args:
        raw: unused, nothing is fetched.
        steps: length of a sequence, T in the papers.
        train_examples: training and validation examples.
        test_examples: how many more.
        seed: of all that is drawn.

    Raises:
        UserError: an option that means nothing.
    """
    drawn.whole(2, steps=steps)
    drawn.whole(2, train_examples=train_examples)
    drawn.whole(1, test_examples=test_examples)
    return prepared.unscaled(
        train=draw(train_examples, steps, random_state(seed, 0)),
        test=draw(test_examples, steps, random_state(seed, 1)),
    )


def draw(n: int, steps: int, random: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """x (n, steps, 2) and y (n, 1), both float32; y is the sum of the numbers before they are rounded to x."""
    numbers, marks, each = random.random_sample((n, steps)), np.zeros((n, steps)), np.arange(n)
    half = steps // 2
    for place in (random.randint(half, size=n), half + random.randint(steps - half, size=n)):
        marks[each, place] = 1
    y = (numbers * marks).sum(axis=1, keepdims=True)
    return np.stack([numbers, marks], axis=2).astype(np.float32), y.astype(np.float32)
