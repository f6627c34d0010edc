"""What the report says, sentence by sentence."""

import importlib
import math
import pkgutil

import pandas as pd
import pytest

from howdeep import tasks
from howdeep.report.protocol import settings
from howdeep.results import tables
from howdeep.results.gaps import OF_VARIANCE, TRIVIAL
from howdeep.results.measures import NO_MARGINS, SCORES
from howdeep.results.scores import judge, scores, select, summary
from howdeep.results.sentences import (
    architectures,
    differences,
    finding,
    other_examples,
    scored,
    seed_counts,
    seeds,
    shallow_won,
)
from howdeep.results.verdict import verdicts
from howdeep.results.wording import amount, number, signed
from howdeep.tasks.task import Task


def judged(*rows, model="mlp", data="digits", name="mlp", matching="width"):
    """Rows of `verdicts` and of `summary`: (depth, verdict, difference, half width, seeds needed)."""
    line = {
        "task": "classification",
        "data": data,
        "model": model,
        "entry": f"{data}-{name}",
        "matching": matching,
    }
    verdicts = pd.DataFrame(
        line
        | {
            "depth": depth,
            "against": 1,
            "score": "accuracy",
            "on": "test",
            "margin": 0.01,
            "verdict": verdict,
            "verdict_seeds": verdict,
            "sample_from": "",
            "higher_is_better": True,
        }
        | {"difference": mean, "low": mean - half, "high": mean + half, "seeds_needed": needed}
        for depth, verdict, mean, half, needed in rows
    )
    cells = pd.DataFrame(
        line
        | {
            "name": name,
            "depth": depth,
            "runs": 5,
            "diverged": 0,
            "collapsed": 0,
            "training_flops": 100 * depth,
        }
        for depth in (1, *(row[0] for row in rows))
    )
    return cells, verdicts


BETTER = (4, "better", 0.031, 0.015, None)
WORSE = (8, "worse", -0.02, 0.01, None)
SAME = (2, "no difference", 0.001, 0.002, None)
OPEN = (8, "inconclusive", 0.01, 0.02, 30)


def told(*rows, **options):
    return finding("digits", "mlp", *judged(*rows, **options))


def test_a_verdict_is_told_with_its_matching_its_difference_and_its_interval():
    assert told(BETTER) == (
        "On digits, mlp at equal width: better than depth 1 at depth 4 (test accuracy +0.031 [+0.016, +0.046])."
    )
    assert "at equal training FLOPs" in told(BETTER, matching="flops")


def test_of_several_depths_the_largest_difference_is_told():
    assert told((2, "better", 0.01, 0.005, None), BETTER) == (
        "On digits, mlp at equal width: better than depth 1 at depths 2 and 4, most at depth 4 "
        "(test accuracy +0.031 [+0.016, +0.046])."
    )


def test_a_difference_that_was_found_and_is_smaller_than_the_margin_is_told_as_such():
    assert told((4, "better", 0.006, 0.005, None)).endswith(
        "(test accuracy +0.006 [+0.001, +0.011], below the margin of 0.01)."
    )


def test_every_kind_of_verdict_is_told_and_equal_is_never_said_of_the_undecided():
    said = told(SAME, BETTER, OPEN)
    assert said.endswith(
        "; no difference beyond 0.01 at depth 2; undecided at depth 8, where about 30 seeds might decide."
    )
    assert told(WORSE).endswith(
        "worse than depth 1 at depth 8 (test accuracy \N{MINUS SIGN}0.020 [\N{MINUS SIGN}0.030, \N{MINUS SIGN}0.010])."
    )
    assert told((8, "failed", math.nan, math.nan, None)).endswith("no run finished at depth 8.")
    assert told((8, "inconclusive", 0.01, math.nan, None)).endswith("undecided at depth 8.")


def test_runs_that_diverged_are_told_beside_the_verdict():
    cells, verdicts = judged(BETTER)
    cells.loc[1, "diverged"] = 2
    assert finding("digits", "mlp", cells, verdicts).endswith(" Diverged: 2 of 5 runs at depth 4.")


def test_runs_that_collapsed_are_told_beside_the_verdict():
    cells, verdicts = judged(BETTER)
    cells.loc[[0, 1], "collapsed"] = 2
    assert finding("digits", "mlp", cells, verdicts).endswith(
        " Collapsed towards chance: 2 of 5 runs at depth 1 and 2 of 5 runs at depth 4, so that ranks decide there."
    )


def test_one_depth_has_nothing_to_be_compared_with():
    cells, verdicts = judged(BETTER)
    assert "nothing to compare" in finding("digits", "mlp", cells, verdicts.iloc[:0])


def together(*tables):
    return tuple(pd.concat(of) for of in zip(*tables, strict=True))


