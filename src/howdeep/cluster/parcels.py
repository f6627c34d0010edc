"""What travels between the coordinator and its nodes: work and its job as bytes, and the files that are read or made.

A path below the project of one side becomes the same path below that of the other one, wherever in a job it stands.
"""

import io
import os
import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from howdeep.errors import UserError
from howdeep.files.folders import discard

HERE = "path"
KEPT = (
    "data",
    "scratch",
)  # folders of a node's project: data sets, locks and caches, which no result is made of


@dataclass(frozen=True)
class Parcel:
    """A job on its way to a node.

    Args:
        label: what it is called in messages.
        payload: the work and the job, see `packed`.
        files: that it reads, as the sha256 of each path below the project.
    """

    label: str
    payload: bytes
    files: Mapping[str, str]


def packed(content: Any, root: Path) -> bytes:
    """As bytes, in which paths below `root` name no machine."""
    buffer = io.BytesIO()
    _Packer(buffer, _absolute(root)).dump(content)
    return buffer.getvalue()


def unpacked(content: bytes, root: Path) -> Any:
    """What was packed, with paths below this `root`.

    Content comes from whoever has the security file of the cluster, whose jobs are code anyway; never from a file.
    """
    return _Unpacker(io.BytesIO(content), _absolute(root)).load()


class _Packer(pickle.Pickler):
    def __init__(self, file: io.BytesIO, root: Path) -> None:
        super().__init__(file, protocol=5)
        self.root = root

    def persistent_id(self, obj: Any) -> tuple[str, str] | None:
        if isinstance(obj, Path) and (path := _absolute(obj)).is_relative_to(self.root):
            return HERE, path.relative_to(self.root).as_posix()
        return None


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, root: Path) -> None:
        super().__init__(file)
        self.root = root

    def persistent_load(self, pid: tuple[str, str]) -> Path:
        return self.root / pid[1]


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def called(payload: bytes, root: Path) -> tuple[bytes, dict[str, bytes]]:
    """Does packed work with its job in a project of a node; what came of it, packed, and the files that it made.

    The files are taken out of the project, which has its inputs alone afterwards.
    """
    work, job = unpacked(payload, root)
    try:
        answer = packed(work(job), root)
        return answer, {path.relative_to(root).as_posix(): path.read_bytes() for path in _made(root)}
    finally:
        for path in root.iterdir():
            if path.name not in KEPT:
                discard(path, root)


def _made(root: Path) -> list[Path]:
    return [
        path
        for folder in root.iterdir()
        if folder.name not in KEPT
        for path in (folder, *folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    ]


def linked(files: Mapping[str, Path], root: Path) -> None:
    """Makes files of a node's cache those of its project."""
    for name, path in files.items():
        place = below(root, name)
        if place.is_symlink() and os.readlink(place) == str(path):
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(path)


def below(root: Path, name: str) -> Path:
    """The place of a file below a project.

    Raises:
        UserError: its name leads elsewhere.
    """
    path = PurePath(name)
    if path.is_absolute() or ".." in path.parts:
        raise UserError(f"expected a file below the project, got {name}: another howdeep sent it")
    return root / path


def names(paths: Iterable[Path], root: Path) -> dict[str, Path]:
    """Files by their paths below a project."""
    whole = _absolute(root)
    return {_absolute(path).relative_to(whole).as_posix(): path for path in paths}
