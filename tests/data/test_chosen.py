"""Rows that are chosen from examples too large to be copied: what is asked of them is what a copy would say."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch.nn import functional

from howdeep.data import chosen as module
from howdeep.data.batches import Batches
from howdeep.data.chosen import Chosen, chosen
from howdeep.data.examples import labelled
from howdeep.files import tensors

X = torch.arange(60.0).view(20, 3)
ROWS = torch.tensor([7, 3, 3, 19, 0, 11])
COPY = X[ROWS]


def standing_in() -> Chosen:
    return Chosen(X, ROWS, torch.device("cpu"))


def test_what_is_small_is_copied(monkeypatch):
    assert type(chosen(X, ROWS)) is torch.Tensor
    assert torch.equal(chosen(X, ROWS), COPY)
    monkeypatch.setattr(module, "LARGE", 1)
    assert type(chosen(X, ROWS)) is Chosen


def test_it_is_asked_what_a_tensor_is_asked(monkeypatch):
    found = standing_in()
    assert (len(found), found.shape, found.ndim, found.dtype) == (6, COPY.shape, 2, COPY.dtype)
    assert found.is_floating_point()
    for key in (slice(2), slice(None), slice(1, 5, 2), torch.tensor([5, 0]), COPY[:, 0] > 10):
        assert torch.equal(found[key], COPY[key])
    assert torch.equal(found.index_select(0, torch.tensor([4, 4, 1])), COPY[[4, 4, 1]])
    assert torch.equal(found.index_select(1, torch.tensor([2])), COPY[:, [2]])
    monkeypatch.setattr(module, "AT_ONCE", 4)
    for keepdim in (True, False):
        assert torch.equal(found.amin(0, keepdim=keepdim), COPY.amin(0, keepdim=keepdim))
    assert torch.equal(found[2], COPY[2])
    assert torch.equal(found[1:, 2], COPY[1:, 2])


def test_anything_else_is_done_with_a_copy():
    found = standing_in()
    assert torch.equal(found.flatten(1), COPY.flatten(1))
    assert torch.equal(functional.relu(found), COPY)  # type: ignore[arg-type]
    assert torch.equal(torch.cat([found, COPY]), torch.cat([COPY, COPY]))  # type: ignore[list-item]


@pytest.mark.parametrize("seed", [None, 3])
def test_batches_are_those_of_a_copy(seed):
    y = torch.arange(6)
    ours, theirs = (list(Batches((x, y), batch_size=4, seed=seed)) for x in (standing_in(), COPY))  # type: ignore[arg-type]
    for (x, of), (x_copied, of_copied) in zip(ours, theirs, strict=True):
        assert torch.equal(x, x_copied)
        assert torch.equal(of, of_copied)


def test_the_examples_of_a_large_file_are_those_of_a_small_one_and_no_copies(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    path = tmp_path / "of" / "train.safetensors"
    path.parent.mkdir()
    save_file({"x": random.normal(size=(40, 4)).astype(np.float32), "y": random.integers(2, size=40)}, path)

    def split():
        return labelled(path, path, in_shape=[2, 2], validation_fraction=0.25, seed=1)

    small = split()
    for part in (module, tensors):
        monkeypatch.setattr(part, "LARGE", 1)
    monkeypatch.setattr(Chosen, "whole", None)  # which copies
    large = split()
    assert [type(part[0]) for part in large if part] == [Chosen, Chosen, torch.Tensor]
    for ours, theirs in zip(large, small, strict=True):
        assert ours is not None
        assert theirs is not None
        assert ours[0].shape == theirs[0].shape
        for (x, y), (x_copied, y_copied) in zip(
            Batches(ours, batch_size=7, seed=0), Batches(theirs, batch_size=7, seed=0), strict=True
        ):
            assert torch.equal(x, x_copied)
            assert torch.equal(y, y_copied)
