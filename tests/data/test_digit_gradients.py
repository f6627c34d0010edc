"""Histograms of oriented gradients, against images whose brightness rises in one known direction."""

import numpy as np
import pytest

from howdeep.data.digit_gradients import CELL, ORIENTATIONS, SIDE, features


@pytest.mark.parametrize("turn", range(ORIENTATIONS))
def test_a_slope_has_all_its_weight_in_its_own_direction(turn):
    angle = 2 * np.pi * turn / ORIENTATIONS
    down, right = np.mgrid[:SIDE, :SIDE]
    found = features((right * np.cos(angle) + down * np.sin(angle))[None]).reshape(9, ORIENTATIONS)
    np.testing.assert_allclose(found, np.eye(ORIENTATIONS)[[turn] * 9])


def test_contrast_and_brightness_change_nothing_and_a_blank_image_has_no_direction():
    images = np.random.RandomState(0).rand(5, SIDE, SIDE)
    np.testing.assert_allclose(features(3 * images + 7), features(images))
    assert not features(np.full((1, SIDE, SIDE), 3.0)).any()


def test_each_cell_is_seen_alone_and_its_shares_sum_to_one():
    image = np.zeros((1, SIDE, SIDE))
    image[0, 0, 0] = 1.0
    found = features(image).reshape(3, 3, ORIENTATIONS).sum(2)
    assert found.astype(bool).sum() == 1  # the upper left cell of four by four alone
    np.testing.assert_allclose(
        features(np.random.RandomState(1).rand(1, SIDE, SIDE)).reshape(9, -1).sum(1), 1
    )
    assert CELL == 4
