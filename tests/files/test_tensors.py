"""Safetensors files block by block and mapped: the bytes and the arrays of safetensors itself."""

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.numpy import save

from howdeep.files import tensors
from howdeep.files.tensors import Blocks

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "y": np.arange(5), "x": RANDOM.normal(size=(5, 3)).astype(np.float32), "group": np.arange(5, dtype=np.uint8),
    "marks": np.array([True, False]), "é\"\n": np.arange(4, dtype=np.int16), "wide": RANDOM.normal(size=(2, 3, 2)),
    "none": np.zeros((0, 4), np.float32), "halves": np.ones(3, np.float16), "a": np.arange(3, dtype=np.uint32),
}  # fmt: skip


def in_blocks(array: np.ndarray, size: int) -> Blocks:
    parts = [array[first : first + size] for first in range(0, len(array), size)]
    return Blocks(array.shape, array.dtype, lambda: iter(parts))


@pytest.mark.parametrize("names", [["x"], ["x", "y"], ["y", "group"], list(ARRAYS)])
def test_the_bytes_are_those_of_safetensors(tmp_path, monkeypatch, names):
    arrays = {name: ARRAYS[name] for name in names}
    for at_once in (1, tensors.AT_ONCE):
        monkeypatch.setattr(tensors, "AT_ONCE", at_once)
        tensors.write(tmp_path / "whole", arrays)
        assert (tmp_path / "whole").read_bytes() == save(arrays)
    tensors.write(tmp_path / "blocks", {name: in_blocks(array, 2) for name, array in arrays.items()})
    assert (tmp_path / "blocks").read_bytes() == save(arrays)


def test_a_file_can_be_read_by_all_whom_the_system_lets(tmp_path):
    tensors.write(tmp_path / "of", ARRAYS)
    (tmp_path / "other").touch()
    assert (tmp_path / "of").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_blocks_that_are_not_what_was_said_are_no_file_of_anything(tmp_path):
    short = Blocks((3, 2), np.dtype(np.float32), lambda: iter([np.zeros((2, 2), np.float32)]))
    with pytest.raises(ValueError, match="expected 24 bytes of x, got 16"):
        tensors.write(tmp_path / "of", {"x": short})


def test_a_large_file_is_mapped_and_its_arrays_are_the_same(tmp_path, monkeypatch):
    path = tmp_path / "of.safetensors"
    path.write_bytes(save(ARRAYS))
    monkeypatch.setattr(tensors, "LARGE", 1)
    found = tensors.read(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    assert isinstance(found["x"], np.memmap)


def test_what_is_changed_in_a_mapped_array_stays_in_memory(tmp_path, monkeypatch):
    path = tmp_path / "of.safetensors"
    path.write_bytes(save(ARRAYS))
    monkeypatch.setattr(tensors, "LARGE", 1)
    x = torch.from_numpy(tensors.read(path)["x"])  # a warning, were it not writable
    x += 1
    np.testing.assert_array_equal(x.numpy(), ARRAYS["x"] + 1)
    assert path.read_bytes() == save(ARRAYS)


@pytest.mark.parametrize("large", [1, tensors.LARGE])
def test_a_broken_file_is_noticed_mapped_or_not(tmp_path, monkeypatch, large):
    path = tmp_path / "of.safetensors"
    path.write_bytes(save(ARRAYS)[:-1])
    monkeypatch.setattr(tensors, "LARGE", large)
    with pytest.raises(SafetensorError):
        tensors.read(path)
