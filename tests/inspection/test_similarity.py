"""CKA against its definition, written out, and against what it must be for rotations and for noise."""

import math

import pytest
import torch

from howdeep.inspection.similarity import centred_kernel, cka, hsic


def draw(n: int, features: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def song(x: torch.Tensor, y: torch.Tensor) -> float:
    """HSIC_1 of Song et al. (2012), equation 5, term by term."""
    n, one = len(x), torch.ones(len(x), dtype=torch.float64)
    k, kernel = (x @ x.T).fill_diagonal_(0), (y @ y.T).fill_diagonal_(0)
    trace = (k @ kernel).trace()
    sums = (one @ k @ one) * (one @ kernel @ one) / ((n - 1) * (n - 2))
    mixed = 2 / (n - 2) * (one @ k @ kernel @ one)
    return float((trace + sums - mixed) / (n * (n - 3)))


def biased(x: torch.Tensor, y: torch.Tensor) -> float:
    """Linear CKA of Kornblith et al. (2019), equation 4."""
    x, y = x - x.mean(0), y - y.mean(0)
    return float((y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm()))


def alike(x: torch.Tensor, y: torch.Tensor) -> float:
    return cka(centred_kernel(x), centred_kernel(y))


def test_hsic_is_that_of_its_definition():
    x, y = draw(12, 5), draw(12, 3, seed=1) + 4
    assert hsic(centred_kernel(x), centred_kernel(y)) == pytest.approx(song(x, y), rel=1e-12)
    assert hsic(centred_kernel(x), centred_kernel(x)) == pytest.approx(song(x, x), rel=1e-12)


def test_rows_of_the_centred_kernel_sum_to_zero_and_its_diagonal_is_zero():
    kernel = centred_kernel(draw(9, 4))
    assert kernel.sum(0).abs().max() < 1e-12
    assert kernel.diagonal().abs().max() == 0


def test_a_representation_is_like_its_rotation_shift_and_scale():
    x = draw(50, 8)
    rotation = torch.linalg.qr(draw(8, 8, seed=3))[0]
    assert alike(x, -3.5 * x @ rotation + 7) == pytest.approx(1, abs=1e-12)


def test_an_invertible_map_that_is_no_rotation_changes_it():
    x = draw(50, 8)
    assert alike(x, x * torch.logspace(-2, 2, 8, dtype=torch.float64)) < 0.9


def test_independent_data_are_not_alike_where_the_biased_estimate_says_they_are():
    pairs = [(draw(50, 60, seed), draw(50, 60, seed + 1000)) for seed in range(40)]
    unbiased = [alike(x, y) for x, y in pairs]
    assert abs(sum(unbiased) / len(unbiased)) < 0.01
    assert all(abs(value) < 0.15 for value in unbiased)
    assert min(unbiased) < 0 < max(unbiased)
    assert all(biased(x, y) > 0.5 for x, y in pairs)


def test_of_many_examples_both_estimates_agree():
    x = draw(2000, 5)
    y = x + draw(2000, 5, seed=1)
    assert alike(x, y) == pytest.approx(biased(x, y), abs=0.01)


def test_what_is_the_same_for_all_examples_is_like_nothing():
    assert math.isnan(alike(draw(10, 3), torch.ones(10, 3)))


def test_images_and_sequences_are_compared_by_all_their_numbers():
    x = draw(10, 24)
    assert alike(x, x.view(10, 2, 3, 4)) == pytest.approx(1)


def test_three_examples_are_too_few():
    with pytest.raises(ValueError, match="expected at least 4 examples, got 3"):
        centred_kernel(draw(3, 2))
