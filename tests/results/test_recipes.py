"""Best shallow against best deep, on studies whose best recipe is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from howdeep.results.measures import NO_MARGINS
from howdeep.results.recipes import best_of_recipes, best_runs
from howdeep.results.scores import scores
from howdeep.results.verdict import verdicts
from tests.results.test_verdict import SEEDS, answered, scored, study

FULL, PLAIN = "digits-mlp", "digits-mlp-plain"
GROUPS = {FULL: [FULL, PLAIN]}


def validating(records: list[dict], levels: dict[int, float]) -> list[dict]:
    """The same with these validation scores by depth."""
    for record in records:
        for epoch in record["epochs"]:
            epoch["val/accuracy"] = levels[record["depth"]]
    return records


def both(make_record, full, plain, *, lost=()) -> list[dict]:
    """Records of two recipes: (validation scores by depth, test scores by depth) of each."""
    return [
        *validating(study(make_record, full[1], lost=lost), full[0]),
        *validating(study(make_record, plain[1], entry=PLAIN), plain[0]),
    ]


def judge(records, groups=GROUPS, margins=None, **options):
    return best_of_recipes(scores(records, scored(records)), groups, margins or NO_MARGINS, **options)


def frame(*rows, higher=True, entries=(FULL, PLAIN)) -> pd.DataFrame:
    """(entry, depth, seed, validation score, validation loss)."""
    columns = ["entry", "depth", "seed", "val_score", "val_loss"]
    found = pd.DataFrame(rows, columns=columns).assign(higher_is_better=higher)
    return best_runs(found, entries)


def test_every_depth_and_seed_takes_the_recipe_that_validated_best():
    rows = [(FULL, 1, 0, 0.7, 1), (PLAIN, 1, 0, 0.8, 2), (FULL, 1, 1, 0.9, 1), (PLAIN, 1, 1, 0.8, 2)]
    assert frame(*rows)["recipe"].tolist() == [PLAIN, FULL]
    assert frame(*rows, higher=False)["recipe"].tolist() == [FULL, PLAIN]


def test_of_equal_scores_the_lower_loss_decides_and_then_the_order_of_the_recipes():
    rows = [(PLAIN, 1, 0, 0.8, 1.0), (FULL, 1, 0, 0.8, 2.0), (PLAIN, 1, 1, 0.8, 1.0), (FULL, 1, 1, 0.8, 1.0)]
    assert frame(*rows)["recipe"].tolist() == [PLAIN, FULL]


def test_a_diverged_run_is_taken_only_where_all_recipes_diverged():
    nan = np.nan
    rows = [(FULL, 1, 0, nan, nan), (PLAIN, 1, 0, 0.1, 9), (FULL, 1, 1, nan, nan), (PLAIN, 1, 1, nan, nan)]
    assert frame(*rows)["val_score"].tolist()[0] == 0.1
    assert np.isnan(frame(*rows)["val_score"].tolist()[1])


def test_depths_and_seeds_that_a_recipe_lacks_are_left_out_for_all_have_as_many_to_choose_from():
    rows = [(FULL, 1, 0, 0.8, 1), (FULL, 2, 0, 0.8, 1), (FULL, 1, 1, 0.8, 1), (PLAIN, 1, 0, 0.7, 1)]
    assert frame(*rows)[["depth", "seed"]].to_numpy().tolist() == [[1, 0]]


def test_a_gain_of_depth_that_a_better_shallow_recipe_has_too_is_none(make_record):
    records = both(
        make_record,
        ({1: 0.80, 4: 0.95}, {1: 0.80, 4: 0.95}),
        ({1: 0.96, 4: 0.70}, {1: 0.95, 4: 0.70}),
    )
    alone = verdicts(scores(records, scored(records)), {"accuracy": 0.01})
    assert alone["verdict"].tolist() == ["better", "worse"]
    [row] = judge(records, margins={"accuracy": 0.01}).verdicts.to_dict("records")
    assert row["verdict"] == "no difference"
    assert (row["chosen_shallow"], row["chosen"]) == (f"{PLAIN} {SEEDS}", f"{FULL} {SEEDS}")
    assert row["recipes"] == f"{FULL}, {PLAIN}"


def test_the_test_is_students_of_the_chosen_runs_and_the_test_scores_have_no_say(make_record):
    # The recipe that validates worse at depth 4 has the better test scores.
    records = both(make_record, ({1: 0.9, 4: 0.9}, {1: 0.80, 4: 0.82}), ({1: 0.7, 4: 0.8}, {1: 0.5, 4: 0.99}))
    taken = {
        depth: [r["score_is"] for r in records if (r["entry"], r["depth"]) == (FULL, depth)]
        for depth in (1, 4)
    }
    [row] = judge(records).verdicts.to_dict("records")
    assert row["p"] == pytest.approx(stats.ttest_rel(taken[4], taken[1]).pvalue)
    assert row["difference"] == pytest.approx(np.mean(taken[4]) - np.mean(taken[1]))


def test_a_depth_of_which_another_recipe_finished_has_not_failed(make_record):
    lost = [(4, seed) for seed in range(SEEDS)]
    records = both(
        make_record, ({1: 0.9, 4: 0.9}, {1: 0.8, 4: 0.8}), ({1: 0.7, 4: 0.7}, {1: 0.7, 4: 0.9}), lost=lost
    )
    found = judge(records)
    [row] = found.verdicts.to_dict("records")
    assert (row["failed"], row["verdict"], row["chosen"]) == (0, "better", f"{PLAIN} {SEEDS}")
    assert found.cells["diverged"].tolist() == [0, 0]


def test_the_luck_of_a_choice_is_in_the_interval(make_record):
    """Two recipes that validate alike and test .06 apart: each seed takes one of them by chance."""
    records = both(make_record, ({1: 0.9, 4: 0.9},) * 2, ({1: 0.8, 4: 0.9}, {1: 0.8, 4: 0.96}))
    for record in records:
        for epoch in record["epochs"]:
            epoch["val/accuracy"] += 0.01 * (record["entry"] == PLAIN and record["seed"] % 2)
    [by_chance] = judge(records).verdicts.to_dict("records")
    [fixed] = judge(validating(records, {1: 0.9, 4: 0.9})).verdicts.to_dict("records")
    width = [row["high"] - row["low"] for row in (by_chance, fixed)]
    assert by_chance["chosen"] == f"{FULL} 5, {PLAIN} 5"
    assert width[0] > 3 * width[1]


def test_the_test_samples_error_is_that_of_the_chosen_runs(make_record):
    records, answers = answered(make_record, {1: 0.7, 4: 0.8}, alike=0.5)
    others = [
        {
            **record,
            "entry": PLAIN,
            "key": f"plain-{record['key']}",
            "epochs": [dict(e) for e in record["epochs"]],
        }
        for record in records
    ]
    validating(others, {1: 0.0, 4: 0.0})
    answers = {**answers, f"{PLAIN}/label": answers[f"{FULL}/label"]}
    answers |= {
        f"{r['key']}/predicted": 1 - answers[f"{r['key'].removeprefix('plain-')}/predicted"] for r in others
    }
    alone = verdicts(scores(records, scored(records)), NO_MARGINS, answers=answers)
    [row] = judge([*records, *others], answers=answers).verdicts.to_dict("records")
    assert row["sample_from"] == "answers"
    assert row["sample_error"] == pytest.approx(alone["sample_error"].iloc[0])


def test_a_matching_that_one_recipe_alone_has_is_no_choice(make_record):
    levels = {1: 0.8, 2: 0.9}
    records = [
        *study(make_record, levels),
        *study(make_record, levels, entry=PLAIN),
        *({**r, "key": f"p{r['key']}"} for r in study(make_record, levels, matching="parameters")),
    ]
    assert judge(records).verdicts["matching"].tolist() == ["width"]
    assert judge(study(make_record, levels)).verdicts.empty
    assert judge(records, groups={}).cells.empty


def test_before_anything_is_tested_nothing_is_compared_for_validation_chose(make_record):
    records = both(make_record, *(({1: 0.8, 4: 0.9}, {1: 0.8, 4: 0.9}),) * 2)
    assert best_of_recipes(scores(records, {"runs": {}}), GROUPS, NO_MARGINS).verdicts.empty
