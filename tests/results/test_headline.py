"""The answer of a study: what it says of verdicts that are known."""

import math

import pandas as pd

from howdeep.results.headline import headline, metrics
from tests.results.test_wording import BETTER, OPEN, SAME, WORSE, judged, together, under_both

NOTHING = pd.DataFrame(columns=["entry", "verdict"])


def said(*studies, baselines=NOTHING) -> str:
    cells, verdicts = together(*studies)
    return " ".join(headline(cells, verdicts, baselines))


def test_networks_are_named_by_what_depth_did_to_them():
    told = said(
        judged(BETTER, data="a"),
        judged(BETTER, data="a", name="cnn"),
        judged(WORSE, data="b"),
        judged(SAME, data="c"),
        judged(OPEN, data="d"),
        judged(BETTER, WORSE, data="e"),
    )
    assert told == (
        "More layers helped the mlp and the cnn on a at equal width; the mlp on e at some depths, and hurt at others. "
        "They hurt the mlp on b. They made no difference that matters to the mlp on c. For the mlp on d it is "
        "undecided."
    )


def test_a_gain_at_equal_width_alone_is_one_of_size():
    larger = "at equal width, but not with equally many parameters: only as larger networks"
    assert larger in said(under_both([BETTER], [OPEN]))
    assert "whatever was held equal" in said(under_both([BETTER], [BETTER]))
    assert "with equally many parameters." in said(under_both([OPEN], [BETTER]))


def test_many_are_counted_and_none_is_said():
    many = [judged(OPEN, data=f"d{place}") for place in range(9)]
    assert said(*many) == "More layers helped no network. For 9 of 9 networks it is undecided."
    assert "The other 9 are undecided." in said(judged(BETTER, data="a"), *many)


def test_the_best_simple_method_is_a_part_of_the_answer():
    study = judged(BETTER), judged(OPEN, name="cnn")
    rows = [("digits-mlp", "better", "a"), ("digits-mlp", "worse", "a"), ("digits-cnn", "inconclusive", "b")]
    of = pd.DataFrame(rows, columns=["entry", "verdict", "method"])
    assert said(*study, baselines=of).endswith(
        "1 of 2 networks beats the best simple method for its data: the mlp on digits."
    )
    none = said(*study, baselines=of.assign(verdict="worse"))
    assert none.endswith("None of 2 networks beat the best simple method for its data at any depth.")
    one = of.assign(method="gradient boosting")
    assert said(*study, baselines=one).endswith(
        "1 of 2 networks beats gradient boosting, the best simple method: the mlp on digits."
    )
    none = said(*study, baselines=one.assign(verdict="worse"))
    assert none.endswith("No network beat gradient boosting, the best simple method, at any depth.")
    open_ = said(*study, baselines=one.assign(verdict=["worse", "inconclusive", "worse"]))
    assert open_.endswith(
        "No network was shown to beat gradient boosting, the best simple method, at any depth."
    )


def test_one_depth_compares_nothing():
    cells, verdicts = judged()
    assert headline(cells, verdicts, NOTHING) == ["This study has one depth only: it compares nothing."]


def test_the_study_in_a_few_numbers():
    words = ["", "better", "worse", "failed", "no difference", "inconclusive", "inconclusive"]
    cells = pd.DataFrame({"verdict": words, "runs": 10, "diverged": 0, "collapsed": 0})
    cells.loc[3, "diverged"], cells.loc[2, "collapsed"] = 10, 4
    cells["gap_loss_normalised"] = [0.1, 0.2, 0.4, math.nan, 0.3, 0.0, -0.1]
    baselines = pd.DataFrame({"entry": "digits-mlp", "verdict": ["better", "worse", "better"]})
    counted = {"n_runs": 70, "untrained": 14, "better": 1, "worse": 2, "no_difference": 1, "undecided": 2}
    assert metrics(cells, baselines) == {**counted, "beat_simple": 2, "gap": 0.15}
    cells["gap_loss_normalised"] = math.nan  # JSON knows none
    assert metrics(cells, NOTHING) == {**counted, "beat_simple": 0}
