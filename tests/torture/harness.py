"""What the kinds of torture share: processes that are stopped and looked at, and what lies there before and after.

Each test has its seed in its name, so that what failed is repeated by
`HOWDEEP_TESTS=full pytest tests/torture -k seed17`.
"""

import hashlib
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.commands import SECONDS

KINDS = ("kills", "disks", "flips", "hostile")
OUTPUTS = ("data", "plans", "tuned", "runs", "results")  # the folders that DVC takes into its cache
UNTRACKED = {"MLFLOW_TRACKING_URI": ""}

RUN = (
    "train", "model.width=4", "train_examples=60", "trainer.max_epochs=12", "tracking.uri=null", "hydra.run.dir=out",
    "checkpoint_seconds=0",
)  # fmt: skip
COMMANDS = {
    "train": RUN,
    "tune-entry": ("tune-entry", "digits-mlp"),
    "train-entry": ("train-entry", "digits-mlp"),
    "evaluate": ("evaluate",),
    "inspect": ("inspect",),
    "compare": ("compare",),
    "prepare": ("prepare", "data=digits"),
    "pull": ("pull", "data=digits"),
}


# Files


def tree(folder: Path, *names: str) -> dict[str, str]:
    """The checksum of each file below a folder, or below the named ones in it; links and folders by what they are."""
    found = {}
    for top in [folder / name for name in names] or [folder]:
        for path in sorted([top, *top.rglob("*")]):
            name = str(path.relative_to(folder))
            if path.is_symlink():
                found[name] = f"link to {os.readlink(path)}"
            elif path.is_file():
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
            elif path.is_dir():
                found[name] = "folder"
    return found


def differences(found: dict[str, str], expected: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """What is not as it should be: (found, expected) by name; short enough to be read in a failure."""
    names = sorted({*found, *expected})
    both = {name: (found.get(name), expected.get(name)) for name in names}
    return {name: pair for name, pair in both.items() if pair[0] != pair[1]}


# Processes


def processes_at(folder: Path) -> list[psutil.Process]:
    """Those whose working folder is this one or lies in it."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            place = process.cwd()
            if (place == str(folder) or place.startswith(f"{folder}/")) and process.pid != os.getpid():
                found.append(process)
    return [process for process in found if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def wait_until(what: Callable[[], object], why: str, seconds: float = SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, why
        time.sleep(0.005)


def check_quiet(folder: Path, seconds: float = 30.0) -> None:
    """Nobody works there any more, a moment after the command has ended."""
    deadline = time.monotonic() + seconds
    while left := processes_at(folder):
        if time.monotonic() > deadline:
            words = []
            for process in left:
                with suppress(psutil.Error):
                    words.append(" ".join(process.cmdline())[:100])
                with suppress(psutil.Error):
                    process.kill()  # the next tests shall not suffer
            pytest.fail(f"left behind in {folder}: {words}")
        time.sleep(0.02)


def kill_all_at(folder: Path) -> None:
    """Stops them first, so that none sees another one die and writes something meanwhile."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in processes_at(folder):
            with suppress(psutil.Error):
                process.send_signal(number)


def own_traceback(text: str) -> str | None:
    """A traceback that goes through howdeep, if there is one; DVC's own are DVC's business."""
    found = re.search(
        r"Traceback \(most recent call last\):\n(?:[ ].*\n)*?[ ]+File \".*howdeep/.*(?:.*\n){0,40}", text
    )
    return found[0] if found else None
