"""Each cell against the best simple method, on studies whose answer is known."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from howdeep.results.baselines import against_baselines
from howdeep.results.measures import NO_MARGINS
from howdeep.results.sample_error import crossed
from howdeep.results.scores import scores
from howdeep.results.statistics import holm
from tests.results.test_verdict import SEEDS, answered, scored, study

METHODS = {
    "digits": {
        "majority": {"val": {"accuracy": 0.1}, "test": {"accuracy": 0.1}},
        "neighbour": {"val": {"accuracy": 0.9}, "test": {"accuracy": 0.9}},
        "lucky": {"val": {"accuracy": 0.5}, "test": {"accuracy": 0.99}},
    }
}


def judge(records, methods=METHODS, margins=None, **options):
    found = against_baselines(scores(records, scored(records)), methods, margins or NO_MARGINS, **options)
    return {row["depth"]: row for row in found.to_dict("records")}


def test_the_method_is_chosen_by_validation_and_every_depth_is_compared_with_it(make_record):
    found = judge(study(make_record, {1: 0.95, 2: 0.9, 4: 0.8}), margins={"accuracy": 0.01})
    assert {row["method"] for row in found.values()} == {"neighbour"}
    assert [row["verdict"] for row in found.values()] == ["better", "no difference", "worse"]
    assert found[1]["difference"] == pytest.approx(0.05, abs=0.003)


def test_the_test_is_students_of_the_runs_against_the_methods_score(make_record):
    records = study(make_record, {1: 0.905, 2: 0.9})
    found = judge(records)
    values = {depth: [r["score_is"] for r in records if r["depth"] == depth] for depth in (1, 2)}
    tests: list[Any] = [stats.ttest_1samp(of, 0.9) for of in values.values()]
    p = [test.pvalue for test in tests]
    assert [row["p"] for row in found.values()] == pytest.approx(p)
    assert [row["p_holm"] for row in found.values()] == pytest.approx(holm(p).tolist())


def test_where_answers_of_both_are_known_the_test_samples_error_is_paired_on_the_examples(make_record):
    records, answers = answered(make_record, {1: 0.7, 2: 0.8}, alike=0.5)
    answers: dict[str, np.ndarray] = dict(answers)
    single = (np.random.RandomState(9).uniform(size=200) < 0.75).astype(np.float32)
    answers["digits/classification/neighbour/score"] = single
    methods = {
        "digits": {"neighbour": {part: {"accuracy": float(single.mean())} for part in ("val", "test")}}
    }
    found = judge(records, methods, answers=answers)
    right = np.array([answers[f"{record['key']}/predicted"] == 0 for record in records[:SEEDS]], dtype=float)
    assert found[1]["sample_error"] == pytest.approx(crossed(right - single).added)
    alone = judge(records, methods)
    assert np.isnan(alone[1]["sample_error"])
    assert found[1]["low"] < alone[1]["low"] < alone[1]["high"] < found[1]["high"]


def test_a_study_without_methods_has_no_such_table(make_record):
    assert judge(study(make_record, {1: 0.9, 2: 0.95}), {}) == {}


def test_of_an_error_the_method_with_the_lowest_is_the_best(make_record):
    records = study(make_record, {1: 0.3, 2: 0.2}, model="lstm", data="sunspots")
    methods = {
        "sunspots": {n: {p: {"mae": e} for p in ("val", "test")} for n, e in (("a", 0.25), ("b", 0.9))}
    }
    found = judge(records, methods)
    assert [(row["method"], row["verdict"]) for row in found.values()] == [("a", "worse"), ("a", "better")]


def test_where_seeds_drew_splits_a_method_is_paired_with_the_network_on_each(make_record):
    """Whatever makes a split hard is hard for both: paired, they differ by .01 and the runs' own noise."""
    records = study(make_record, {1: 0.9, 2: 0.9})
    hard = np.linspace(0, 0.05, SEEDS)
    for record in records:
        record["score_is"] -= hard[record["seed"]]
    splits = {
        str(seed): {part: {"accuracy": 0.89 - hard[seed]} for part in ("val", "test")}
        for seed in range(SEEDS)
    }
    mean = {part: {"accuracy": 0.89 - hard.mean()} for part in ("val", "test")}
    methods = {"digits": {"neighbour": mean | {"splits": splits}}}
    found = judge(records, methods, overlap={"digits-mlp": 1 / 3})
    differences = [r["score_is"] - 0.89 + hard[r["seed"]] for r in records if r["depth"] == 1]
    t = np.mean(differences) / (np.std(differences, ddof=1) * np.sqrt(1 / SEEDS + 1 / 3))
    assert found[1]["p"] == pytest.approx(2 * stats.t.sf(t, SEEDS - 1))
    assert found[1]["method_score"] == pytest.approx(0.89 - hard.mean())
    assert found[1]["verdict"] == "better"
    unpaired = judge(records, {"digits": {"neighbour": mean}})
    assert unpaired[1]["p"] > 10 * found[1]["p"]
