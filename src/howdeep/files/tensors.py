"""Safetensors files that are larger than memory: written block by block, and read through a memory map.

The bytes are those that safetensors itself writes.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file, save

LARGE = 1 << 28  # bytes of a file that is mapped, and of an array that is not copied: a quarter of a GB
AT_ONCE = 1 << 24  # bytes that are written
LENGTH = 8  # bytes of the number at the beginning, of the header that follows
NUMBERS = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8",
    "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


@dataclass(frozen=True)
class Blocks:
    """An array that is made while it is written.

    Args:
        shape, dtype: of the whole.
        rows: gives it, from the first row to the last, in blocks.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    rows: Callable[[], Iterator[np.ndarray]]

    @property
    def nbytes(self) -> int:
        return self.dtype.itemsize * int(np.prod(self.shape))

    def whole(self) -> np.ndarray:
        return np.concatenate(list(self.rows()))


def write(path: Path, arrays: Mapping[str, np.ndarray | Blocks]) -> None:
    """Writes arrays into a file.

    Raises:
        ValueError: blocks that are not the array that was said.
    """
    header, order = _header(arrays)
    with path.open("wb") as file:
        file.write(header)
        for name in order:
            before, array = file.tell(), arrays[name]
            for block in array.rows() if isinstance(array, Blocks) else _slices(array):
                _write(file, block, array.dtype)
            if (came := file.tell() - before) != array.nbytes:
                raise ValueError(f"expected {array.nbytes} bytes of {name}, got {came}")


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file, in memory, or of a large one mapped: then nothing is read before it is asked for, and what
    is changed in an array stays in memory.

    Raises:
        SafetensorError: the file is broken.
        OSError: it cannot be read.
    """
    if path.stat().st_size < LARGE:
        return load_file(path)
    with safe_open(path, framework="numpy"):  # looks whether the file is whole
        pass
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH), "little")
        content = json.loads(file.read(length))
    return {
        name: _mapped(path, of, LENGTH + length + of["data_offsets"][0])
        for name, of in content.items()
        if name != "__metadata__"
    }


def _mapped(path: Path, of: Mapping[str, Any], offset: int) -> np.ndarray:
    shape, dtype = tuple(of["shape"]), np.dtype(NUMBERS[of["dtype"]])
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, mode="c", offset=offset, shape=shape)


def _header(arrays: Mapping[str, np.ndarray | Blocks]) -> tuple[bytes, list[str]]:
    """The beginning of the file, and the order in which arrays follow: both as safetensors has them of empty arrays."""
    empty = save({name: np.empty(0, array.dtype) for name, array in arrays.items()})
    content, begins = json.loads(empty[LENGTH:]), 0
    for name, of in content.items():
        ends = begins + arrays[name].nbytes
        of |= {"shape": list(arrays[name].shape), "data_offsets": [begins, ends]}
        begins = ends
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(LENGTH, "little") + text, list(content)


def _slices(array: np.ndarray) -> Iterator[np.ndarray]:
    """The rows of an array, a few at a time: a view may have to be copied before it is written."""
    if array.ndim == 0:
        yield array
        return
    rows = max(1, AT_ONCE // max(1, array.nbytes // max(1, len(array))))
    for first in range(0, len(array), rows):
        yield array[first : first + rows]


def _write(file: IO[bytes], block: np.ndarray, dtype: np.dtype) -> None:
    file.write(np.ascontiguousarray(block, dtype.newbyteorder("<")).data.cast("B") if block.size else b"")
