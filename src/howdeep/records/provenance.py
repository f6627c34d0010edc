"""Where and when a run was trained: what differs between machines, and so stays out of the record."""

import platform
import resource
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

from howdeep.processes.machine import processor

PACKAGES = ("howdeep", "torch", "pytorch-lightning", "hydra-core", "mlflow", "dvc", "numpy", "safetensors")


@cache
def commit(root: Path) -> dict[str, str]:
    """`{"commit": ..., "dirty": "true" | "false"}`; "unknown" where there is no git.

    What the pipeline itself writes while it runs does not make the tree dirty.
    """

    def git(*args: str) -> str:
        done = subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        return {
            "commit": git("rev-parse", "HEAD"),
            "dirty": str(
                bool(git("status", "--porcelain", "--", ".", ":!dvc.lock", ":!claims/dvc.lock", ":!results"))
            ).lower(),
        }
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "unknown", "dirty": "unknown"}


@cache
def packages() -> dict[str, str]:
    return {name: version(name) for name in PACKAGES} | {"python": platform.python_version()}


def peak_memory_mb() -> float:
    """The largest resident memory of this process so far, in MiB (Linux counts KiB, macOS bytes)."""
    unit = 2**20 if platform.system() == "Darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def machine() -> dict[str, str]:
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "processor": processor(),
    }