def test_an_architecture_has_one_sentence_over_all_its_data_sets_and_what_is_open_comes_last():
    open_ = [judged(OPEN, SAME, data=data, name=f"{data}-mlp") for data in ("elnino", "sunspots")]
    cells, verdicts = together(*open_, judged(SAME, BETTER, OPEN), judged(WORSE, name="mlp-plain"))
    cells["name"] = [name.removeprefix("elnino-").removeprefix("sunspots-") for name in cells["name"]]
    assert architectures(cells, verdicts) == [
        (
            "mlp",
            "on digits better at equal width (depth 4: accuracy +0.031 [+0.016, +0.046]); on digits (mlp-plain) worse "
            "at equal width (depth 8: accuracy \N{MINUS SIGN}0.020 [\N{MINUS SIGN}0.030, \N{MINUS SIGN}0.010]); on "
            "elnino and sunspots undecided at equal width.",
        )
    ]


def under_both(wide, alike):
    """One entry under two matchings, as `summary` names its lines."""
    return together(
        *(
            (
                judged(*rows, matching=matching)[0].assign(name=f"mlp, equal {matching}"),
                judged(*rows, matching=matching)[1],
            )
            for matching, rows in (("parameters", alike), ("width", wide))
        )
    )


def test_what_depth_did_at_equal_width_and_at_equal_parameters_stands_side_by_side():
    said = dict(architectures(*under_both([BETTER], [SAME])))["mlp"]
    assert said == (
        "on digits better at equal width (depth 4: accuracy +0.031 [+0.016, +0.046]), no difference at equal "
        "parameters."
    )
    assert dict(architectures(*under_both([SAME], [SAME])))["mlp"] == (
        "on digits no difference at equal width and parameters."
    )
    mixed = dict(architectures(*under_both([BETTER, WORSE], [BETTER])))["mlp"]
    assert mixed.startswith("on digits better at equal width (depth 4: ")
    assert "] and parameters (depth 4: " not in mixed
    assert ") and parameters (depth 4: " in mixed
    assert ", worse at equal width (depth 8: " in mixed


def test_the_best_of_all_recipes_stands_beside_the_entry_that_its_group_is_named_after():
    cells, verdicts = together(judged(BETTER), judged(WORSE, name="mlp-plain"))
    _, best = judged(OPEN)
    assert dict(architectures(cells, verdicts, best))["mlp"].startswith(
        "on digits better at equal width (depth 4: accuracy +0.031 [+0.016, +0.046]), with the best recipe undecided "
        "at equal width; on digits (mlp-plain) worse at equal width (depth 8: "
    )


def test_a_depth_of_which_no_run_finished_is_told_in_the_sentence_of_its_architecture():
    failed = (8, "failed", math.nan, math.nan, None)
    assert (
        dict(architectures(*judged(failed)))["mlp"] == "on digits no run finished at equal width (depth 8)."
    )


def test_a_name_that_tells_its_matching_is_not_told_it_twice():
    cells, verdicts = judged(BETTER, name="mlp, equal training FLOPs", matching="flops")
    assert finding("digits", "mlp, equal training FLOPs", cells, verdicts).startswith(
        "On digits, mlp at equal training FLOPs:"
    )


def test_it_is_told_whether_verdicts_allow_for_other_test_examples_and_what_these_alone_would_decide():
    _, verdicts = judged(BETTER, WORSE, OPEN, (16, "inconclusive", -0.1, 0.2, None), SAME)
    assert other_examples(verdicts) == "For accuracy they allow for other seeds only."
    verdicts["sample_from"] = "answers"
    verdicts["verdict_seeds"] = ["better", "worse", "better", "inconclusive", "no difference"]
    assert other_examples(verdicts) == (
        "They allow for other seeds and for other test examples like these. On these very test examples 1 more "
        "comparison would be decided."
    )
    assert "like these (for some by its upper bound" in other_examples(verdicts.assign(sample_from="bound"))
    images = judged(SAME)[1].assign(score="kid")
    assert other_examples(pd.concat([verdicts, images])).endswith("For kid they allow for other seeds only.")


def test_scores_are_told_with_their_unit_and_their_direction():
    cells = pd.DataFrame({"score": ["mae", "accuracy", "mae"], "higher_is_better": [False, True, False]})
    assert scored(cells) == [
        "accuracy (share of right answers; higher is better)",
        "mae (mean absolute error in standard deviations of the training data, each variable and each series in its "
        "own; lower is better)",
    ]


def test_every_score_of_a_task_is_explained_and_has_a_chance():
    packages = {module.name for module in pkgutil.iter_modules(tasks.__path__)} - {"task"}
    for name in packages:
        importlib.import_module(f"howdeep.tasks.{name}")
    assert {
        task.score_name for task in Task.__subclasses__() if task.__module__.startswith("howdeep.")
    } == set(SCORES)
    assert set(SCORES) == {*TRIVIAL, OF_VARIANCE}


def test_seeds_are_told_entry_by_entry_where_they_differ():
    runs = pd.DataFrame(
        [(entry, seed) for entry, of in {"a": 2, "b": 2, "c": 3}.items() for seed in range(of)],
        columns=["entry", "seed"],
    )
    assert seeds(runs) == "c: 0 to 2; elsewhere: 0 and 1"
    assert seeds(runs.assign(seed=runs["seed"] * 2)) == "c: 0, 2 and 4; elsewhere: 0 and 2"
    assert seeds(runs.loc[runs["entry"] != "c"]) == "0 and 1"
    assert seed_counts(runs) == [2, 2, 3]


