"""A file that was sealed tells whether it is still what was written."""

import json
import random

import pytest

from howdeep.files.seals import is_whole, sealed

CONTENT = {
    "key": "a",
    "epochs": [{"loss": 0.1, "epoch": 0}, {"loss": -0.0, "epoch": 1}],
    "gap": None,
    "n": 10**20,
}


def test_a_sealed_file_is_json_and_whole():
    text = sealed(CONTENT)
    found = json.loads(text)
    assert len(found.pop("seal")) == 64
    assert found == CONTENT
    assert is_whole(text)


def test_what_was_never_sealed_says_nothing():
    assert is_whole(json.dumps(CONTENT).encode()) is None
    assert is_whole(b"") is None


@pytest.mark.parametrize("seed", range(200))
def test_a_flipped_bit_is_no_json_or_noticed_or_harmless(seed):
    text = bytearray(sealed(CONTENT))
    place = random.Random(seed).randrange(8 * len(text))
    text[place // 8] ^= 1 << place % 8
    assert not is_whole(bytes(text))
    if is_whole(bytes(text)) is None:  # the seal itself was hit
        try:
            found = json.loads(bytes(text))
        except ValueError:
            return
        assert {name: found[name] for name in CONTENT} == CONTENT
