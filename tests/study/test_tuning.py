"""Tuning: as many points for every depth, each run its own winner."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy.stats.qmc import discrepancy

from howdeep.files.project import Project
from howdeep.records.trials import TrialRow, trials_of
from howdeep.stages.tune import _write
from howdeep.study.tuning import (
    BESIDE,
    going_on,
    learning_rates,
    not_tuned,
    on_edge,
    points,
    ranked,
    rungs,
    settings,
    sobol,
    tied,
    tuned_settings,
    winner,
)


@pytest.mark.parametrize("seed", range(5))
def test_each_part_of_the_range_has_one_rate_at_the_same_place(seed):
    rates = learning_rates(0.001, 1.0, 3, seed)
    assert [10.0**k <= 1000 * rate <= 10.0 ** (k + 1) for k, rate in enumerate(rates)] == [True] * 3
    assert np.diff(np.log10(rates)) == pytest.approx([1, 1], abs=0.01)


def test_seeds_shift_the_rates_over_the_whole_part_and_the_same_seed_does_not():
    shifts = [math.log10(learning_rates(1.0, 1000.0, 3, seed)[0]) for seed in range(200)]
    assert learning_rates(1.0, 1000.0, 3, 7) == learning_rates(1.0, 1000.0, 3, 7)
    assert np.quantile(shifts, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.1)


def rows(depth, optimizer, losses, **more):
    return [
        TrialRow(depth, optimizer, lr, loss, last_loss=loss, **more)
        for lr, loss in zip((0.1, 0.2, 0.3), losses, strict=True)
    ]


@pytest.mark.parametrize(
    ("losses", "on"),
    [
        ([6, 5, 4, 3, 2, 1], [5, 4]),
        ([1, 1, 1, 1], [0, 1]),
        ([None, 2, None], [1]),
        ([None, None], []),
        ([3], [0]),
        ([0.0, None, 1.0, 2.0, 3.0, 4.0, 5.0], [0, 2, 3]),
    ],
)
def test_the_best_third_of_all_goes_on_and_none_that_diverged(losses, on):
    assert going_on(losses) == on


def test_rungs_are_whole_epochs_and_none_comes_twice():
    assert rungs([0.1, 0.3], 40) == [4, 12]
    assert rungs([0.1, 0.3], 3) == [1]
    assert rungs([0.5, 1.0], 4) == [2, 4]


def test_the_lowest_loss_wins_and_a_diverged_trial_never_does():
    assert winner(rows(1, "sgd", [None, 2.0, 1.0])).lr == 0.3


def test_the_first_of_equals_wins():
    assert winner(rows(1, "sgd", [1.0, 1.0, 1.0])).lr == 0.1


def test_where_all_diverged_the_lowest_rate_is_taken():
    assert winner(rows(1, "sgd", [None, None, None])[::-1]).lr == 0.1


def test_a_trial_that_came_further_wins_over_a_lower_loss_unless_it_diverged_there():
    stopped = TrialRow(1, "sgd", 0.1, 0.5, epochs=4, last_loss=0.5)
    further = TrialRow(1, "sgd", 0.2, 0.4, epochs=12, last_loss=0.6)
    diverged = TrialRow(1, "sgd", 0.3, 0.1, epochs=12, last_loss=None)
    assert ranked([stopped, diverged, further]) == [further, stopped]
    assert ranked([stopped, diverged]) == [stopped]


def test_the_outer_tenths_of_what_the_runs_of_a_cell_tried_are_its_edges():
    own = [TrialRow(1, "sgd", 10.0**-k, 1.0, seed=k % 2) for k in range(11)]
    assert [on_edge(row, own) for row in own] == [k in (0, 1, 9, 10) for k in range(11)]
    others = [TrialRow(1, "adam", 1e-20, 1.0), TrialRow(2, "sgd", 1e-20, 1.0)]
    assert on_edge(own[10], [*own, *others])


def test_settings_that_validation_cannot_tell_apart_are_found():
    assert tied(rows(1, "sgd", [0.0, 0.0, 1.0]))
    assert not tied(rows(1, "sgd", [0.1, 0.2, 0.1001]))
    assert not tied(rows(1, "sgd", [0.1, None, None]))
    further = TrialRow(1, "sgd", 0.2, 0.5, epochs=2, last_loss=0.5)
    assert not tied([*rows(1, "sgd", [0.5, 0.6, 0.7]), further])


def test_each_run_gets_its_best_optimizer_and_rate_and_then_those_that_came_as_far():
    found = settings([
        *rows(2, "sgd", [3, 1, 2]), *rows(2, "adam", [3, 2, 4]),
        *rows(2, "sgd", [1, 5, None], seed=1), *rows(2, "sgd", [7, 8, 6], seed=1, matching="flops"),
        TrialRow(2, "adam", 0.4, 9, epochs=5, last_loss=9, seed=1),
    ])  # fmt: skip
    assert list(found) == ["depth=2-seed=0", "depth=2-seed=1", "matching=flops-depth=2-seed=1"]
    assert found["depth=2-seed=0"]["overrides"] == ["optimizer=sgd", "optimizer.lr=0.2"]
    assert found["depth=2-seed=0"]["seconds"][:2] == [
        ["optimizer=sgd", "optimizer.lr=0.3"],
        ["optimizer=adam", "optimizer.lr=0.2"],
    ]
    assert found["depth=2-seed=1"] == {"overrides": ["optimizer=adam", "optimizer.lr=0.4"], "seconds": []}
    assert found["matching=flops-depth=2-seed=1"]["overrides"][1] == "optimizer.lr=0.3"


def test_below_ten_trials_the_learning_rate_alone_is_tried():
    assert points("sgd", 0.01, 1.0, 9, seed=3) == [
        {"lr": rate} for rate in learning_rates(0.01, 1.0, 9, seed=3)
    ]
    assert tuned_settings("sgd", 9) == ["lr"]


@pytest.mark.parametrize(
    ("optimizer", "second"),
    [("sgd", ["momentum"]), ("adam", ["weight_decay"]), ("adamw", ["weight_decay"]), ("rmsprop", [])],
)
def test_from_ten_trials_on_the_same_rates_come_with_a_second_setting(optimizer, second):
    found = points(optimizer, 0.01, 1.0, 10, seed=0)
    assert [point["lr"] for point in found] == learning_rates(0.01, 1.0, 10, seed=0)
    assert all(list(point) == ["lr", *second] for point in found)
    assert tuned_settings(optimizer, 10) == ["lr", *second]


def test_momenta_lie_evenly_in_what_is_missing_to_1():
    momenta = [BESIDE["sgd"].at(share) for share in (0, 0.5, 1)]
    assert momenta == [0.99, 0.9, 0.0]


def test_every_setting_beside_the_rate_is_one_that_its_optimizer_has(root):
    for optimizer, beside in BESIDE.items():
        assert beside.name in OmegaConf.load(root / f"conf/optimizer/{optimizer}.yaml")


@pytest.mark.parametrize("seed", [0, 1, 1000])
def test_every_part_of_the_range_has_one_point_and_a_longer_sequence_begins_with_the_shorter(seed):
    for n in (2, 4, 8, 16):
        assert sorted(int(n * share) for share in sobol(n, seed)) == list(range(n))
    assert sobol(13, seed)[:5] == sobol(5, seed)
    assert sobol(5, seed) == sobol(5, seed) != sobol(5, seed + 1)


def test_the_points_fill_the_plane_more_evenly_than_random_ones():
    rates = np.arange(12) / 11
    random = np.random.default_rng(0)
    others = [discrepancy(np.column_stack([rates, random.random(12)])) for _ in range(200)]
    ours = [discrepancy(np.column_stack([rates, sobol(12, seed)])) for seed in range(20)]
    assert max(ours) < np.quantile(others, 0.25)


TWO = [
    TrialRow(1, "sgd", 0.1, 0.4, last_loss=0.4, momentum=0.9123),
    TrialRow(1, "sgd", 0.2, 0.1, epochs=3, last_loss=0.05, momentum=0.5),
    TrialRow(1, "sgd", 0.4, None, seed=2, momentum=0.99),
    TrialRow(1, "adam", 0.01, 0.3, last_loss=0.3, weight_decay=1.19e-06),
]


def test_the_winner_s_second_setting_is_one_of_its_overrides():
    assert settings(TWO)["depth=1-seed=0"]["overrides"] == [
        "optimizer=sgd",
        "optimizer.lr=0.2",
        "optimizer.momentum=0.5",
    ]
    assert settings(TWO[3:])["depth=1-seed=0"]["overrides"][-1] == "optimizer.weight_decay=1.19e-06"


@pytest.mark.parametrize(
    ("own", "columns"),
    [
        (TWO, "matching,depth,seed,optimizer,lr,momentum,weight_decay,val_loss,epochs,last_loss"),
        (TWO[:3], "matching,depth,seed,optimizer,lr,momentum,val_loss,epochs,last_loss"),
        (rows(1, "sgd", [1.0, 2.0, None]), "matching,depth,seed,optimizer,lr,val_loss,epochs,last_loss"),
    ],
)
def test_trials_are_read_as_they_were_written_with_columns_of_what_was_tuned(tmp_path, own, columns):
    project = Project(Path(tmp_path))
    _write(project.tuned / "e", own, settings(own), "r", {})
    assert (project.tuned / "e/trials.csv").read_text().splitlines()[0] == columns
    assert trials_of("e", project) == own


@pytest.mark.parametrize(
    "overrides",
    [
        ["optimizer=sgd", "optimizer.lr=0.1", "model._target_=os.system"],
        ["optimizer=sgd", "optimizer._target_=os.system"],
        ["optimizer=adamw", "optimizer.lr=0.1"],  # not tuned
        ["optimizer=sgd", "optimizer.lr=${oc.env:HOME}"],
        ["optimizer=sgd", "optimizer.lr=nan"],
        ["optimizer=sgd", "optimizer.lr=1e999"],
        ["optimizer=sgd", "optimizer.lr=1,2"],
        ["optimizer=sgd", "optimizer.lr=0.1\n"],
        ["optimizer=sgd", "optimizer.betas=[0,1]"],
        ["optimizer=sgd", "optimizer.lr=0.1", "optimizer.lr=0.2"],
        ["+optimizer=sgd"],
        ["optimizer.lr=0.1"],
        ["optimizer=sgd", 5],
        ["hydra.run.dir=/"],
        [],
        "optimizer=sgd",
        5,
        {"optimizer": "sgd"},
    ],
)
def test_a_setting_that_no_tuning_writes_is_told(overrides):
    assert not_tuned(overrides, ["adam", "sgd"]) is not None


def test_what_a_tuning_writes_is_taken():
    points: list[dict[str, Any]] = [
        {"lr": 1e-05},
        {"lr": 0.1, "momentum": 0.99},
        {"lr": 3.0, "weight_decay": 1.23e-06},
    ]
    for point in points:
        row = TrialRow(depth=1, optimizer="adam", val_loss=0.1, **point)
        assert not_tuned(settings([row])["depth=1-seed=0"]["overrides"], ["adam", "sgd"]) is None
