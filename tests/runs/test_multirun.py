"""The table that a multirun ends with."""

import math

from howdeep.runs.multirun import table


def test_runs_that_differ_in_their_seed_alone_are_one_line():
    jobs = [
        (["model=mlp", f"model.depth={depth}", f"seed={seed}"], 0.1 * depth + 0.01 * seed)
        for depth in (1, 2)
        for seed in (0, 1)
    ]
    head, first, second = table(jobs).splitlines()
    assert head.split() == ["runs", "mean", "val/loss", "lowest"]
    assert first.split() == ["model.depth=1", "2", "0.105", "0.1"]
    assert second.split() == ["model.depth=2", "2", "0.205", "0.2"]


def test_failed_runs_are_counted_and_enter_no_mean():
    lines = table([(["optimizer=sgd"], math.nan), (["optimizer=adam"], 0.5), (["optimizer=adam"], math.nan)])
    assert [line.split() for line in lines.splitlines()[1:]] == [
        ["optimizer=sgd", "1", "-", "-", "1", "failed"],
        ["optimizer=adam", "2", "0.5", "0.5", "1", "failed"],
    ]


def test_seeds_alone_are_all_and_one_run_needs_no_table():
    assert table([(["seed=0"], 1.0), (["seed=1"], 3.0)]).splitlines()[1].split() == ["all", "2", "2", "1"]
    assert table([([], 1.0)]) == ""
