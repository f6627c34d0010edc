"""Learning curves: which entries are points, what they show, and that they count nowhere else."""

import math
import re

import numpy as np
import pytest
from scipy import stats

from howdeep.report import protocol
from howdeep.report.analysis import analyse
from howdeep.report.learning import growth
from howdeep.report.packing import unpacked
from howdeep.report.page import page
from howdeep.report.report import comparison
from howdeep.results.sample_error import crossed, widened
from howdeep.results.scores import scores, select
from howdeep.results.statistics import Interval

SIZES = {"digits-mlp-100": 100, "digits-mlp-300": 300, "digits-mlp": 1078}
CURVES = {"digits-mlp": ["digits-mlp-300", "digits-mlp-100"]}
DEPTHS, SEEDS = (1, 2, 8), range(5)


def level(size: int, depth: int) -> float:
    """Deep loses on few examples and wins on many; depth 2 is as good as depth 1 on any number."""
    deep = {100: -0.1, 300: -0.02, 1078: 0.04}[size] if depth == 8 else 0.0
    return {100: 0.7, 300: 0.8, 1078: 0.9}[size] + deep


@pytest.fixture(scope="module")
def points(make_record) -> list[dict]:
    return [
        make_record("digits", "mlp", depth, seed, entry=name, key=f"{name}-{depth}-{seed}")
        for name in SIZES
        for depth in DEPTHS
        for seed in SEEDS
    ]


@pytest.fixture(scope="module")
def tested(points) -> dict:
    noise = np.random.RandomState(1)
    of_run = {
        record["key"]: {
            "loss": 0.1,
            "accuracy": level(SIZES[record["entry"]], record["depth"]) + noise.normal(0, 0.004),
        }
        for record in points
    }
    return {
        "runs": of_run,
        "baselines": {},
        "examples": dict.fromkeys(SIZES, 35_900),
        "train_examples": SIZES,
    }


@pytest.fixture(scope="module")
def analysis(points, tested):
    return analyse(points, tested, margins={"accuracy": 0.01}, learning_curves=CURVES)


def test_points_enter_no_answer_and_no_count(points, tested, analysis, cards):
    alone = [record for record in points if record["entry"] == "digits-mlp"]
    without = analyse(alone, tested, margins={"accuracy": 0.01})
    for name in ("runs", "cells", "epochs", "flows", "verdicts", "across"):
        assert getattr(analysis, name).equals(getattr(without, name)), name
    files, fewer = comparison(analysis), comparison(without)
    changed = {name for name in files if files[name] != fewer.get(name)}
    own = {"tables/learning.csv", "tables/learning.md", "tables/learning-growth.csv", "figures/learning.svg"}
    assert changed == own | {"scores.csv"}
    assert files["scores.csv"].count("\n") == 1 + len(points)


def test_every_point_is_compared_as_the_entry_alone_would_be(points, tested, analysis):
    for name, size in SIZES.items():
        alone = analyse(
            [record for record in points if record["entry"] == name], tested, margins={"accuracy": 0.01}
        )
        found = select(analysis.learning.verdicts, train_examples=size)
        for column in ("depth", "difference", "low", "high", "p_holm", "verdict"):
            assert found[column].tolist() == alone.verdicts[column].tolist()


def test_the_growth_of_a_difference_is_that_of_paired_seeds(points, tested, analysis):
    accuracy = {key: values["accuracy"] for key, values in tested["runs"].items()}
    gains = {
        size: np.array([accuracy[f"{name}-8-{s}"] - accuracy[f"{name}-1-{s}"] for s in SEEDS])
        for name, size in SIZES.items()
    }
    grown = gains[1078] - gains[100]
    two, eight = analysis.learning.growth.to_dict("records")
    assert eight["growth"] == pytest.approx(grown.mean())
    p = {depth: _p(_grown(accuracy, depth)) for depth in (2, 8)}
    assert eight["p_holm"] == pytest.approx(2 * p[8])
    assert two["p_holm"] == pytest.approx(max(2 * p[8], p[2]))
    half = stats.t.ppf(1 - 0.05 / 4, 4) * grown.std(ddof=1) / math.sqrt(5)  # Bonferroni over two depths
    assert (eight["low"], eight["high"]) == pytest.approx((grown.mean() - half, grown.mean() + half))


def _p(differences: list[float]) -> float:
    """Student's, of a mean that is not 0."""
    standard_error = np.std(differences, ddof=1) / math.sqrt(len(differences))
    return float(2 * stats.t.sf(abs(np.mean(differences)) / standard_error, df=len(differences) - 1))


def _grown(accuracy: dict[str, float], depth: int) -> list[float]:
    def gain(name: str, seed: int) -> float:
        return accuracy[f"{name}-{depth}-{seed}"] - accuracy[f"{name}-1-{seed}"]

    return [gain("digits-mlp", seed) - gain("digits-mlp-100", seed) for seed in SEEDS]


