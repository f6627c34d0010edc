"""How many modes of points of a plane a generator finds: points made by hand, and the Gaussians of a ring."""

import math

import pytest
import torch

from howdeep.data import gaussian_ring
from howdeep.data.splits import random_state
from howdeep.runs.examples import load_split
from howdeep.tasks.generation import Generation, Modes, modes_of

SQUARE = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]]).double()


def ring(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    x, mode = gaussian_ring.draw(n, 8, 2.0, 0.02, random_state(seed))
    return torch.from_numpy(x).float(), torch.from_numpy(mode)


def test_points_within_three_deviations_of_a_mode_find_it():
    points = torch.tensor([[0.0, 3.0], [0.0, 3.1], [11.0, -2.0], [10.0, 2.9], [5.0, 5.0], [-2.2, -2.2]])
    # distances from the nearest mode: 3, 3.1, sqrt 5, 2.9, far, 3.1
    assert Modes(SQUARE, 1.0).shares(points) == {"modes": 2, "high_quality": 3 / 6}
    assert Modes(SQUARE, 0.1).shares(points) == {"modes": 0, "high_quality": 0}
    assert Modes(SQUARE, 9.0).shares(points) == {"modes": 4, "high_quality": 1}


def test_modes_are_the_means_of_classes_and_one_deviation_of_both_coordinates():
    x = torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 8.0], [0.0, 8.0]])
    found = modes_of((x, torch.tensor([4, 4, 2, 2])))
    assert found is not None
    assert found.centres.tolist() == [[0, 8], [2, 0]]
    assert found.deviation == pytest.approx(math.sqrt(2 / 8))  # squares 1 and 1 of eight coordinates


def test_the_ring_itself_has_all_modes_and_the_quality_of_its_gaussians():
    found = modes_of(ring(4000))
    assert found is not None
    assert found.deviation == pytest.approx(0.02, rel=0.03)
    x, mode = ring(20_000, seed=1)
    share = 1 - math.exp(-9 / 2)
    assert found.shares(x) == {
        "modes": 8, "high_quality": pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 20_000) + 0.001),
    }  # fmt: skip
    assert found.shares(x[mode < 3])["modes"] == 3
    assert found.shares(torch.zeros(5, 2)) == {"modes": 0, "high_quality": 0}


def test_images_and_points_of_more_coordinates_have_no_modes():
    assert modes_of((torch.zeros(4, 3), torch.arange(4))) is None
    assert modes_of((torch.zeros(4, 1, 2), torch.arange(4))) is None


def test_of_a_ring_the_training_examples_find_all_modes_and_noise_is_seldom_near_one(compose, project):
    split = load_split(compose("data=gaussian_ring", "model=gan"), project)
    found = Generation.baselines(split.train, split.validation, {})
    known, noise = found["training examples"], found["uniform noise"]
    assert known["modes"] == 8
    assert known["high_quality"] > 0.97
    assert noise["high_quality"] < 0.05  # eight discs of radius .06 in a square of side 4: 0.6 %
