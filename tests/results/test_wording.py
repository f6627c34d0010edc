"""What the report says, sentence by sentence."""

import math

import pandas as pd
import pytest

from howdeep.results import tables
from howdeep.results.protocol import settings
from howdeep.results.scores import scores, select, summary
from howdeep.results.wording import amount, differences, finding, number


def line(*cells, better="higher"):
    """Rows of `summary`: (depth, mean, half width or None, diverged of 5 runs)."""
    return pd.DataFrame(
        {
            "depth": depth,
            "score": "accuracy",
            "higher_is_better": better == "higher",
            "runs": 5,
            "diverged": diverged,
        }
        | {"val_score": mean, "val_score_low": mean - half, "val_score_high": mean + half}
        for depth, mean, half, diverged in cells
    )


def told(*cells, **options):
    return finding("digits", "mlp", line(*cells, **options))


def test_the_best_depth_is_compared_with_depth_1():
    assert told((1, 0.96, 0.01, 0), (2, 0.97, 0.01, 0), (4, 0.975, 0.01, 0)) == (
        "On digits, mlp had its best mean validation accuracy at depth 4: 0.975 [0.965, 0.985]; "
        "its interval overlaps that of depth 1, 0.960 [0.950, 0.970]."
    )
    assert "does not overlap that of depth 1" in told((1, 0.95, 0.01, 0), (4, 0.98, 0.01, 0))


def test_of_a_score_that_should_be_low_the_lowest_is_best():
    cells = (1, 0.3, 0.01, 0), (2, 0.2, 0.01, 0)
    assert "at depth 2: 0.200" in told(*cells, better="lower")
    assert "at depth 1: 0.300" in told(*cells, better="higher")


def test_depth_1_is_compared_with_every_other_depth():
    said = told((1, 0.98, 0.01, 0), (2, 0.97, 0.01, 0), (4, 0.965, 0.01, 0), (8, 0.9, 0.01, 0))
    assert said.endswith(
        "its interval overlaps those of depths 2 and 4 and does not overlap that of depth 8."
    )


def test_the_shallowest_of_equals_is_best():
    assert "at depth 2:" in told((1, 0.96, 0.01, 0), (2, 0.97, 0.01, 0), (4, 0.97, 0.01, 0))


def test_runs_that_diverged_are_told_with_the_mean_that_lacks_them():
    assert told((1, 0.97, 0.01, 0), (8, 0.99, 0.01, 2)).endswith(
        " Not in these means: 2 of 5 runs at depth 8 diverged."
    )
    assert told((1, math.nan, math.nan, 5)) == "On digits, every run of mlp diverged."
    assert "no other depth finished a run" in told((1, 0.97, 0.01, 0), (8, math.nan, math.nan, 5))


def test_without_intervals_nothing_is_said_to_overlap():
    said = told((1, 0.96, math.nan, 0), (2, 0.97, math.nan, 0))
    assert said.endswith(
        "at depth 2: 0.970; its interval cannot be compared, for want of runs, with that of depth 1, 0.960."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.98534, "0.985"),
        (27.414, "27.41"),
        (1372.04, "1,372.0"),
        (-0.0223, "-0.022"),
        (4.1e-5, "4.1e-05"),
        (0, "0.000"),
    ],
)
def test_numbers_keep_the_digits_that_matter(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(640, "640"), (52992, "53.0 k"), (202608, "203 k"), (1.2e6, "1.20 M")]
)
def test_amounts_have_three_digits_and_a_prefix(value, text):
    assert amount(value) == text


def test_the_table_has_a_row_a_cell_with_the_numbers_of_the_summary(records, test_scores):
    cells = select(summary(scores(records, test_scores)), task="forecasting")
    rows = [[text.strip() for text in row.split("|")[1:-1]] for row in tables.markdown(cells).splitlines()]
    assert rows[0][:5] == ["data", "model", "depth", "runs", "validation mae"]
    assert [row[:4] for row in rows[2:]] == [
        ["sunspots", "lstm", "1", "5"], ["sunspots", "lstm", "2", "5"],
        ["sunspots", "lstm", "4", "5"], ["sunspots", "lstm", "8", "4 of 5"],
    ]  # fmt: skip
    first = cells.iloc[0]
    assert (
        rows[2][4]
        == f"{first['val_score']:.3f} [{first['val_score_low']:.3f}, {first['val_score_high']:.3f}]"
    )
    assert rows[2][-2:] == ["5,160", "30.6 k"]


def test_seconds_stand_in_the_table_only_where_somebody_measured_them(records, test_scores):
    cells = select(summary(scores(records, test_scores)), task="forecasting")
    [block] = tables.blocks(cells, {("sunspots-lstm", 1, "width"): 1.26})
    assert [row[-1] for row in block.rows] == ["1.3", "\N{EN DASH}", "\N{EN DASH}", "\N{EN DASH}"]
    assert len(block.rows[0]) == len(tables.columns(cells, seconds=True)) == len(tables.columns(cells)) + 1


def test_what_distinguishes_entries_of_an_architecture_is_told_once_for_those_that_differ_alike(make_record):
    records = [
        make_record(
            "digits", model, 1, 0, entry=f"digits-{model}{end}", config={"model": {"residual": not end}}
        )
        for model in ("cnn", "mlp")
        for end in ("", "-plain")
    ]
    cells = summary(scores(records, {"runs": {}}))
    assert differences(cells, settings(records)) == [
        "What distinguishes cnn-plain from cnn on digits and mlp-plain from mlp on digits: "
        "model.residual False instead of True."
    ]
    assert differences(cells.iloc[:1], settings(records)) == []


def test_a_task_with_two_networks_has_a_column_for_each_gradient_ratio(make_record):
    cells = summary(scores([make_record("digits", "gan", 1, 0)], {"runs": {}}))
    assert [name for name in tables.columns(cells) if "ratio" in name] == [
        "gradient ratio, discriminator", "gradient ratio, generator",
    ]  # fmt: skip
    [block] = tables.blocks(cells)
    assert len(block.rows[0]) == len(tables.columns(cells))
