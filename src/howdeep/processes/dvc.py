"""The `dvc` that started this process: which one, whether with --force, and ending with it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import psutil

from howdeep.processes.signals import stop_with

DVC = "HOWDEEP_DVC"  # where a warm process tells a stage the process id of its dvc


@contextmanager
def stop_with_dvc() -> Iterator[None]:
    """Ends this process, in order, when the `dvc` that started it has died.

    DVC ends on SIGTERM without a word to its stages, and the next `dvc repro` would start a second writer
    beside the orphan.
    """
    with stop_with(owner) if (owner := dvc()) else nullcontext():
        yield


def dvc() -> psutil.Process | None:
    """The `dvc` that started this process, None if none did.

    Between DVC and a stage stands a shell, so that the parent alone tells nothing: DVC is the nearest ancestor
    without DVC_STAGE in its environment.
    """
    if "DVC_STAGE" not in os.environ:
        return None
    for process in psutil.Process().parents():
        try:
            if "DVC_STAGE" not in process.environ():
                return process
        except psutil.Error:
            return None
    return None


def of_whole_study() -> list[float] | None:
    """The id and the starting time of the `dvc repro`, without targets, or `dvc exp run` that started this process.

    None if none did.
    """
    if (owner := _owner()) is None:
        return None
    with suppress(psutil.Error):
        command, *others = _options(owner) or [""]
        targets = [word for word in others if word[:1] != "-"]
        if (command == "repro" and not targets) or (command == "exp" and targets[:1] == ["run"]):
            return [owner.pid, owner.create_time()]
    return None


def forced() -> bool:
    """Whether this process is a stage that `dvc repro --force`, or `dvc exp run --force`, started."""
    try:
        if (owner := _owner()) is None:
            return False
        options = _options(owner)
    except psutil.Error:
        return False
    if not any(
        word == "--force" or (word[:1] == "-" and word[:2] != "--" and "f" in word) for word in options
    ):
        return False  # without waiting for DVC's parser
    from dvc.cli import DvcParserError, parse_args

    try:
        return bool(getattr(parse_args(options), "force", False))
    except DvcParserError:
        return False


def _owner() -> psutil.Process | None:
    """The `dvc` of this stage. The fork of a warm process has other ancestors: it is told of its dvc."""
    with suppress(psutil.Error, ValueError):
        return psutil.Process(int(os.environ[DVC])) if DVC in os.environ else dvc()
    return None


def _options(owner: psutil.Process) -> list[str]:
    """What follows `dvc` on its command line, run as `python -m dvc` or as the script of that name."""
    words = owner.cmdline()
    first = next((n for n, word in enumerate(words) if Path(word).name in ("dvc", "__main__.py")), 0)
    return words[first + 1 :]
