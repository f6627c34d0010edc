"""Splitting and standardising: pure functions of arrays."""

import numpy as np

from howdeep.errors import UserError


def held_out_size(n: int, fraction: float) -> int:
    """How many of n examples a fraction holds out, rounded to the nearest whole number.

    Raises:
        UserError: one of the two parts would be empty.
    """
    number = isinstance(fraction, int | float) and not isinstance(fraction, bool)
    if number and 0 < fraction < 1 and 0 < (size := round(n * fraction)) < n:
        return size
    raise UserError(
        f"a held-out fraction must lie between 0 and 1 and leave each part some of the {n} examples, got "
        f"{fraction!r}: change data.prepare.test_fraction or data.examples.validation_fraction"
    )


def stratified(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits examples at random so that both parts have each class in its share.

    Each class gives the whole part of its share, and the places that are left go to the classes with the
    largest remainders (Hamilton's method): the sizes are exact, and no class is off by one or more.

    Args:
        labels: (n,) the class of each example.
        fraction: the share that is held out, between 0 and 1.
        seed: decides which examples of a class are held out.

    Returns:
        The indices kept and the indices held out, both sorted.

    Raises:
        UserError: one of the two parts would be empty, or the seed is no whole number from 0 to 2^32 - 1.
    """
    size = held_out_size(len(labels), fraction)
    random = random_state(seed)
    classes, counts = np.unique(labels, return_counts=True)
    quotas = _largest_remainders(counts, size)
    held_out = np.zeros(len(labels), dtype=bool)
    for label, quota in zip(classes, quotas, strict=True):
        held_out[random.permutation(np.flatnonzero(labels == label))[:quota]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def random_state(seed: int, *stream: int) -> np.random.RandomState:
    """The legacy generator: NumPy has frozen its stream, while that of default_rng may change.

    Args:
        seed: of a split, or of drawn examples.
        stream: numbers that give one seed several independent streams, such as that of the test examples.

    Raises:
        UserError: the seed is no whole number from 0 to 2^32 - 1.
    """
    if isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**32:
        return np.random.RandomState([seed, *stream] if stream else seed)
    raise UserError(f"a seed of the data must be a whole number from 0 to 2^32 - 1, got {seed!r}")


def _largest_remainders(counts: np.ndarray, size: int) -> np.ndarray:
    """`size` places in proportion to `counts`, (classes,) -> (classes,)."""
    quotas, remainders = np.divmod(counts * size, counts.sum())  # whole numbers: no rounding decides a tie
    largest = np.argsort(-remainders, kind="stable")
    quotas[largest[: size - quotas.sum()]] += 1
    return quotas


def chronological(n: int, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Splits n steps in time: the indices of the first part, and of the last `fraction` of them.

    Raises:
        UserError: one of the two parts would be empty.
    """
    first = n - held_out_size(n, fraction)
    return np.arange(first), np.arange(first, n)


def moments(x: np.ndarray, axis: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, of the population as in scikit-learn's StandardScaler, as float64.

    What is constant gets a standard deviation of 1: standardising makes it 0 instead of dividing by 0.

    Args:
        x: the training examples, (n, ...).
        axis: 0 for one mean for each feature (tables, series), None for a single one (images).
    """
    lowest = x.min(axis=axis)
    constant = x.max(axis=axis) == lowest
    mean = np.where(constant, lowest, x.mean(axis=axis, dtype=np.float64))  # a mean of equals may be rounded
    return mean, np.where(constant, 1.0, x.std(axis=axis, dtype=np.float64))
