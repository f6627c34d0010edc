"""Verdicts, against studies whose answer is known."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from howdeep.errors import UserError
from howdeep.results.measures import NO_MARGINS
from howdeep.results.sample_error import accuracy_difference_error, crossed, widened
from howdeep.results.scores import scores, select
from howdeep.results.statistics import Interval, Paired, chance_to_repeat, mean_interval
from howdeep.results.verdict import decide, verdicts

SEEDS = 10
NOISE = np.random.RandomState(0).normal(0, 0.002, (4, SEEDS))
BASELINES = {"runs": {}, "baselines": {}}


def study(make_record, levels, *, model="mlp", data="digits", lost=(), **changes) -> list[dict]:
    """Records whose scores are `levels` by depth and a little noise; runs named in `lost`, (depth, seed), diverged."""
    records = []
    for rank, (depth, level) in enumerate(levels.items()):
        for seed in range(SEEDS):
            record = make_record(data, model, 1, seed, diverged=(depth, seed) in lost, **changes)
            record |= {"depth": depth, "key": f"{record['entry']}-{depth}-{seed}"}
            record["score_is"] = level + NOISE[rank, seed]
            records.append(record)
    return records


def scored(records) -> dict:
    finished = [record for record in records if record["state"] == "finished"]
    return BASELINES | {
        "runs": {r["key"]: {"loss": 0.1, r["score"]["name"]: r["score_is"]} for r in finished}
    }


def judge(records, margins=None, **options):
    found = verdicts(scores(records, scored(records)), margins or NO_MARGINS, **options)
    return {depth: row for depth, row in zip(found["depth"], found.to_dict("records"), strict=True)}


def test_a_clear_difference_is_found_in_its_direction_and_a_small_one_lies_within_the_margin(make_record):
    found = judge(study(make_record, {1: 0.9, 2: 0.95, 4: 0.9, 8: 0.8}), {"accuracy": 0.01})
    assert {depth: row["verdict"] for depth, row in found.items()} == {
        2: "better", 4: "no difference", 8: "worse",
    }  # fmt: skip
    assert found[2]["difference"] == pytest.approx(0.05, abs=0.005)
    assert found[2]["low"] < found[2]["difference"] < found[2]["high"]


def test_of_an_error_the_lower_is_better_and_the_interval_keeps_the_scores_unit(make_record):
    found = judge(study(make_record, {1: 0.3, 2: 0.2, 4: 0.4}, model="lstm", data="sunspots"))
    assert (found[2]["verdict"], found[4]["verdict"]) == ("better", "worse")
    assert -0.11 < found[2]["low"] < found[2]["high"] < -0.09
    assert found[2]["effect"] > 0 > found[4]["effect"]
    assert (found[2]["improvement"], found[4]["improvement"]) == (1, 0)


def test_without_a_margin_nothing_is_ever_equal(make_record):
    found = judge(study(make_record, {1: 0.9, 2: 0.9}))
    assert found[2]["verdict"] == "inconclusive"
    assert found[2]["margin"] == 0


def test_an_inconclusive_verdict_says_how_many_seeds_would_be_needed_and_no_other_does(make_record):
    found = judge(study(make_record, {1: 0.9, 2: 0.9003, 4: 0.95}))
    assert found[2]["seeds_needed"] > SEEDS
    assert pd.isna(found[4]["seeds_needed"])


def test_the_family_is_the_depths_of_one_entry_and_no_other(make_record):
    one = study(make_record, {1: 0.9, 2: 0.903})
    others = study(make_record, {1: 0.9, 2: 0.9, 4: 0.9}, entry="digits-mlp-plain")
    alone, together = (verdicts(scores(r, scored(r)), NO_MARGINS) for r in (one, [*one, *others]))
    own = select(together, entry="digits-mlp").reset_index(drop=True)
    assert own.drop(columns="p_study").equals(alone.drop(columns="p_study"))
    assert alone["p_holm"].tolist() == alone["p"].tolist()


def test_matchings_are_never_mixed(make_record):
    records = [
        record
        for matching in ("width", "parameters")
        for record in study(make_record, {1: 0.9, 2: 0.95}, matching=matching)
    ]
    found = verdicts(scores(records, scored(records)), NO_MARGINS)
    assert found["matching"].tolist() == ["parameters", "width"]
    assert found["pairs"].tolist() == [SEEDS, SEEDS]


def test_a_depth_of_which_no_run_finished_has_failed(make_record):
    lost = [(8, seed) for seed in range(SEEDS)]
    found = judge(study(make_record, {1: 0.9, 8: 0.99}, lost=lost))
    assert (found[8]["verdict"], found[8]["failed"]) == ("failed", SEEDS)


def test_runs_that_diverged_count_against_a_depth_however_good_the_others_are(make_record):
    levels, lost = {1: 0.9, 8: 0.99}, [(8, seed) for seed in range(4)]
    assert judge(study(make_record, levels))[8]["verdict"] == "better"
    row = judge(study(make_record, levels, lost=lost), {"accuracy": 0.5})[8]
    assert (row["verdict"], row["test"], row["failed"]) == ("inconclusive", "signed rank", 4)
    most = judge(study(make_record, levels, lost=[(8, seed) for seed in range(9)]))[8]
    assert most["verdict"] == "worse"  # nine of ten pairs lost: p = .004
    five = [
        record
        for record in study(make_record, levels, lost=[(8, seed) for seed in range(4)])
        if record["seed"] < 5
    ]
    assert (judge(five)[8]["test"], judge(five)[8]["verdict"]) == ("rank sum", "inconclusive")
    assert judge(five)[8]["least_p"] == pytest.approx(2 / 252)


CHANCE = {"digits": {"majority": {part: {"loss": 2.3, "accuracy": 0.1} for part in ("val", "test")}}}


def collapsing(make_record, levels, fell, margin=0.0) -> dict:
    """The row of depth 8 where the runs named in `fell`, (depth, seed), end at chance."""
    records = study(make_record, levels)
    for record in records:
        if (record["depth"], record["seed"]) in fell:
            record["score_is"] = 0.1
    test = scored(records) | {"baselines": CHANCE}
    return verdicts(scores(records, test), {"accuracy": margin}).to_dict("records")[-1]


def test_where_runs_collapsed_ranks_decide_and_the_mean_keeps_its_interval(make_record):
    row = collapsing(make_record, {1: 0.95, 8: 0.9}, [(8, 3)])
    assert (row["verdict"], row["test"], row["collapsed"], row["collapsed_shallow"]) == (
        "worse",
        "signed rank",
        1,
        0,
    )
    assert row["low"] < row["difference"] < -0.1 < row["typical"] < 0 < row["high"]
    assert row["p"] == 2 / 2**10
    whole = collapsing(make_record, {1: 0.95, 8: 0.9}, [])
    assert (whole["verdict"], whole["test"], whole["collapsed"]) == ("worse", "t", 0)


def test_a_deeper_network_that_is_better_unless_it_collapses_is_not_called_better(make_record):
    assert collapsing(make_record, {1: 0.9, 8: 0.95}, [])["verdict"] == "better"
    assert collapsing(make_record, {1: 0.9, 8: 0.95}, [(8, 0)])["verdict"] == "inconclusive"
    assert collapsing(make_record, {1: 0.9, 8: 0.95}, [(1, 0)])["verdict"] == "better"


def test_a_run_that_collapsed_is_a_difference_however_wide_the_margin(make_record):
    levels = {1: 0.9, 8: 0.9}
    assert collapsing(make_record, levels, [], margin=0.5)["verdict"] == "no difference"
    assert collapsing(make_record, levels, [(8, 0)], margin=0.5)["verdict"] == "inconclusive"


def test_a_shallow_run_that_diverged_counts_for_the_deeper(make_record):
    row = judge(study(make_record, {1: 0.9, 2: 0.95}, lost=[(1, 0)]))[2]
    assert (row["verdict"], row["test"], row["failed_shallow"]) == ("better", "signed rank", 1)


def test_seeds_that_only_some_depths_were_run_with_are_left_out_not_counted_as_failed(make_record):
    records = study(make_record, {1: 0.9, 2: 0.95})
    row = judge([record for record in records if (record["depth"], record["seed"]) != (2, 3)])[2]
    assert (row["pairs"], row["failed"]) == (SEEDS - 1, 0)


def test_two_seeds_decide_nothing_however_clear_they_look(make_record):
    records = [record for record in study(make_record, {1: 0.5, 2: 0.9}) if record["seed"] < 2]
    row = judge(records)[2]
    assert row["p"] < 0.01
    assert row["verdict"] == "inconclusive"
    assert judge([r for r in study(make_record, {1: 0.5, 2: 0.9}) if r["seed"] < 3])[2]["verdict"] == "better"


def test_the_shallowest_depth_of_the_study_is_what_the_others_are_compared_with(make_record):
    assert judge(study(make_record, {2: 0.9, 4: 0.95}))[4]["against"] == 2
    assert judge(study(make_record, {4: 0.9})) == {}


def test_before_anything_is_tested_the_validation_scores_are_judged(make_record):
    records = study(make_record, {1: 0.9, 2: 0.95})
    assert set(verdicts(scores(records, BASELINES), NO_MARGINS)["on"]) == {"val"}
    assert judge(records)[2]["on"] == "test"


def test_without_answers_the_largest_error_of_the_test_sample_widens_the_interval_of_an_accuracy(make_record):
    records = study(make_record, {1: 0.9, 2: 0.95})
    few, many = (judge(records, examples={"digits-mlp": n})[2] for n in (100, 10_000))
    first, second = (float(np.mean([r["score_is"] for r in records if r["depth"] == d])) for d in (1, 2))
    seeds = Interval(few["difference"], few["low_seeds"], few["high_seeds"])
    error = accuracy_difference_error(first, second, 100)
    assert (few["low"], few["high"]) == pytest.approx(widened(seeds, error)[1:])
    assert (few["sample_from"], few["sample_error"]) == ("bound", pytest.approx(error))
    assert (few["verdict"], many["verdict"]) == ("inconclusive", "better")
    assert few["verdict_seeds"] == many["verdict_seeds"] == "better"
    assert pd.isna(few["seeds_needed"])  # more test examples are


def answered(make_record, chances, *, alike: float, examples=200, lost=()):
    """Records and answers: each depth is right on an example with its chance; a share of examples is alike to all.

    Those alike are right or wrong for every depth and seed, so that they tell nothing of depth.
    """
    random = np.random.RandomState(0)
    records = study(make_record, chances, lost=lost)
    answers = {"digits-mlp/label": np.zeros(examples, dtype=np.int16)}
    shared = random.uniform(size=examples)
    easy = random.uniform(size=examples) < alike
    for record in records:
        own = np.where(easy, shared, random.uniform(size=examples)) < chances[record["depth"]]
        record["score_is"] = float(own.mean())
        if record["state"] == "finished":
            answers[f"{record['key']}/predicted"] = np.where(own, 0, 1).astype(np.int16)
    return records, answers


def test_with_answers_the_test_samples_error_is_paired_on_the_examples(make_record):
    records, answers = answered(make_record, {1: 0.7, 2: 0.8}, alike=0.5)
    row = judge(records, examples={"digits-mlp": 200}, answers=answers)[2]
    right = np.array([answers[f"{record['key']}/predicted"] == 0 for record in records], dtype=float)
    found = crossed(right[SEEDS:] - right[:SEEDS])
    assert row["difference"] == pytest.approx(right[SEEDS:].mean() - right[:SEEDS].mean())
    assert (row["sample_from"], row["sample_error"]) == ("answers", pytest.approx(found.added))
    seeds = Interval(row["difference"], row["low_seeds"], row["high_seeds"])
    assert (row["low"], row["high"]) == pytest.approx(widened(seeds, found.added)[1:])
    bound = judge(records, examples={"digits-mlp": 200})[2]
    assert row["sample_error"] < bound["sample_error"]
    assert bound["verdict"] == row["verdict"] == "better"


def flipped(make_record, *, gained: int, lost: int, examples: int):
    """Every seed of the deeper network gains and loses the same examples; odd seeds err once more, for some spread."""
    records = study(make_record, {1: 0.0, 2: 0.0})
    answers = {"digits-mlp/label": np.zeros(examples, dtype=np.int16)}
    for record in records:
        wrong = np.zeros(examples, dtype=np.int16)
        if record["depth"] == 1:
            wrong[:gained] = 1
        else:
            wrong[gained : gained + lost] = 1
            wrong[-1] = record["seed"] % 2
        answers[f"{record['key']}/predicted"] = wrong
        record["score_is"] = float((wrong == 0).mean())
    return records, answers


def test_seeds_that_agree_show_nothing_of_other_test_examples_if_few_examples_make_the_difference(
    make_record,
):
    few, many = (flipped(make_record, gained=9 * n, lost=2 * n, examples=400 * n) for n in (1, 10))
    told = [judge(records, {"accuracy": 0.001}, answers=answers)[2] for records, answers in (few, many)]
    assert [row["verdict_seeds"] for row in told] == ["better", "better"]
    assert [row["verdict"] for row in told] == ["inconclusive", "better"]


def test_no_difference_may_be_shown_over_seeds_and_not_for_other_test_examples(make_record):
    records, answers = flipped(make_record, gained=3, lost=2, examples=400)
    narrow, wide = (judge(records, {"accuracy": margin}, answers=answers)[2] for margin in (0.005, 0.02))
    assert (narrow["verdict_seeds"], narrow["verdict"]) == ("no difference", "inconclusive")
    assert (wide["verdict_seeds"], wide["verdict"]) == ("no difference", "no difference")


def test_one_test_example_that_every_seed_gains_is_no_finding(make_record):
    records, answers = flipped(make_record, gained=1, lost=0, examples=36)
    for record in records:  # without any spread: each seed gains that very example
        wrong = np.zeros(36, dtype=np.int16)
        wrong[0] = record["depth"] == 1
        answers[f"{record['key']}/predicted"], record["score_is"] = wrong, float((wrong == 0).mean())
    row = judge(records, answers=answers)[2]
    assert (row["test"], row["verdict_seeds"], row["verdict"]) == ("sign", "better", "inconclusive")
    # Of one example of 36 the standard error is sqrt((1 / 36) (35 / 36) / 35) = 1 / 36: p = 2 Φ(-1).
    assert row["p"] == pytest.approx(2 * stats.norm.sf(1))
    assert row["low"] < 0 < row["high"]


def test_scores_of_single_examples_give_any_score_its_test_samples_error(make_record):
    records = study(make_record, {1: 0.3, 2: 0.28}, model="lstm", data="sunspots")
    random, n = np.random.RandomState(3), 80
    hard = random.exponential(0.3, n)
    answers = {}
    for record in records:
        own = hard * (1 if record["depth"] == 1 else 0.9) + random.normal(0, 0.01, n)
        answers[f"{record['key']}/score"], record["score_is"] = own.astype(np.float32), float(own.mean())
    row = judge(records, answers=answers)[2]
    values = np.array([answers[f"{record['key']}/score"] for record in records], dtype=np.float64)
    assert row["sample_error"] == pytest.approx(crossed(values[SEEDS:] - values[:SEEDS]).added)
    assert (row["sample_from"], row["verdict"]) == ("answers", "better")
    slow = np.sort(hard)  # neighbours err alike
    for record in records:
        answers[f"{record['key']}/score"] = slow * (1 if record["depth"] == 1 else 0.9) + random.normal(
            0, 0.01, n
        )
    alone, together = (judge(records, answers=answers, in_time=of)[2] for of in ((), ("sunspots-lstm",)))
    assert together["sample_error"] > 2 * alone["sample_error"]
    del answers[f"{records[0]['key']}/score"]
    with pytest.raises(UserError, match="lacks a score for each test example of a run of sunspots-lstm"):
        judge(records, answers=answers)


def test_of_a_whole_study_the_share_of_false_findings_is_told_beside_holms_p(make_record):
    both = [
        record
        for entry, levels in (("digits-mlp", {1: 0.9, 2: 0.902}), ("digits-mlp-plain", {1: 0.9, 2: 0.9001}))
        for record in study(make_record, levels, entry=entry)
    ]
    found = verdicts(scores(both, scored(both)), NO_MARGINS)
    assert found["p_study"].tolist() == pytest.approx(multipletests(found["p"], method="fdr_bh")[1])


def test_better_and_worse_have_a_chance_to_repeat_and_nothing_else(make_record):
    found = judge(study(make_record, {1: 0.9, 2: 0.9, 4: 0.95}), {"accuracy": 0.01})
    assert (found[2]["verdict"], found[4]["verdict"]) == ("no difference", "better")
    assert found[4]["chance_to_repeat"] == chance_to_repeat(found[4]["p_holm"]) > 0.5
    assert np.isnan(found[2]["chance_to_repeat"])


def test_a_run_that_diverged_takes_the_test_samples_error_from_its_depth_alone(make_record):
    records, answers = answered(make_record, {1: 0.5, 2: 0.8, 4: 0.9}, alike=0.0, lost=[(4, 0)])
    found = judge(records, examples={"digits-mlp": 200}, answers=answers)
    assert (found[2]["verdict"], found[2]["sample_from"]) == ("better", "answers")
    assert (found[4]["test"], found[4]["sample_from"]) == ("signed rank", "")
    assert np.isnan([found[4]["sample_error"], found[4]["low"]]).all()
    assert found[4]["p_holm"] == pytest.approx(
        2 * found[4]["p"] if found[4]["p"] < found[2]["p"] else found[4]["p"]
    )


def test_answers_that_lack_a_run_are_refused(make_record):
    records, answers = answered(make_record, {1: 0.5, 2: 0.8}, alike=0.0)
    del answers[f"{records[0]['key']}/predicted"]
    with pytest.raises(
        UserError, match=f"answers.safetensors lacks the run {records[0]['key']} of digits-mlp"
    ):
        judge(records, answers=answers)


def test_where_the_test_samples_error_is_not_known_nothing_is_said_of_it(make_record):
    row = judge(
        study(make_record, {1: 0.3, 2: 0.2}, model="lstm", data="sunspots"), examples={"sunspots-lstm": 9}
    )[2]
    assert np.isnan(row["sample_error"])
    assert (row["sample_from"], row["verdict"]) == ("", row["verdict_seeds"])
    assert (row["low"], row["high"], row["p_holm"]) == pytest.approx(
        (row["low_seeds"], row["high_seeds"], row["p_seeds"])
    )


def test_where_seeds_drew_splits_the_spread_holds_the_sample_and_nothing_is_added_from_single_examples(
    make_record,
):
    records, answers = answered(make_record, {1: 0.7, 2: 0.8}, alike=0.5)
    values = np.array([[r["score_is"] for r in records if r["depth"] == depth] for depth in (1, 2)])
    differences = values[1] - values[0]
    fixed = judge(records, answers=answers)[2]
    drawn = judge(records, answers=answers, overlap={"digits-mlp": 0.25})[2]
    error = differences.std(ddof=1) * np.sqrt(1 / SEEDS + 0.25)
    assert (drawn["low"], drawn["high"]) == pytest.approx(
        stats.t.interval(0.95, SEEDS - 1, differences.mean(), error)
    )
    assert drawn["sample_from"] == "splits"
    assert drawn["sample_error"] == pytest.approx(differences.std(ddof=1) / 2)
    assert (drawn["low_seeds"], drawn["high_seeds"]) == (fixed["low_seeds"], fixed["high_seeds"])


def test_entries_may_have_different_seeds_and_each_is_judged_by_its_own(make_record):
    """Ten seeds of one entry, three others of another: each as if it were alone."""
    ten = study(make_record, {1: 0.9, 2: 0.95})
    three = [
        r | {"seed": r["seed"] + 20}
        for r in study(make_record, {1: 0.9, 2: 0.95}, entry="other")
        if r["seed"] < 3
    ]
    together = verdicts(scores([*ten, *three], scored([*ten, *three])), NO_MARGINS)
    assert together["pairs"].tolist() == [10, 3]
    for records in (ten, three):
        alone = verdicts(scores(records, scored(records)), NO_MARGINS)
        own = select(together, entry=records[0]["entry"]).reset_index(drop=True)
        assert own.drop(columns="p_study").equals(alone.drop(columns="p_study"))


def test_the_interval_of_one_comparison_is_students(make_record):
    records = study(make_record, {1: 0.9, 2: 0.95})
    row = judge(records)[2]
    by_depth = {d: np.array([r["score_is"] for r in records if r["depth"] == d]) for d in (1, 2)}
    expected = mean_interval(by_depth[2] - by_depth[1])
    assert (row["difference"], row["low"], row["high"]) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("interval", "adjusted", "verdict"),
    [
        ((0.05, 0.02, 0.08), 0.001, "better"),
        ((-0.05, -0.08, -0.02), 0.001, "worse"),
        ((0.005, 0.001, 0.009), 0.001, "no difference"),  # found, but too small to matter
        ((0.005, -0.001, 0.011), 0.2, "inconclusive"),
        ((0.0, -0.01, 0.01), 1.0, "no difference"),
    ],
)
def test_the_margin_comes_before_the_test(interval, adjusted, verdict):
    pair = Paired(
        pairs=5, failed=0, failed_shallow=0, difference=Interval(*interval), typical=interval[0], spread=0.01,
        p=adjusted, adjusted=adjusted, test="t", sign=int(np.sign(interval[0])), wilcoxon=0.1, least_wilcoxon=0.06,
        effect=1.0, improvement=0.9, improvement_low=0.6, improvement_high=1.0, least=0.0,
    )  # fmt: skip
    assert decide(pair, 0.01, seeds=5) == verdict
