"""No value is shown that its score cannot have, and no score is judged by a margin that nobody declared."""

import math
import re

import numpy as np
import pytest
from scipy import stats

from howdeep.errors import UserError
from howdeep.figures import plots
from howdeep.report import learning
from howdeep.report.analysis import analyse
from howdeep.report.page import page
from howdeep.results import tables
from howdeep.results.baselines import against_baselines
from howdeep.results.measures import NO_MARGINS, SCORES, possible, within
from howdeep.results.scores import judge, scores, summary
from howdeep.results.statistics import Interval
from howdeep.results.verdict import verdicts

NUMBER = r"[+\N{MINUS SIGN}-]?[\d.]+"
BRACKETS = re.compile(rf"\[({NUMBER}), ({NUMBER})\]")
ACCURACIES = {1: (1.0, 0.2, 1.0), 2: (0.0, 1.0, 1.0), 4: (0.98, 1.0, 1.0)}  # of three seeds
ERRORS = {1: (0.0, 0.0, 0.9), 2: (0.1, 0.0, 0.0)}
CURVE = {"digits-mlp": ["digits-mlp-100"]}


def records_of(make_record, scores_of, data="digits", model="mlp", **changes):
    """Records and test scores of a study whose few seeds spread far."""
    records, tested = [], {}
    for depth, of_seeds in scores_of.items():
        for seed, value in enumerate(of_seeds):
            record = make_record(data, model, 1, seed, **changes)
            record |= {"depth": depth, "key": f"{record['entry']}-{depth}-{seed}"}
            records.append(record)
            tested[record["key"]] = {"loss": 0.1, record["score"]["name"]: value}
    return records, {"runs": tested, "baselines": {}}


def ends_in(text: str) -> list[float]:
    return [float(end.replace("\N{MINUS SIGN}", "-")) for pair in BRACKETS.findall(text) for end in pair]


@pytest.fixture
def wide(make_record):
    """A study of accuracies with a learning curve; its intervals would all reach beyond what an accuracy can be."""
    records, test = records_of(make_record, ACCURACIES)
    others, more = records_of(
        make_record, {depth: of[::-1] for depth, of in ACCURACIES.items()}, entry="digits-mlp-100"
    )
    answers: dict[str, np.ndarray] = {"digits-mlp/label": np.zeros(10, dtype=np.int16)}
    for record in (*records, *others):
        right = round(10 * ({**test["runs"], **more["runs"]}[record["key"]]["accuracy"]))
        answers[f"{record['key']}/predicted"] = (np.arange(10) >= right).astype(np.int16)
        answers[f"{record['key']}/confidence"] = np.full(10, 0.9, dtype=np.float32)
    answers["digits-mlp-100/label"] = answers["digits-mlp/label"]
    sizes = {"digits-mlp": 1000, "digits-mlp-100": 100}
    test = {
        "runs": test["runs"] | more["runs"],
        "baselines": {"digits": {"majority": {part: {"accuracy": 0.1} for part in ("val", "test")}}},
        "examples": dict.fromkeys(sizes, 10),
        "train_examples": sizes,
        "classes": {name: ["yes", "no"] for name in sizes},
    }
    return analyse([*records, *others], test, learning_curves=CURVE, answers=answers)


def test_the_intervals_of_accuracies_lie_between_0_and_1_wherever_they_are_shown(wide):
    cells = judge(wide.cells, wide.verdicts)
    scored = [text.text for row in tables.cells_table(cells).rows for text in row[7:9]]
    scored += [text.text for row in learning.table(wide.learning.cells).rows for text in row[7:9]]
    scored += [plots.score(wide.cells, wide.runs, {}), wide.learning.pictures[0]]
    found = [ends_in(text) for text in scored]
    assert all(found[-2:])
    assert len([ends for ends in found[:-2] if len(ends) == 4]) >= 3  # over seeds, and over examples
    assert min(map(min, filter(None, found))) >= 0
    assert max(map(max, filter(None, found))) <= 1


def test_differences_of_accuracies_lie_between_minus_1_and_1_and_growths_between_minus_2_and_2(wide):
    for table, most in (
        (wide.verdicts, 1), (wide.against_baselines, 1), (wide.learning.verdicts, 1), (wide.learning.growth, 2),
    ):  # fmt: skip
        of_seeds = [name for name in ("low_seeds", "high_seeds") if name in table]
        for name in ("low", "high", *of_seeds):
            assert np.abs(table[name]).max() == most, name


def test_the_page_shows_no_score_beyond_1(wide):
    html = page(wide, study="wide", cards={}, provenance={})
    assert max(ends_in(re.sub(r"<svg.*?</svg>", "", html, flags=re.DOTALL))) <= 2  # a growth
    assert "\N{PLUS-MINUS SIGN}" not in html


def test_an_error_has_no_interval_below_0_and_none_above_it_is_cut(make_record):
    records, test = records_of(make_record, ERRORS, data="sunspots", model="lstm")
    shallow = summary(scores(records, test)).to_dict("records")[0]
    half = stats.t.ppf(0.975, 2) * np.std(ERRORS[1], ddof=1) / math.sqrt(3)
    assert shallow["test_score_low"] == 0
    assert shallow["test_score_high"] == pytest.approx(0.3 + half)
    assert (
        np.abs(verdicts(scores(records, test), NO_MARGINS)["low"]).max() > 1
    )  # of an error they know no bound


@pytest.mark.parametrize("score", SCORES)
def test_a_possible_interval_stays_as_it_is(score):
    assert possible(Interval(0.5, 0.4, 0.6), score) == Interval(0.5, 0.4, 0.6)
    assert np.isnan(possible(Interval(0.5, np.nan, np.nan), score)[1:]).all()
    assert within(Interval(0.5, -0.1, 1.1), 0, 1) == Interval(0.5, 0, 1)


def test_a_score_without_a_margin_is_refused_by_name(make_record):
    records, test = records_of(make_record, ERRORS, data="sunspots", model="lstm")
    runs, methods = scores(records, test), {"sunspots": {"mean": {p: {"mae": 1.0} for p in ("val", "test")}}}
    for judged in (
        lambda: verdicts(runs, {"accuracy": 0.01}),
        lambda: against_baselines(runs, methods, {"accuracy": 0.01}),
        lambda: analyse(records, test, margins={"accuracy": 0.01}),
    ):
        with pytest.raises(UserError, match=r"^margins in params.yaml lacks 'mae'.*: declare .* mae: 0.02"):
            judged()


def test_a_score_that_nobody_described_is_refused_by_name(make_record):
    records, test = records_of(make_record, ERRORS, data="sunspots", model="lstm")
    for record in records:
        record["score"] = {"name": "pinball", "higher_is_better": False}
    with pytest.raises(UserError, match=r"got 'pinball': add .* SCORES of results/measures.py"):
        analyse(records, test)
