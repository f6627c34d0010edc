"""Tuning: the same points for every depth, and each depth its own winner."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf
from scipy.stats.qmc import discrepancy

from howdeep.files.project import Project
from howdeep.records.trials import TrialRow, trials_of
from howdeep.stages.tune import _write
from howdeep.stages.tune_trials import Points
from howdeep.study.tuning import (
    BESIDE,
    beyond,
    edges,
    learning_rates,
    not_tuned,
    on_edge,
    points,
    settings,
    sobol,
    tuned_settings,
    winner,
)
from howdeep.sweeping.plan import Plan


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


RATES = learning_rates(0.01, 1.0, 12)


def test_below_ten_trials_the_learning_rate_alone_is_tried():
    assert points("sgd", RATES[:9], seed=0)[0] == [{"lr": rate} for rate in RATES[:9]]
    assert tuned_settings("sgd", 9) == ["lr"]


@pytest.mark.parametrize(
    ("optimizer", "second"),
    [("sgd", ["momentum"]), ("adam", ["weight_decay"]), ("adamw", ["weight_decay"]), ("rmsprop", [])],
)
def test_from_ten_trials_on_the_same_rates_come_with_a_second_setting(optimizer, second):
    base, wider = points(optimizer, RATES[:10], seed=0)
    assert [point["lr"] for point in base] == RATES[:10]
    assert [point["lr"] for point in wider] == beyond(RATES[:10])
    assert all(list(point) == ["lr", *second] for point in [*base, *wider])
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


def test_a_study_tries_these_points_and_no_combination_of_others():
    base, _ = points("sgd", RATES, seed=0)
    plan = Plan("s", Points.of(base), len(base), sampler="grid")
    assert plan.wanted == 12
    assert [(point["optimizer.lr"], point["optimizer.momentum"]) for point in plan.space.grid()] == [
        (point["lr"], point["momentum"]) for point in base
    ]


def test_other_points_have_another_fingerprint_even_where_only_their_pairs_are_others():
    base, _ = points("sgd", RATES, seed=0)
    momenta = [point["momentum"] for point in base]
    paired = [{**point, "momentum": momentum} for point, momentum in zip(base, momenta[::-1], strict=True)]
    assert len({Points.of(own).fingerprint for own in (base, base[:-1], paired)}) == 3
    assert Points.of(base).fingerprint == Points.of(points("sgd", RATES, seed=0)[0]).fingerprint


TWO = [
    TrialRow(1, "sgd", 0.1, 0.4, momentum=0.9123),
    TrialRow(1, "sgd", 0.2, 0.1, momentum=0.5),
    TrialRow(1, "sgd", 0.4, None, momentum=0.99),
    TrialRow(1, "adam", 0.01, 0.3, weight_decay=1.19e-06),
]


def test_the_winner_s_second_setting_is_one_of_its_overrides():
    assert settings(TWO)["depth=1"]["overrides"] == [
        "optimizer=sgd",
        "optimizer.lr=0.2",
        "optimizer.momentum=0.5",
    ]
    assert settings(TWO[3:])["depth=1"]["overrides"][-1] == "optimizer.weight_decay=1.19e-06"


@pytest.mark.parametrize(
    ("own", "columns"),
    [
        (TWO, "matching,depth,optimizer,lr,momentum,weight_decay,val_loss,space"),
        (TWO[:3], "matching,depth,optimizer,lr,momentum,val_loss,space"),
        (rows(1, "sgd", [1.0, 2.0, None]), "matching,depth,optimizer,lr,val_loss,space"),
    ],
)
def test_trials_are_read_as_they_were_written_with_columns_of_what_was_tuned(tmp_path, own, columns):
    project = Project(Path(tmp_path))
    _write(project.tuned / "e", own, settings(own), "r")
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
        assert not_tuned(settings([row])["depth=1"]["overrides"], ["adam", "sgd"]) is None
