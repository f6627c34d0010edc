"""Tuning: the same rates for every depth, and each depth its own winner."""

from dataclasses import replace

import pytest

from howdeep.tuning import TrialRow, beyond, edges, learning_rates, on_edge, settings, winner


def test_learning_rates_lie_evenly_on_a_log_scale_with_both_ends():
    assert learning_rates(0.001, 1.0, 4) == [0.001, 0.01, 0.1, 1.0]
    assert learning_rates(5e-4, 2e-2, 4) == [5e-4, 1.71e-3, 5.85e-3, 2e-2]


def test_one_trial_lies_in_the_middle():
    assert learning_rates(0.01, 1.0, 1) == [0.1]


def test_beyond_goes_on_at_the_same_distance():
    assert beyond([0.01, 0.1, 1.0]) == [0.001, 10.0]


def rows(depth, optimizer, losses):
    return [TrialRow(depth, optimizer, lr, loss) for lr, loss in zip((0.1, 0.2, 0.3), losses, strict=True)]


def test_the_lowest_loss_wins_and_a_diverged_trial_never_does():
    assert winner(rows(1, "sgd", [None, 2.0, 1.0])).lr == 0.3


def test_the_first_of_equals_wins():
    assert winner(rows(1, "sgd", [1.0, 1.0, 1.0])).lr == 0.1


def test_where_all_diverged_the_lowest_rate_is_taken():
    assert winner(rows(1, "sgd", [None, None, None])[::-1]).lr == 0.1


@pytest.mark.parametrize(("losses", "edge"), [([3, 1, 2], False), ([1, 2, 3], True), ([3, 2, 1], True)])
def test_a_winner_beyond_which_nothing_was_tried_is_on_the_edge(losses, edge):
    own = rows(1, "sgd", losses)
    assert on_edge(winner(own), own) is edge


def test_the_edge_is_that_of_its_own_depth_and_optimizer():
    wide = [TrialRow(2, "sgd", 0.01, 9.0), TrialRow(1, "adam", 9.0, 9.0)]
    own = rows(1, "sgd", [1, 2, 3])
    assert edges([*wide, *own]) == [wide[0], own[0]]


def test_each_matching_has_its_own_winner():
    narrow, wide = (
        rows(1, "sgd", [2, 1, 3]),
        [replace(row, matching="flops", val_loss=row.lr) for row in rows(1, "sgd", [1, 1, 1])],
    )
    found = settings([*narrow, *wide])
    assert found["depth=1"]["overrides"][1] == "optimizer.lr=0.2"
    assert found["matching=flops-depth=1"]["overrides"][1] == "optimizer.lr=0.1"
    assert edges([*narrow, *wide]) == [wide[0]]


def test_each_depth_gets_its_best_optimizer_and_rate_as_overrides():
    found = settings(
        [*rows(2, "sgd", [3, 1, 2]), *rows(2, "adam", [3, 2, 4]), *rows(1, "adam", [1, 5, None])]
    )
    assert found == {
        "depth=1": {
            "overrides": ["optimizer=adam", "optimizer.lr=0.1"],
            "val_loss": 1,
            "edge": True,
            "trials": 3,
        },
        "depth=2": {
            "overrides": ["optimizer=sgd", "optimizer.lr=0.2"],
            "val_loss": 1,
            "edge": False,
            "trials": 6,
        },
    }
