"""Dyck words: do all brackets close, in the right order? Languages of bounded depth, after Hewitt et al. (2020)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from howdeep.data import drawn, prepared
from howdeep.data.splits import random_state
from howdeep.errors import UserError, near

CHANGED, SWAPPED = "changed", "swapped"


def prepare(
    raw: Path,
    *,
    steps: int,
    vocabulary: int,
    nesting: int,
    wrong: str,
    train_lengths: Sequence[int],
    test_lengths: Sequence[int],
    train_examples: int,
    test_examples: int,
    seed: int,
) -> prepared.Prepared:
    """Draws words x (n, steps) uint8 of brackets, zeros before a shorter one, and y (n,), 1 if all close in order.

    With k kinds of brackets, 1 to k open and k + 1 to 2k close them. Every second word or so is right: a word of
    Dyck-(k, m) (Hewitt et al., 2020, "RNNs can generate bounded hierarchical languages with optimal memory"), drawn
    evenly from all words of its length in which at most m = `nesting` brackets are open at once. The others are such
    words with one bracket changed into any other, or with two swapped that are different, so that they are wrong: the
    first are told by counts of brackets, the second by their order alone. Each length has the same probability.

    No two words are the same, so that no test example is a training one. Longer words for the test than for training
    ask whether a network has found the rule (Deletang et al., 2023, "Neural networks and the Chomsky hierarchy").

    Args:
        raw: unused, nothing is fetched.
        steps: the longest word that an example has room for.
        vocabulary: 2k + 1, all brackets and the zero.
        nesting: the most brackets that are open at once.
        wrong: "changed" or "swapped".
        train_lengths: of the shortest and the longest training and validation word, even.
        test_lengths: of the shortest and the longest test word, even.
        train_examples: training and validation examples.
        test_examples: how many more.
        seed: of all that is drawn.

    Raises:
        UserError: an option that means nothing, or more examples than there are words.
    """
    drawn.whole(2, steps=steps)
    drawn.whole(1, nesting=nesting, test_examples=test_examples)
    drawn.whole(2, train_examples=train_examples)
    if not isinstance(vocabulary, int) or vocabulary not in range(3, 256, 2):
        raise UserError(
            f"data.vocabulary must be odd and from 3 to 255, twice the kinds of brackets plus 1, got {vocabulary!r}"
        )
    if wrong not in (CHANGED, SWAPPED):
        raise UserError(f"unknown data.prepare.wrong {wrong!r}{near(str(wrong), (CHANGED, SWAPPED))}")
    seen: set[bytes] = set()
    words = {}
    for stream, part, lengths, n in (
        (1, "test", test_lengths, test_examples),
        (0, "train", train_lengths, train_examples),
    ):
        among = drawn.lengths(f"{part}_lengths", lengths, steps=steps, even=True)
        draw = Words(steps, (vocabulary - 1) // 2, nesting, wrong, among, random_state(seed, stream))
        words[part] = drawn.distinct(draw, n, seen)
    train, test = ((of[:, :-1], of[:, -1].astype(np.int64)) for of in (words["train"], words["test"]))
    return prepared.unscaled(train=train, test=test, classes=["wrong", "right"])


class Words:
    """Draws words of brackets: of a number of them, (number, steps + 1) uint8, the last column 1 where they are right.

    Args:
        steps, nesting, wrong: see `prepare`.
        kinds: of brackets, k.
        lengths: of words.
        random: what they are drawn from.
    """

    def __init__(
        self,
        steps: int,
        kinds: int,
        nesting: int,
        wrong: str,
        lengths: Sequence[int],
        random: np.random.RandomState,
    ) -> None:
        self.steps, self.kinds, self.wrong, self.lengths, self.random = steps, kinds, wrong, lengths, random
        self.ways = ways(max(lengths), nesting)

    def __call__(self, n: int) -> np.ndarray:
        rows = np.zeros((n, self.steps + 1), dtype=np.uint8)
        for row in rows:
            word = self.right(self.lengths[self.random.randint(len(self.lengths))])
            row[-1] = self.random.randint(2)
            if not row[-1]:
                (self._change if self.wrong == CHANGED else self._swap)(word)
            row[self.steps - len(word) : self.steps] = word
        return rows

    def right(self, length: int) -> list[int]:
        """A word of this length in which all brackets close in order, each such word as likely as any other."""
        word, opened = [], []
        for left in range(length, 0, -1):
            up = self.ways[left - 1][len(opened) + 1] / self.ways[left][len(opened)]
            if self.random.random_sample() < up:
                opened.append(self.random.randint(1, self.kinds + 1))
                word.append(opened[-1])
            else:
                word.append(opened.pop() + self.kinds)
        return word

    def _change(self, word: list[int]) -> None:
        """Puts another bracket in the place of one, which makes any right word wrong."""
        place = self.random.randint(len(word))
        word[place] = 1 + (word[place] - 1 + self.random.randint(1, 2 * self.kinds)) % (2 * self.kinds)

    def _swap(self, word: list[int]) -> None:
        """Swaps two brackets so that the word is wrong, as it is at the latest when it begins with one that closes."""
        right = list(word)
        while is_right(word, self.kinds):
            word[:] = right
            one, other = self.random.randint(len(word), size=2)
            word[one], word[other] = word[other], word[one]


def ways(longest: int, nesting: int) -> list[list[int]]:
    """How many ways lead from each number of open brackets to none: `ways[steps][open]`, 0 where too many are open."""
    found = [[1] + [0] * (nesting + 1)]
    for _ in range(longest):
        before = found[-1]
        found.append([(before[h - 1] if h else 0) + before[h + 1] for h in range(nesting + 1)] + [0])
    return found


def is_right(word: Sequence[int], kinds: int) -> bool:
    """Whether all brackets of a word close, each by its own kind and the last opened first."""
    opened: list[int] = []
    for bracket in word:
        if bracket <= kinds:
            opened.append(bracket)
        elif not opened or opened.pop() != bracket - kinds:
            return False
    return not opened
