"""A map that was sealed tells whether it is still what it was."""

import json
import random

import pytest

from howdeep.seals import is_whole, sealed

CONTENT = {
    "key": "a",
    "epochs": [{"loss": 0.1, "epoch": 0}, {"loss": -0.0, "epoch": 1}],
    "gap": None,
    "n": 10**20,
}


def test_a_seal_survives_json():
    assert is_whole(json.loads(json.dumps(sealed(CONTENT), indent=1)))
    assert is_whole(json.loads(json.dumps(dict(reversed(sealed(CONTENT).items())))))


def test_what_was_never_sealed_is_not_whole():
    assert not is_whole(CONTENT)


@pytest.mark.parametrize("seed", range(200))
def test_a_flipped_bit_is_no_json_or_not_whole(seed):
    content = bytearray(json.dumps(sealed(CONTENT)).encode())
    place = random.Random(seed).randrange(8 * len(content))
    content[place // 8] ^= 1 << place % 8
    try:
        found = json.loads(bytes(content))
    except ValueError:
        return
    assert not isinstance(found, dict) or not is_whole(found)
