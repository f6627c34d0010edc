"""A running text for language modelling: its characters as numbers, those of the training part alone known."""

import unicodedata
from collections import Counter

import numpy as np

from howdeep.data import prepared
from howdeep.data.splits import chronological
from howdeep.encoding.texts import PRIVATE, UNKNOWN_SIGN, RunningText
from howdeep.errors import UserError

LEAST, MOST = 2, 6000  # characters: private signs end there


def numbered(text: str, *, vocabulary: int, test_fraction: float) -> prepared.Prepared:
    """`text` (time,) uint16, the numbers of its characters, of which the last ones are the test.

    The characters are the most frequent ones of the training part, in Unicode's normal form C; all others are one sign,
    so that nothing of the test text is known. `alphabet` (vocabulary,) has the code of the character that each number
    stands for.

    Args:
        vocabulary: how many characters there are, the unknown one among them; if fewer occur, private signs that never
            do take their place.
        test_fraction: share of the characters that are the test.

    Raises:
        UserError: a vocabulary that is no such number, or a part that would be empty.
    """
    if type(vocabulary) is not int or not LEAST <= vocabulary <= MOST:
        raise UserError(f"data.vocabulary must be a whole number from {LEAST} to {MOST}, got {vocabulary!r}")
    text = unicodedata.normalize("NFC", text)
    past, future = chronological(len(text), test_fraction)
    counts = Counter(text[: len(past)])
    known = sorted(sorted(counts, key=lambda sign: (-counts[sign], sign))[: vocabulary - 1])
    unused = [chr(PRIVATE + place) for place in range(vocabulary - 1 - len(known))]
    alphabet = [UNKNOWN_SIGN, *known, *unused]
    numbers = {sign: place for place, sign in enumerate(alphabet)}
    indices = np.array([numbers.get(sign, 0) for sign in text], dtype=np.uint16)
    card = {
        "shape": [1],
        "examples": {"train": len(past), "test": len(future)},  # characters
        "alphabet": "".join(known),
        "unknown_in_test": float((indices[future] == 0).mean()),
        "encoding": f"{RunningText.__module__}.{RunningText.__name__}",
    }
    codes = np.array([ord(sign) for sign in alphabet], dtype=np.uint32)
    return prepared.Prepared({"text": indices[past], "alphabet": codes}, {"text": indices[future]}, card)
