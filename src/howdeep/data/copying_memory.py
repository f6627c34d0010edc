"""Copying memory: ten symbols to be told again after a long blank (Hochreiter and Schmidhuber, 1997)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from howdeep.data import drawn, prepared
from howdeep.data.splits import random_state

BLANK, SYMBOLS, MARKER = 0, (1, 9), 9  # the first symbol, and the one after the last
REMEMBERED = 10


def prepare(
    raw: Path, *, steps: int, train_examples: int, test_examples: int, seed: int
) -> prepared.Prepared:
    """Draws sequences of symbols x and what is to be answered at each step y, both (n, steps) uint8.

    In the form of Arjovsky et al. (2016, "Unitary evolution recurrent neural networks"), with steps = T + 20: x has ten
    symbols of 1 to 8, T - 1 blanks (0), a marker (9) that asks for them, and ten blanks; y is blank for T + 10 steps,
    then the ten symbols. Whoever remembers nothing answers blanks, then one of eight: 10 ln 8 / (T + 20) nats a step.

    No two sequences are the same, so that no test example is a training one; there are 8^10.

    Args:
        raw: unused, nothing is fetched.
        steps: length of a sequence, T + 20.
        train_examples: training and validation examples.
        test_examples: how many more.
        seed: of all that is drawn.

    Raises:
        UserError: an option that means nothing.
    """
    drawn.whole(2 * REMEMBERED + 1, steps=steps)
    drawn.whole(2, train_examples=train_examples)
    drawn.whole(1, test_examples=test_examples)
    seen: set[bytes] = set()
    test, train = (
        sequences(drawn.distinct(symbols_of(random_state(seed, stream)), n, seen), steps)
        for stream, n in ((1, test_examples), (0, train_examples))
    )
    return prepared.unscaled(train=train, test=test)


def symbols_of(random: np.random.RandomState) -> Callable[[int], np.ndarray]:
    """Draws what is to be remembered: of a number of sequences, (number, 10) uint8."""
    return lambda n: random.randint(*SYMBOLS, size=(n, REMEMBERED)).astype(np.uint8)


def sequences(symbols: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y, (n, steps) uint8 each, of what is to be remembered, (n, 10)."""
    x, y = (np.full((len(symbols), steps), BLANK, dtype=np.uint8) for _ in range(2))
    x[:, :REMEMBERED], x[:, steps - REMEMBERED - 1] = symbols, MARKER
    y[:, steps - REMEMBERED :] = symbols
    return x, y
