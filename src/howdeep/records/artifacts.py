"""What a run left to show, read from its folder."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from howdeep.errors import UserError
from howdeep.files import seals


def read(folder: Path, files: Mapping[str, str] | None = None) -> dict[str, np.ndarray | str]:
    """The arrays of artifacts.safetensors and the texts of each <name>.txt in a run's folder; empty without any.

    Args:
        files: the checksum of each, as the run's record has them.

    Raises:
        UserError: the file of arrays cannot be read, or one is not as it was written.
    """
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return {}
    arrays, path = {}, folder / "artifacts.safetensors"
    for name, expected in (files or {}).items():
        if (name == path.name or name.endswith(".txt")) and (
            name not in names or seals.checksum(folder / name) != expected
        ):
            raise UserError(f"{folder / name} is not as it was written: train the run again with `dvc repro`")
    if path.name in names:
        try:
            arrays = load_file(path)
        except (
            SafetensorError,
            OSError,
            ValueError,
            KeyError,
            TypeError,
        ) as error:  # as its own bytes have it
            raise UserError(
                f"{path} is not readable ({error}): delete its folder, then `dvc repro`"
            ) from None
    texts = [folder / name for name in names if name.endswith(".txt")]
    return {**arrays, **{path.stem: path.read_text(encoding="utf-8") for path in texts}}


class Folders(Mapping[str, Mapping[str, np.ndarray | str]]):
    """The artifacts of many runs by run key, each read when it is first asked for.

    Args:
        folders: the folder of each run by its key, and the checksums of its files.
    """

    def __init__(self, folders: Mapping[str, tuple[Path, Mapping[str, str]]]) -> None:
        self._folders = folders
        self._read: dict[str, dict[str, np.ndarray | str]] = {}

    def __getitem__(self, key: str) -> Mapping[str, np.ndarray | str]:
        if key not in self._read:
            self._read[key] = read(*self._folders[key])
        return self._read[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)
