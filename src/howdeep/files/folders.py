"""Folders and files that are written aside and renamed; folders are removed only where howdeep made them.

A name that is wrong, or somebody's own files in a place where a result goes, must never cost anything: whatever is
removed passes through `remove`.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import psutil

from howdeep.errors import UserError
from howdeep.processes.signals import hold_stop


@dataclass(frozen=True)
class Kind:
    """What howdeep writes into a folder of one kind.

    Args:
        what: it is, for a message.
        files: patterns of all the names that howdeep gives to what is in it.
        mark: the one of them that tells of the folder that it is howdeep's, whatever else lies in it by now; None: a
            folder is howdeep's only if nothing else lies in it.
    """

    what: str
    files: tuple[str, ...]
    mark: str | None = None


PREPARED = Kind("a prepared data set", ("train.safetensors", "test.safetensors", "card.json"), "card.json")
RUN = Kind("a run", ("record.json", "weights.safetensors", "artifacts.safetensors", "*.txt"), "record.json")
TUNED = Kind("tuned settings", ("settings.json", "trials.csv", "recipe.json"), "settings.json")
PLANS = Kind("plans", ("*.json", "seeds"))
CODE = Kind("checksums of code", ("*.txt", "data"))
TABLES = Kind("tables or pictures", ("*.csv", "*.md", "*.svg", "*.safetensors"))
COMPOSITIONS = Kind("compositions", ("[0-9a-f]*",))  # each named by a checksum
_ASIDE = re.compile(r"\..+\.(\d+)\.(tmp|old)")


def is_ours(folder: Path, kind: Kind) -> bool:
    """Whether howdeep made a folder: it carries the mark of its kind, or nothing but what howdeep writes there."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    if kind.mark and (folder / kind.mark).is_file():
        return True
    names = [path.name for path in folder.iterdir()]
    return all(any(fnmatch(name, pattern) for pattern in (*kind.files, ".*.tmp")) for name in names)


def check_free(folder: Path, kind: Kind) -> None:
    """Refuses a place for a folder of a kind where something else lies.

    Raises:
        UserError: what is there is not howdeep's.
    """
    if (folder.is_symlink() or folder.exists()) and not is_ours(folder, kind):
        raise UserError(
            f"expected {kind.what} in {folder}, or nothing, found what howdeep did not make: move it away, then try "
            "again"
        )


def remove(folder: Path, kind: Kind, home: Path) -> None:
    """Removes a folder of a kind, if there is one.

    Args:
        home: the project's folder for folders of this kind, which `folder` must lie in.

    Raises:
        UserError: something else is there, which stays as it is.
    """
    check_free(folder, kind)
    if folder.name in ("", ".", "..") or not folder.parent.resolve().is_relative_to(home.resolve()):
        raise UserError(f"expected a folder inside {home} to remove, got {folder}")
    if folder.exists():
        shutil.rmtree(folder)


def discard(path: Path, home: Path) -> None:
    """Removes what a process has made in a folder of its own; a link goes, and what it leads to stays.

    Args:
        home: that folder.

    Raises:
        ValueError: it lies elsewhere.
    """
    if path.name in ("", ".", "..") or not path.parent.resolve().is_relative_to(home.resolve()):
        raise ValueError(f"expected something inside {home} to remove, got {path}")
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def written_aside(folder: Path, kind: Kind) -> Iterator[Path]:
    """A new folder to fill, which takes the place of `folder` at the end: whoever finds that finds it whole.

    If what is inside fails, `folder` stays as it was.

    Raises:
        UserError: what lies in `folder` is not howdeep's.
    """
    check_free(folder, kind)
    aside, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{end}") for end in ("tmp", "old"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    clear_asides(folder.parent)
    try:
        aside.mkdir()
        yield aside
        with hold_stop():
            if folder.exists():
                folder.rename(old)
            aside.rename(folder)
    finally:
        if old.exists() and not folder.exists():
            old.rename(folder)
        for left in (aside, old):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def file_aside(path: Path) -> Iterator[Path]:
    """A path to write a file to, which takes the place of `path` at the end: nobody ever finds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield aside
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def clear_asides(parent: Path) -> None:
    """Removes the files and folders that killed processes, or this one before, have left aside in a folder."""
    for path in parent.glob(".*"):
        found = _ASIDE.fullmatch(path.name)
        if found is None or _lives(int(found[1])):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    return pid != os.getpid() and psutil.pid_exists(pid)
