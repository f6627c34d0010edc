"""The documentation of PyTorch's functions as characters: English, formulas and examples of code."""

from pathlib import Path

from howdeep.data import prepared, running_text
from howdeep.errors import UserError


def read(raw: Path) -> str:
    """The text, 439,320 characters. The file is a Python module; it is never run here."""
    return (raw / "_torch_docs.py").read_text(encoding="utf-8")


def prepare(raw: Path, *, characters: int, vocabulary: int, test_fraction: float) -> prepared.Prepared:
    """The first `characters` of the text; the last of them are the test, as for any sequence.

    Args:
        vocabulary, test_fraction: see `running_text.numbered`.

    Raises:
        UserError: `characters` is no whole number from 2 to the length of the text, or as `running_text.numbered`.
    """
    text = read(raw)
    whole = isinstance(characters, int) and not isinstance(characters, bool)
    if not (whole and 2 <= characters <= len(text)):
        expected = f"a whole number from 2 to {len(text)}, the length of the text"
        raise UserError(f"data.prepare.characters must be {expected}, got {characters!r}")
    return running_text.numbered(text[:characters], vocabulary=vocabulary, test_fraction=test_fraction)
