"""JSON files that carry a checksum of themselves, and of files beside them, so that spoiled bytes are noticed."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SEAL = re.compile(rb',\n "seal": "([0-9a-f]{64})"\n}\n')


def sealed(content: Mapping[str, Any]) -> bytes:
    """A map as JSON, at its end the SHA-256 of all that stands before: `"seal": "..."`.

    Args:
        content: not empty, without NaN and infinities.
    """
    head = json.dumps(content, indent=1, allow_nan=False).removesuffix("\n}").encode()
    return head + f',\n "seal": "{hashlib.sha256(head).hexdigest()}"\n}}\n'.encode()


def is_whole(text: bytes) -> bool | None:
    """Whether a file is what `sealed` wrote; None if it has no seal, as one that an older howdeep wrote."""
    found = _SEAL.search(text, max(0, len(text) - 100))
    if found is None or found.end() != len(text):
        return None
    return hashlib.sha256(text[: found.start()]).hexdigest() == found[1].decode()


def checksum(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """Of each file in a folder, by its name."""
    return {path.name: checksum(path) for path in sorted(folder.iterdir())}
