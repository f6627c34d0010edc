"""The documentation of PyTorch's functions as characters: English, formulas and examples of code."""

from pathlib import Path

from howdeep.data import prepared
from howdeep.data.examples import ALPHABET, encode
from howdeep.data.splits import chronological
from howdeep.errors import UserError


def read(raw: Path) -> str:
    """The text, 439,320 characters. The file is a Python module; it is never run here."""
    return (raw / "_torch_docs.py").read_text(encoding="utf-8")


def prepare(raw: Path, *, characters: int, test_fraction: float) -> prepared.Prepared:
    """The first `characters` of the text; the last of them are the test, as for any sequence.

    Raises:
        UserError: `characters` is no whole number from 2 to the length of the text, or `test_fraction` leaves
            one part empty.
    """
    text = read(raw)
    whole = isinstance(characters, int) and not isinstance(characters, bool)
    if not (whole and 2 <= characters <= len(text)):
        expected = f"a whole number from 2 to {len(text)}, the length of the text"
        raise UserError(f"data.prepare.characters must be {expected}, got {characters!r}")
    indices = encode(text[:characters])  # (characters,)
    past, future = chronological(characters, test_fraction)
    card = {
        "shape": [1],
        "examples": {"train": len(past), "test": len(future)},  # characters
        "alphabet": ALPHABET,
    }
    return prepared.Prepared({"text": indices[past]}, {"text": indices[future]}, card)
