"""What two machines must have in common for a run to have the same bits on both."""

import hashlib
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import howdeep
from howdeep.processes.machine import processor

PREFIX, GPU = "howdeep-", "GPU"  # names of Dask's resources
PACKAGES = ("torch", "numpy", "pytorch-lightning", "scikit-learn")


@cache
def about() -> dict[str, str]:
    """What decides the bits of a run on this machine, by its name."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {
        "code of howdeep": _code(),
        **{name: version(name) for name in PACKAGES},
        "Python": python,
        "processor": processor(),
    }


def resource(of: dict[str, str]) -> str:
    """What a Dask worker on such a machine calls its slots: jobs go only where they find the right name."""
    return PREFIX + hashlib.sha256(repr(sorted(of.items())).encode()).hexdigest()[:12]


@cache
def _code() -> str:
    digest = hashlib.sha256()
    folder = Path(howdeep.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def difference(other: dict[str, str], own: dict[str, str]) -> str:
    """In what a node differs from this machine, for a message; '' where in nothing but the processor."""
    return ", ".join(
        f"{name} is {other.get(name, 'unknown')} there and {of} here"
        for name, of in own.items()
        if name != "processor" and other.get(name) != of
    )
