"""Maps that carry a checksum of themselves, and of files beside them, so that spoiled bytes are noticed."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SEAL = "seal"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The same map with a checksum of all the rest of it, as JSON reads it again.

    Args:
        content: what JSON can hold, without NaN and infinities.
    """
    rest = {name: value for name, value in content.items() if name != SEAL}
    return rest | {SEAL: hashlib.sha256(_canonical(rest)).hexdigest()}


def is_whole(content: Mapping[str, Any]) -> bool:
    """Whether a map is still what was sealed."""
    return SEAL in content and sealed(content)[SEAL] == content[SEAL]


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, allow_nan=False).encode()


def checksum(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksums(folder: Path) -> dict[str, str]:
    """Of each file in a folder, by its name."""
    return {path.name: checksum(path) for path in sorted(folder.iterdir())}
