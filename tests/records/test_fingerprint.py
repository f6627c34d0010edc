"""A run's key changes with what its code does, and with nothing else in a source file."""

from pathlib import Path

import pytest

from howdeep.records.fingerprint import checksum

CODE = '''"""A module."""

RATE = 0.1  # of learning


class Net:
    """A net."""

    def forward(self, x, depth=None):
        """The answer."""
        total = x * RATE + 1.5
        return f"{total:.3f}" if depth is None else [total, "text"]


def nothing():
    """Only a docstring."""
'''
SAME = {
    "a comment": CODE.replace("# of learning", "# of the optimizer"),
    "a docstring": CODE.replace("The answer.", "What the net says."),
    "no docstring": CODE.replace('        """The answer."""\n', ""),
    "the layout": CODE.replace("x * RATE + 1.5", "(\n            (x * RATE)\n            + 1.50\n        )"),
    "quotes": CODE.replace('"text"', "'text'"),
    "blank lines": CODE.replace("\n\n\n", "\n\n\n\n\n"),
}
OTHER = {
    "a number": CODE.replace("1.5", "1.6"),
    "an integer": CODE.replace("1.5", "1"),
    "a text": CODE.replace('"text"', '"test"'),
    "an operator": CODE.replace("x * RATE", "x / RATE"),
    "a format": CODE.replace(":.3f", ":.4f"),
    "a default": CODE.replace("depth=None", "depth=0"),
    "a name": CODE.replace("Net", "Net2"),
    "an order": CODE.replace("RATE + 1.5", "1.5 + RATE"),
    "a text that is no docstring": CODE.replace("        total", '        note = "a"\n        total'),
    "what an answer is": CODE.replace("depth is None", "depth is not None"),
}


def checksum_of(code: str, folder: Path) -> str:
    folder.mkdir()
    (folder / "net.py").write_text(code)
    return checksum([folder / "net.py"])


@pytest.mark.parametrize("what", SAME)
def test_what_changes_no_number_changes_no_key(tmp_path, what):
    assert SAME[what] != CODE
    assert checksum_of(SAME[what], tmp_path / "edited") == checksum_of(CODE, tmp_path / "before")


@pytest.mark.parametrize("what", OTHER)
def test_what_may_change_a_number_changes_the_key(tmp_path, what):
    assert OTHER[what] != CODE
    assert checksum_of(OTHER[what], tmp_path / "edited") != checksum_of(CODE, tmp_path / "before")


def test_a_file_of_another_name_is_another_one(tmp_path):
    (tmp_path / "a.py").write_text(CODE)
    (tmp_path / "b.py").write_text(CODE)
    assert checksum([tmp_path / "a.py"]) != checksum([tmp_path / "b.py"])