def test_shallow_won_where_depth_did_harm():
    assert shallow_won(*judged(BETTER, WORSE)) == [
        "digits, mlp: depth 8 was worse (accuracy \N{MINUS SIGN}0.020 [\N{MINUS SIGN}0.030, \N{MINUS SIGN}0.010])."
    ]
    assert shallow_won(*judged(SAME, OPEN)) == shallow_won(*judged(BETTER)) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0312, "+0.031"),
        (-0.00043, "\N{MINUS SIGN}0.0004"),
        (0.0, "+0.000"),
        (-4e-9, "+0.000"),
        (math.nan, "\N{EN DASH}"),
    ],
)
def test_a_difference_has_its_sign(value, text):
    assert signed(value) == text


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


def rows(table) -> list[list[str]]:
    return [[text.strip() for text in row.split("|")[1:-1]] for row in tables.markdown(table).splitlines()]


def test_the_table_has_a_row_a_cell_with_the_numbers_of_the_summary(records, test_scores):
    runs = scores(records, test_scores)
    cells = select(judge(summary(runs), verdicts(runs, NO_MARGINS)), task="forecasting")
    headings, rule, *body = rows(tables.cells_table(cells))
    assert headings[:5] == ["data", "architecture", "depth", "verdict", "difference"]
    assert headings[5:7] == ["overfitting gap", "test mae"]
    assert rule[:3] == ["---", "---", "---:"]
    assert [[*row[:3], row[-1]] for row in body] == [
        ["sunspots", "lstm", "1", "5"], ["sunspots", "lstm", "2", "5"],
        ["sunspots", "lstm", "4", "5"], ["sunspots", "lstm", "8", "4 of 5"],
    ]  # fmt: skip
    first, second = cells.iloc[0], cells.iloc[1]
    interval = f"[{first['test_score_low']:.3f}, {first['test_score_high']:.3f}]"
    assert body[0][3:5] == ["\N{EN DASH}", "\N{EN DASH}"]
    assert body[0][5:7] == [f"{first['gap_loss']:.3f}", f"{first['test_score']:.3f} {interval}"]
    assert body[1][3] == second["verdict"]
    assert body[1][4].startswith(signed(second["difference"]))
    assert body[0][-4:-1] == ["5,160", "30.6 k", "0 of 5"]


def test_seconds_stand_in_the_table_only_where_somebody_measured_them(records, test_scores):
    runs = scores(records, test_scores)
    cells = select(judge(summary(runs), verdicts(runs, NO_MARGINS)), task="forecasting")
    table = tables.cells_table(cells, {("sunspots-lstm", 1, "width"): 1.26})
    assert [row[-3].text for row in table.rows] == ["1.3", "\N{EN DASH}", "\N{EN DASH}", "\N{EN DASH}"]
    assert "seconds" in table.headings
    assert "seconds" not in tables.cells_table(cells).headings
    assert all(len(row) == len(table.headings) for row in table.rows)


def test_what_a_verdict_rests_on_stands_beside_it(records, test_scores):
    runs = scores(records, test_scores)
    found = select(verdicts(runs, NO_MARGINS, {"digits-mlp": 359}), entry="digits-mlp")
    table = tables.verdicts_table(found, {("digits-mlp", "width"): "mlp"})
    deep = dict(zip(table.headings, (text.text for text in table.rows[1]), strict=True))
    assert deep["depth"] == "4"
    assert deep["p (signed rank)"].endswith("(least 0.062)")
    row = found.iloc[1]
    interval = f"{row['verdict_seeds']}, [{signed(row['low_seeds'])}, {signed(row['high_seeds'])}]"
    assert deep["on these examples"] == f"{interval}, the error of others an upper bound"
    assert deep["probability of improvement"].startswith(f"{row['improvement']:.3f} [")
    assert deep["pairs"] == "5"
    lost = select(verdicts(runs, NO_MARGINS), entry="sunspots-lstm", depth=8)
    [row] = tables.verdicts_table(lost, {("sunspots-lstm", "width"): "lstm"}).rows
    assert [row[6].text, row[7].text.split(", ")[1]] == ["4, 1 failed", "rank sum test"]


def test_the_gaps_table_has_the_gap_in_its_views(records, test_scores):
    cells = select(summary(scores(records, test_scores)), entry="digits-mlp")
    table = tables.gaps_table(cells)
    assert len(table.headings) == len(table.rows[0]) == 11
    assert table.rows[0][3].by == cells["gap_loss"].iloc[0]


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
    runs = scores([make_record("digits", "gan", 1, 0)], {"runs": {}})
    table = tables.cells_table(judge(summary(runs), verdicts(runs, NO_MARGINS)))
    assert [name for name in table.headings if "ratio" in name] == [
        "gradient ratio, discriminator", "gradient ratio, generator",
    ]  # fmt: skip
    assert all(len(row) == len(table.headings) for row in table.rows)
