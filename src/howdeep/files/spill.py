"""Rows of numbers that may not fit into memory: written one after another, and then taken in any order."""

import mmap
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np


class Spill:
    """Numbers (rows, columns) float64 in a file without a name, which is gone with this object, or with the process.

    Args:
        blocks: of rows, at least one, which are written as they come.
        columns: at least one.
        folder: where the file is; not that of other temporary files, which may be in memory itself.
    """

    def __init__(self, blocks: Iterable[np.ndarray], columns: int, folder: Path) -> None:
        with tempfile.TemporaryFile(dir=folder) as file:
            for block in blocks:
                file.write(np.ascontiguousarray(block, dtype=np.float64).data)
            file.flush()
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._rows = np.frombuffer(self._map).reshape(-1, columns)

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """A copy of these rows, (n,) -> (n, columns)."""
        found = self._rows[rows]
        if hasattr(
            mmap, "MADV_DONTNEED"
        ):  # else all that was ever read would count as memory of this process
            self._map.madvise(mmap.MADV_DONTNEED)
        return found
