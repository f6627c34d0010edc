"""What counts as agreement, by numbers."""

import math

import pytest
import torch

from howdeep.errors import UserError
from howdeep.export.agreement import check
from howdeep.export.inputs import Inputs

INPUTS = Inputs((3,), torch.float32)


def scaled(size: float, off: float = 0.0):
    """A net whose largest output is `size`, but for a difference in its smallest."""
    return lambda x: torch.cat([torch.full((len(x), 1), size), torch.full((len(x), 1), off)], dim=1)


@pytest.mark.parametrize(("size", "off"), [(0.1, 0.9e-5), (1.0, -0.9e-5), (100.0, 0.9e-3)])
def test_a_difference_of_rounding_is_agreement(size, off):
    check(scaled(size), scaled(size, off), INPUTS)


@pytest.mark.parametrize(("size", "off"), [(0.1, 1.1e-5), (1.0, -1.1e-5), (100.0, 1.1e-3), (1.0, math.nan)])
def test_a_greater_difference_is_refused(size, off):
    with pytest.raises(
        UserError, match=r"^the exported file differs from the network by .* on a batch of 1, exp"
    ):
        check(scaled(size), scaled(size, off), INPUTS)


def test_batches_of_1_2_and_7_are_compared():
    seen = []

    def net(x):
        seen.append(len(x))
        return x

    check(net, lambda x: x, INPUTS)
    assert seen == [1, 2, 7]


@pytest.mark.parametrize(("longest", "lengths"), [(None, [16]), (16.0, [1, 8, 16]), (math.inf, [1, 16, 33])])
def test_several_lengths_are_compared_where_the_length_varies(longest, lengths):
    seen = set()

    def net(x):
        seen.add(x.shape[1])
        return x

    check(net, lambda x: x, Inputs((16, 4), torch.float32, longest=longest))
    assert sorted(seen) == lengths


def test_a_file_that_is_wrong_for_a_batch_of_one_alone_is_refused():
    with pytest.raises(UserError, match="on a batch of 1,"):
        check(lambda x: x, lambda x: x + 1 if len(x) == 1 else x, INPUTS)


def test_another_shape_is_refused():
    with pytest.raises(UserError, match=r"makes \(1, 1\) of a batch of 1, expected \(1, 3\)"):
        check(lambda x: x, lambda x: x[:, :1], INPUTS)


def test_a_diverged_network_is_refused():
    with pytest.raises(UserError, match=r"outputs are not finite .*: a diverged run cannot be exported"):
        check(lambda x: x * math.inf, lambda x: x * math.inf, INPUTS)


def test_a_file_that_fails_is_refused_with_its_reason():
    def fails(x):
        raise RuntimeError("no such kernel\nand a trace")

    with pytest.raises(UserError) as error:
        check(lambda x: x, fails, INPUTS)
    assert str(error.value) == (
        "the exported file does not read a batch of 1 (RuntimeError: no such kernel): "
        "it is not written; choose another format"
    )


def test_drawn_characters_are_of_the_vocabulary_and_the_same_each_time():
    inputs = Inputs((50,), torch.int64, indices=10)
    assert torch.equal(inputs.draw(7), inputs.draw(7))
    assert set(inputs.draw(7).flatten().tolist()) == set(range(10))
