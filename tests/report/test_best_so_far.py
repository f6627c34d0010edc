"""The best of the first trials, against every order that there is."""

import itertools
import math
import re
from fractions import Fraction

import numpy as np
import pytest

from howdeep.records.trials import TrialRow
from howdeep.report import best_so_far
from howdeep.report.best_so_far import ALL, best_of, frame, picture
from howdeep.results.scores import rows_of

LOSSES = [0.7, 0.1, 0.4, 0.4, 2.0, 0.25, 0.9]


def minima(losses, n) -> list[float]:
    """The best of the first n of every order of the trials, sorted; a diverged trial is worse than any other."""
    known = [math.inf if loss is None else loss for loss in losses]
    return sorted(min(order[:n]) for order in itertools.permutations(known))


def quantile(ordered, percent) -> float:
    """The lowest value with at least that share of all at or below it."""
    return ordered[math.ceil(Fraction(percent, 100) * len(ordered)) - 1]


@pytest.mark.parametrize("n", range(1, len(LOSSES) + 1))
def test_mean_and_band_are_those_of_all_orders(n):
    best = best_of(LOSSES, n)
    every = minima(LOSSES, n)
    assert best.expected == pytest.approx(math.fsum(every) / len(every), rel=1e-12)
    assert best[1:] == (quantile(every, 10), quantile(every, 90))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
def test_a_mean_over_orders_that_begin_with_diverged_trials_only_is_infinite(n):
    losses = [None, 0.3, None, 0.2, 0.5]
    every = minima(losses, n)
    best = best_of(losses, n)
    assert math.isfinite(best.expected) == math.isfinite(every[-1]) == (n > 2)
    assert best[1:] == (quantile(every, 10), quantile(every, 90))
    if n > 2:
        assert best.expected == pytest.approx(sum(every) / len(every))


def test_one_trial_has_the_mean_of_all_and_all_trials_the_least():
    assert best_of(LOSSES, 1).expected == pytest.approx(np.mean(LOSSES))
    assert best_of(LOSSES, 7) == (0.1, 0.1, 0.1)


def test_many_trials_neither_overflow_nor_lose_their_digits():
    losses = [float(k) for k in range(1, 1001)]
    assert best_of(losses, 500).expected == pytest.approx(
        1001 / 501, rel=1e-12
    )  # (N + 1) / (n + 1) for ranks


@pytest.mark.parametrize("n", [0, 8])
def test_a_number_of_trials_that_there_are_not_is_refused(n):
    with pytest.raises(ValueError, match=f"expected from 1 to 7 trials, got {n}"):
        best_of(LOSSES, n)


OWN = [
    *(TrialRow(1, "adam", lr, loss) for lr, loss in ((0.1, 0.5), (0.2, 0.3))),
    *(TrialRow(1, "sgd", lr, loss) for lr, loss in ((1, 0.4), (2, None))),
    *(TrialRow(4, "adam", lr, loss) for lr, loss in ((0.1, 0.2), (0.2, 0.6))),
    *(TrialRow(4, "sgd", lr, loss) for lr, loss in ((1, None), (2, None))),
]
EQUAL = TrialRow(1, "adam", 0.1, 0.9, matching="parameters")


def test_a_table_has_every_number_of_trials_of_each_depth_optimizer_and_matching():
    table = frame({"digits-mlp": [*OWN, EQUAL]})
    assert list(table.columns) == [
        "entry", "matching", "depth", "optimizer", "trials", "expected", "low", "high"
    ]  # fmt: skip
    counts = table.groupby(["matching", "depth", "optimizer"], sort=False).size().to_dict()
    assert counts == {
        **{("width", depth, name): n for name, n in ((ALL, 4), ("adam", 2), ("sgd", 2)) for depth in (1, 4)},
        ("parameters", 1, "adam"): 1,
    }
    of_all = [row for row in rows_of(table) if (row["optimizer"], row["depth"]) == (ALL, 1)]
    assert [math.isnan(row["expected"]) for row in of_all] == [True, False, False, False]
    assert {of_all[-1][name] for name in ("expected", "low", "high")} == {0.3}
    of_sgd = [row for row in rows_of(table) if (row["optimizer"], row["depth"]) == ("sgd", 4)]
    assert of_sgd
    assert all(math.isnan(row["low"]) for row in of_sgd)


def test_the_picture_tells_every_depth_and_optimizer_and_is_the_same_each_time():
    drawn = picture("digits-mlp", OWN)
    label = re.search('aria-label="([^"]*)"', drawn)
    assert label
    assert label[1] == (
        "digits-mlp: expected best validation loss by number of trials. depth 1: diverged after 1, 0.300 after 4; "
        "depth 4: diverged after 1, 0.200 after 4."
    )
    texts = re.findall(r">([^<>]+)</text>", drawn)
    assert {"all", "adam", "sgd", "trials", "validation loss", "depth 1", "4"} <= set(texts)
    assert drawn == picture("digits-mlp", OWN)


@pytest.mark.parametrize("losses", [[None, None], [0.0, 0.0], [-1.0, 2.0], [1e6, 0.1], [0.5]])
def test_any_losses_can_be_drawn(losses):
    assert "<svg" in picture("e", [TrialRow(1, "adam", 0.1 * k, loss) for k, loss in enumerate(losses, 1)])


def test_every_line_ends_within_the_axis_and_one_far_beginning_does_not_flatten_the_others():
    near, far = ([best_of(losses, n) for n in (1, 2)] for losses in ([0.2, 0.1], [1e6, 0.5]))
    low, high = best_so_far._limits([near, far])
    assert low < 0.1 < 0.5 < high < 5
