"""Splits against hand-computed shares, standardising against scikit-learn's StandardScaler."""

from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from howdeep.data.splits import chronological, held_out_size, moments, stratified
from howdeep.encoding.scale import standardise
from howdeep.errors import UserError

LABELS = np.repeat([0, 1, 2], [10, 25, 65])[np.random.RandomState(1).permutation(100)]


def test_a_stratified_split_keeps_the_shares_of_the_classes():
    kept, held_out = stratified(LABELS, 0.2, seed=0)
    assert np.bincount(LABELS[held_out]).tolist() == [2, 5, 13]
    assert np.bincount(LABELS[kept]).tolist() == [8, 20, 52]


def test_places_left_over_go_to_the_largest_remainders():
    # 10 of 100: shares 1.0, 2.5, 6.5; the tie goes to the class that comes first
    _, held_out = stratified(LABELS, 0.1, seed=0)
    assert np.bincount(LABELS[held_out]).tolist() == [1, 3, 6]


def test_a_stratified_split_uses_every_example_once_and_is_sorted():
    kept, held_out = stratified(LABELS, 0.37, seed=3)
    assert len(held_out) == 37
    assert sorted([*kept, *held_out]) == list(range(100))
    assert (np.diff(kept) > 0).all()
    assert (np.diff(held_out) > 0).all()


def test_the_seed_alone_decides_a_stratified_split():
    np.random.seed(5)
    first = stratified(LABELS, 0.2, seed=0)[1]
    np.random.seed(6)
    assert (stratified(LABELS, 0.2, seed=0)[1] == first).all()
    assert (stratified(LABELS, 0.2, seed=1)[1] != first).any()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, "0"])
def test_a_seed_that_numpy_has_not_is_refused(seed):
    with pytest.raises(UserError, match="a seed of the data"):
        stratified(LABELS, 0.2, seed=seed)


def test_a_chronological_split_holds_out_the_last_steps():
    past, future = chronological(309, 0.2)
    assert past.tolist() == list(range(247))
    assert future.tolist() == list(range(247, 309))


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, 0.01, 0.99, float("nan"), "half", True, None])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction):
    with pytest.raises(UserError, match=r"held-out fraction .* the 20 examples, got .*test_fraction"):
        held_out_size(20, fraction)


def test_standardising_each_feature_is_the_standard_scaler():
    random = np.random.RandomState(0)
    train, test = random.normal(5, 3, (50, 4)), random.normal(5, 3, (20, 4))
    train[:, 2] = 7.0
    scaler: Any = StandardScaler().fit(train)
    mean, std = moments(train, axis=0)
    np.testing.assert_allclose(mean, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(std, scaler.scale_, rtol=1e-12)
    np.testing.assert_allclose(standardise(test, mean, std), scaler.transform(test), rtol=1e-6)


def test_one_scale_for_all_is_the_standard_scaler_on_the_flat_array():
    x = np.random.RandomState(0).randint(0, 256, (30, 16)).astype(np.uint8)
    scaler: Any = StandardScaler().fit(x.reshape(-1, 1).astype(float))
    mean, std = moments(x, axis=None)
    assert mean == pytest.approx(scaler.mean_[0], rel=1e-12)
    assert std == pytest.approx(scaler.scale_[0], rel=1e-12)


@pytest.mark.parametrize("axis", [0, None])
def test_a_constant_becomes_zero_not_infinite(axis):
    x = np.full((7, 3), 0.1)
    assert (standardise(x, *moments(x, axis)) == 0).all()


def test_standardised_numbers_are_single_precision():
    assert standardise(np.arange(3), np.array(1.0), np.array(2.0)).tolist() == [-0.5, 0.0, 0.5]
    assert standardise(np.arange(3), np.array(1.0), np.array(2.0)).dtype == np.float32