def test_with_answers_growth_is_told_with_the_test_samples_own_error(points, tested):
    """Examples are drawn alike for all networks: some decide between depths at one size, others at the other."""
    random, n = np.random.RandomState(2), 359
    hard = random.uniform(size=n)
    answers: dict[str, np.ndarray] = {f"{name}/label": np.zeros(n, dtype=np.int16) for name in SIZES}
    right = {}
    for record in points:
        chance = level(SIZES[record["entry"]], record["depth"]) + random.normal(0, 0.01)
        right[record["key"]] = (0.7 * hard + 0.3 * random.uniform(size=n)) < chance
        answers[f"{record['key']}/predicted"] = (~right[record["key"]]).astype(np.int16)
        answers[f"{record['key']}/confidence"] = np.ones(n, dtype=np.float32)
    of_run = {key: {"loss": 0.1, "accuracy": float(values.mean())} for key, values in right.items()}
    known = tested | {"runs": of_run, "classes": {name: ["yes", "no"] for name in SIZES}}
    found = analyse(points, known, learning_curves=CURVES, answers=answers).learning
    two, eight = found.growth.to_dict("records")

    def by_seed(name: str, depth: int) -> np.ndarray:
        return np.array([right[f"{name}-{depth}-{seed}"] for seed in SEEDS], dtype=float)

    grown = by_seed("digits-mlp", 8) - by_seed("digits-mlp", 1)
    grown = grown - by_seed("digits-mlp-100", 8) + by_seed("digits-mlp-100", 1)
    seeds = Interval(eight["growth"], eight["low_seeds"], eight["high_seeds"])
    wide = widened(seeds, crossed(grown).added, family=2)
    assert eight["growth"] == pytest.approx(grown.mean())
    assert (eight["low"], eight["high"]) == pytest.approx((wide.low, wide.high))
    assert eight["p_seeds"] < eight["p_holm"] < 0.05 < two["p_holm"]
    unknown = analyse(points, known, learning_curves=CURVES).learning.growth
    assert unknown["p_holm"].tolist() == pytest.approx(unknown["p_seeds"].tolist())


def test_where_lower_is_better_growth_still_favours_the_deeper(points, tested):
    runs = scores(points, tested).assign(higher_is_better=False, curve="digits-mlp")
    runs["train_examples"] = [SIZES[name] for name in runs["entry"]]
    assert growth(runs)["growth"].tolist()[1] == pytest.approx(-0.14, abs=0.01)


def test_a_depth_of_which_a_run_failed_has_no_growth_and_the_others_keep_theirs(points, tested):
    lost = "digits-mlp-100-8-3"
    records = [
        record | {"state": "diverged", "reason": "nan", "gap": None} if record["key"] == lost else record
        for record in points
    ]
    found = analyse(records, tested, learning_curves=CURVES).learning
    two, eight = found.growth.to_dict("records")
    assert math.isnan(eight["growth"])
    assert math.isnan(eight["p_holm"])
    assert two["pairs"] == 5
    assert sum(found.cells["diverged"].tolist()) == 1


def test_points_with_other_seeds_are_paired_by_those_that_they_share(points, tested, analysis):
    fewer = [r for r in points if r["entry"] != "digits-mlp-100" or r["seed"] in (1, 2, 4)]
    two, _ = analyse(fewer, tested, learning_curves=CURVES).learning.growth.to_dict("records")
    assert two["pairs"] == 3
    assert analysis.learning.growth["pairs"].tolist() == [5, 5]
    none = [r | {"seed": r["seed"] + 10 * (r["entry"] == "digits-mlp-100")} for r in points]
    found = analyse(none, tested, learning_curves=CURVES).learning
    assert found.growth["pairs"].tolist() == [0, 0]
    assert np.isnan(found.growth["p_holm"]).tolist() == [True, True]
    assert "no deeper network was shown to gain more or less" in found.findings[0]


def test_a_matching_that_one_point_alone_has_is_no_curve(points, tested, analysis):
    more = [
        record | {"matching": "parameters", "key": f"{record['key']}-p"}
        for record in points
        if record["entry"] == "digits-mlp"
    ]
    of_run = tested["runs"] | {record["key"]: {"loss": 0.1, "accuracy": 0.9} for record in more}
    both = analyse([*points, *more], tested | {"runs": of_run}, learning_curves=CURVES)
    assert both.learning.growth.equals(analysis.learning.growth)
    assert set(both.cells["matching"]) == {"width", "parameters"}


def test_the_sentence_says_what_was_tested_and_no_more(points, tested, analysis):
    (told,) = analysis.learning.findings
    assert told.startswith("digits, mlp: with 1,078 examples instead of 100 depth 8 (by +0.1")
    assert "test accuracy against depth 1: with 100 examples worse at depth 8" in told
    assert "(\N{MINUS SIGN}0.1" in told
    assert re.search(
        r"; with 1,078 examples better at depth 8[^ ]* \(\+0\.0\d+ \[\+0\.\d+, \+0\.\d+\]\)", told
    )
    flat = tested | {"runs": {key: {"loss": 0.1, "accuracy": 0.9} for key in tested["runs"]}}
    (told,) = analyse(points, flat, learning_curves=CURVES).learning.findings
    assert (
        "no deeper network was shown to gain more or less than depth 1 with 1,078 examples instead of 100."
        in told
    )


def test_pictures_hold_every_mean_and_the_page_shows_them(analysis, cards):
    score, gap = analysis.learning.pictures
    assert "100 examples: depth 1: 0.70" in score
    assert "1,078 examples" in score
    assert "overfitting gap" in gap
    html = unpacked(page(analysis, study="default", cards=cards, provenance={}))
    assert html.count('id="learning"') == html.count('href="#learning"') == 1
    assert "More layers helped the mlp on digits at equal width." in html
    assert "45 runs at depths" in html


def test_points_are_families_of_their_own(analysis):
    assert "There are 3 families" in " ".join(protocol.limits(analysis))


def test_a_study_without_curves_has_no_such_section(records, test_scores, cards):
    html = unpacked(page(analyse(records, test_scores), study="default", cards=cards, provenance={}))
    assert "Learning curves" not in html
