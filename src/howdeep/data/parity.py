"""Parity: is the number of minus signs in a word odd? One sign less or more turns every answer round."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from howdeep.data import drawn, prepared
from howdeep.data.splits import random_state
from howdeep.errors import UserError

LISTED = 16  # signs of the longest words that are all listed, 65,536 of them; longer ones are drawn until they differ


def prepare(
    raw: Path,
    *,
    steps: int,
    train_lengths: Sequence[int],
    test_lengths: Sequence[int],
    train_examples: int,
    test_examples: int,
    seed: int,
) -> prepared.Prepared:
    """Draws words x (n, steps, 2) of signs -1 and 1, and y (n,), 1 if the -1 are odd.

    A step has a sign and a mark: 1 or -1 and 0 within a word, 0 and 1 before one that is shorter than `steps`. Steps of
    zeros alone would leave a network without biases nothing to normalise by, and its gradients would grow 300-fold with
    each layer.

    There are equally many words of each length, or all there are. No two are the same, so that no test example is a
    training one. With longer words for the test than for training they ask whether a network has found the rule
    (Deletang et al., 2023, "Neural networks and the Chomsky hierarchy"); with the one length k = steps for both they
    are the parity of k bits (Minsky and Papert, 1969), of which training and test share out the 2^k words.

    Args:
        raw: unused, nothing is fetched.
        steps: the longest word that an example has room for.
        train_lengths: of the shortest and the longest training and validation word.
        test_lengths: of the shortest and the longest test word.
        train_examples: training and validation examples.
        test_examples: how many more.
        seed: of all that is drawn.

    Raises:
        UserError: an option that means nothing, or more examples than there are words.
    """
    drawn.whole(1, steps=steps)
    drawn.whole(2, train_examples=train_examples)
    drawn.whole(1, test_examples=test_examples)
    seen: dict[int, set[bytes]] = {length: set() for length in range(1, steps + 1)}
    test, train = (
        draw(
            part,
            n,
            drawn.lengths(f"{part}_lengths", lengths, steps=steps),
            steps,
            random_state(seed, stream),
            seen,
        )
        for part, stream, lengths, n in (
            ("test", 1, test_lengths, test_examples),
            ("train", 0, train_lengths, train_examples),
        )
    )
    return prepared.unscaled(train=train, test=test, classes=["even", "odd"])


def draw(
    part: str,
    n: int,
    lengths: range,
    steps: int,
    random: np.random.RandomState,
    seen: Mapping[int, set[bytes]],
) -> tuple[np.ndarray, np.ndarray]:
    """x (n, steps, 2) float32 and y (n,) int64, in a random order.

    Args:
        part: train or test, for the message of an error.
        n: examples.
        lengths: of words.
        steps: of an example.
        random: what they are drawn from.
        seen: the words of each length that are there already; those that are drawn are added.

    Raises:
        UserError: fewer words are left.
    """
    free = {length: 2**length - len(seen[length]) for length in lengths}
    if n > sum(free.values()):
        raise UserError(
            f"data.prepare.{part}_examples must be at most {sum(free.values())}, the words of {lengths[0]} to "
            f"{lengths[-1]} signs that are left, got {n}"
        )
    words = [
        word
        for length, share in shares(n, free).items()
        if share
        for word in _words(length, share, random, seen[length])
    ]
    x = np.zeros((n, steps, 2), dtype=np.float32)
    x[:, :, 1] = 1
    for row, place in enumerate(random.permutation(n)):
        word = words[place]  # (length,) of 0 and 1
        x[row, steps - len(word) :, 0] = 1 - 2 * word
        x[row, steps - len(word) :, 1] = 0
    return x, (x < 0).sum(axis=(1, 2)) % 2


def shares(n: int, free: Mapping[int, int]) -> dict[int, int]:
    """How many of n words have each length: equally many, but where fewer are free; there are n or more."""
    found, left = {}, n
    for place, length in enumerate(sorted(free, key=lambda length: free[length])):
        found[length] = min(free[length], left // (len(free) - place))
        left -= found[length]
    return found


def _words(length: int, n: int, random: np.random.RandomState, seen: set[bytes]) -> np.ndarray:
    """n words (n, length) of 0 and 1 that differ from each other and from those seen, which they are added to."""
    if length > LISTED:
        return drawn.distinct(lambda m: random.randint(2, size=(m, length)).astype(np.int8), n, seen)
    listed = random.permutation(2**length)[:, None] >> np.arange(length) & 1  # (2^length, length)
    fresh = [word for word in listed.astype(np.int8) if word.tobytes() not in seen][:n]
    seen.update(word.tobytes() for word in fresh)
    return np.stack(fresh)
