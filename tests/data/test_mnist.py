"""The IDX format against files written by hand, and the official files where a mirror has them."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from howdeep.data import mnist, sources
from howdeep.errors import UserError

MIRROR = Path(__file__).parents[3] / "shared" / "data"
needs_mirror = pytest.mark.skipif(
    not (MIRROR / "mnist").is_dir(),
    reason="no mirror of MNIST at ../shared/data/mnist, and tests download nothing",
)


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def test_an_idx_file_is_read_in_its_shape(tmp_path):
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx(array)))
    np.testing.assert_array_equal(mnist.read_idx(tmp_path / "a.gz"), array)


def test_the_header_is_big_endian(tmp_path):
    # 300 = 0x012c: read the other way round it would be 0x2c010000
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes([0, 0, 8, 1, 0, 0, 1, 0x2C]) + bytes(300)))
    assert mnist.read_idx(tmp_path / "a.gz").shape == (300,)


WHOLE = idx(np.arange(12).reshape(3, 4))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no gzip at all",
        gzip.compress(WHOLE)[:-12],
        gzip.compress(b"\0\0"),
        gzip.compress(b"\0\0\x08\x03\0\0"),
        gzip.compress(b"\0\0\x0d" + WHOLE[3:]),
        gzip.compress(WHOLE[:-1]),
        gzip.compress(WHOLE + b"\0"),
    ],
    ids=["empty", "no gzip", "cut gzip", "no header", "cut header", "floats", "too short", "too long"],
)
def test_another_file_gives_one_line(tmp_path, content):
    (tmp_path / "a.gz").write_bytes(content)
    with pytest.raises(
        UserError, match=r"a\.gz to be a gzip-compressed IDX file.*run `howdeep pull data=mnist`"
    ):
        mnist.read_idx(tmp_path / "a.gz")


def test_the_official_split_is_kept_and_scaled_by_its_training_part(tmp_path):
    random = np.random.RandomState(0)
    content = {"train": random.randint(0, 256, (20, 28, 28)), "t10k": random.randint(0, 256, (10, 28, 28))}
    for part, images in content.items():
        (tmp_path / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(idx(np.arange(len(images)) % 10))
        )
    prepared = mnist.prepare(tmp_path)
    train = content["train"].reshape(20, 784)
    expected = (content["t10k"].reshape(10, 784) - train.mean()) / train.std()
    np.testing.assert_allclose(prepared.test["x"], expected, rtol=1e-5, atol=1e-6)
    assert prepared.test["y"].tolist() == list(range(10))
    assert prepared.card["counts"] == {"train": [2] * 10, "test": [1] * 10}


@pytest.mark.slow
@needs_mirror
def test_the_mirror_gives_the_official_files(tmp_path, composed):
    sources.pull("mnist", composed("data=mnist").data.sources, tmp_path, str(MIRROR))
    images, labels = mnist.read(tmp_path, "train")
    assert images.shape == (60_000, 784)
    assert labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    # the mean and deviation known from many tutorials, as shares of 255
    assert images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert images.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    images, labels = mnist.read(tmp_path, "t10k")
    assert images.shape == (10_000, 784)
    assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
