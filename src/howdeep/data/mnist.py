"""MNIST: handwritten digits, 28x28 pixels of 0 to 255 (LeCun et al., 1998), with its official test set."""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from howdeep.data import prepared
from howdeep.errors import UserError

UNSIGNED_BYTES = b"\0\0\x08"  # how the header of such a file begins


def read_idx(path: Path) -> np.ndarray:
    """An array of unsigned bytes from a gzip-compressed IDX file.

    The format: two zero bytes, the type (8: unsigned byte), the number of dimensions, each size as a
    big-endian 32-bit number, then the content, the last index changing fastest.

    Raises:
        UserError: the file is something else, or ends early.
    """
    try:
        content = gzip.decompress(path.read_bytes())
        (dimensions,) = struct.unpack_from(">B", content, 3)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
    except (gzip.BadGzipFile, EOFError, zlib.error, struct.error) as error:
        raise _not_idx(path, str(error)) from None
    start = 4 + 4 * dimensions
    if not content.startswith(UNSIGNED_BYTES):
        raise _not_idx(path, f"it begins with {content[:4].hex()}")
    if (size := len(content) - start) != math.prod(shape):
        raise _not_idx(path, f"the shape {list(shape)} has {math.prod(shape)} bytes, it has {size}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _not_idx(path: Path, reason: str) -> UserError:
    what = f"expected {path} to be a gzip-compressed IDX file of unsigned bytes"
    return UserError(f"{what}, but {reason}: run `howdeep pull data=mnist`")


def read(raw: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 784), row by row, and digits (n,) of the official part "train" or "t10k"."""
    images = read_idx(raw / f"{part}-images-idx3-ubyte.gz")  # (n, 28, 28)
    return images.reshape(len(images), -1), read_idx(raw / f"{part}-labels-idx1-ubyte.gz")


def prepare(raw: Path) -> prepared.Prepared:
    """Keeps the official split; all pixels have one scale.

    Raises:
        UserError: a file that is no IDX file.
    """
    classes = [str(digit) for digit in range(10)]
    return prepared.labelled(train=read(raw, "train"), test=read(raw, "t10k"), classes=classes, axis=None)
