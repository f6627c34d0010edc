"""The page and the tables of the ledger, of claims that are made up."""

import io
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from howdeep.figures.claims import front
from howdeep.records.trials import TrialRow
from howdeep.report.ledger import Line, as_csv, as_further, as_markdown, as_text, drawn, page, what_we_saw
from howdeep.results.claims import FAILED, NO_POWER, REFUTED, SUPPORTED, judge
from howdeep.results.scores import rows_of
from howdeep.stages.claim import further_of, verdict_of
from howdeep.study import claim
from tests.study.test_claim import changed


def line(name="degradation", shift=0.0, verdict=None, **of):
    declared = claim.parse(changed(**of.pop("nodes", {})), name)
    rows = [
        {"metric": declared.estimand.label, "arm": arm, "depth": depth, "seed": seed,
         "key": f"{arm}{depth}{seed}", "state": "finished",
         "value": 0.9 + 0.001 * seed - (shift if (arm, depth) == ("plain", 56) else 0)}
        for arm in declared.arms for depth in declared.depths for seed in range(8)
    ]  # fmt: skip
    values = [-shift + 0.001 * (seed % 2) for seed in range(8)]
    judged = judge(values, declared.supports.ends, declared.refutes.ends, spread=0.01, effect=0.4)
    verdict = verdict or judged.verdict
    return Line(
        name, declared, verdict, verdict, 0.01, judged, True, rows, further=further_of(declared, rows), **of
    )


def test_the_page_counts_verdicts_and_has_a_row_and_a_section_a_claim():
    lines = [line(), line("other", 0.3), line("third", 0.035)]
    text = page(lines, "full")
    assert "Of 3 sentences, our experiments support 1 and refute 1; the others stay open." in text
    assert re.findall(r'<section id="claim-(\w+)">', text) == ["degradation", "other", "third"]
    assert [of.verdict for of in lines] == [SUPPORTED, REFUTED, NO_POWER]
    assert text.count("<svg") == 6
    assert "http://" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", text)
    assert "This is a quick run" in page(lines, "quick")


def test_a_control_that_is_supported_is_cried_out_and_counts_as_no_claim():
    control = line(nodes={"control": "false by construction"})
    text = page([control, line("other", 0.3)], "full")
    assert "Of 1 sentences" in text
    assert "The machinery supported what is false by construction: degradation." in text
    assert "No control, false by construction, was supported" in page([line("other", 0.3)], "full")


@pytest.mark.parametrize(("registered", "told"), [(True, 0), (False, 1), (None, 0)])
def test_a_declaration_that_came_late_is_marked(registered, told):
    text = page([line()._replace(registered=registered)], "full")
    assert text.count("its declaration did not stand in the commit") == told


def test_words_say_what_was_seen_and_what_was_predicted_otherwise():
    told = what_we_saw(line(shift=0.3)).replace("\N{MINUS SIGN}", "-")
    assert "This refutes the sentence: it would be supported above -0.02, and refuted below -0.05." in told
    assert "We had predicted that it would be refuted." in what_we_saw(line())
    assert "predicted" not in what_we_saw(line(shift=0.3))
    assert what_we_saw(line(verdict=FAILED, reason="it diverged")) == "The experiment failed: it diverged."
    assert what_we_saw(line()._replace(judged=None)) == "It was not run yet."
    assert "not certain enough (Holm)" in what_we_saw(line()._replace(together=NO_POWER))


def test_the_tables_hold_the_same_numbers():
    found = line(shift=0.3)
    mean, low, high = found.judged.interval  # type: ignore[union-attr]
    row = pd.read_csv(io.StringIO(as_csv([found]))).iloc[0]
    assert [row["estimate"], row["low"], row["high"]] == pytest.approx([mean, low, high], rel=1e-5)
    assert f"{mean:.3g}".replace("-", "\N{MINUS SIGN}") in as_markdown([found])
    assert math.isclose(mean, -0.2995)


def test_what_was_measured_beside_a_claim_stands_in_its_section_and_in_a_table_of_its_own():
    deep, shallow = [{"arm": "plain", "depth": 8}], [{"arm": "plain", "depth": 1}]
    more = [
        {"text": "eight layers less one", "plus": deep, "minus": shallow},
        {
            "text": "what was not run",
            "plus": deep,
            "estimand": {"metric": "test/accuracy", "unit": "accuracy"},
        },
    ]
    found = line(nodes={"further": more})
    for text in (page([found], "full"), as_text(found)):
        assert "eight layers less one" in text
        assert "0 [0, 0] training accuracy, 8 seeds" in text
    table = pd.read_csv(io.StringIO(as_further([found])))
    assert table["contrast"].tolist() == ["eight layers less one", "what was not run"]
    assert table["seeds"].tolist() == [8, 0]
    assert table["estimate"].isna().tolist() == [False, True]


def test_a_scatter_and_trials_are_drawn_where_there_are_any():
    axes = {
        "x": {"metric": "cost/parameters", "unit": "weights"},
        "y": {"metric": "test/accuracy", "unit": "accuracy"},
    }
    found = line(nodes={"scatter": axes})
    rows = [
        {"metric": of["metric"], "arm": arm, "depth": depth, "seed": 0, "key": "k", "value": value}
        for arm in found.claim.arms
        for depth, weights in zip(found.claim.depths, (100.0, 1000.0, 10000.0), strict=True)
        for of, value in ((axes["x"], weights), (axes["y"], 0.9 - weights / 1e5))
    ]
    trials = [TrialRow(depth, "plain", 0.1, loss) for depth in (1, 8) for loss in (0.2, 0.3)]
    [_, _, scatter, best] = drawn(found._replace(rows=[*found.rows, *rows], trials=trials))
    assert "The front: plain at depth 1: 0.899 for 100" in scatter
    assert "depth 8: 0.250 after 1, 0.200 after 2" in best.split("\n")[0]
    assert len(drawn(found._replace(claim=line().claim))) == 2


def test_the_front_has_what_nothing_cheaper_equals():
    points = [(1.0, 0.5), (2.0, 0.5), (2.0, 0.4), (3.0, 0.9), (0.5, 0.1), (4.0, 0.8)]
    assert front(points) == [(0.5, 0.1), (1.0, 0.5), (3.0, 0.9)]


def test_the_terminal_has_the_whole_section():
    text = as_text(line(shift=0.3))
    for part in (
        "Said by: ",
        "Arms:\n  plain: model=mlp ",
        "Predicted: refuted, because ",
        "Verdict: REFUTED\n",
        "He et al. (2016)",
    ):
        assert part in text


STORED = Path(__file__).parents[2] / "results/claims"


def test_readme_has_the_stored_ledger():
    assert (STORED / "ledger.md").read_text() in (STORED.parents[1] / "README.md").read_text()


def test_every_stored_verdict_follows_from_the_stored_values_of_its_runs():
    ledger, values = (pd.read_csv(STORED / f"{name}.csv") for name in ("ledger", "values"))
    runs = [row | {"value": None if pd.isna(row["value"]) else row["value"]} for row in rows_of(values)]
    for row in rows_of(ledger):
        if (name := row["claim"]).endswith("-permuted"):
            continue
        declared = claim.read(name, STORED.parents[1] / "claims")
        assert row["declaration"] == declared.digest, f"{name} was changed after its runs: `make claims`"
        judged, _, _ = verdict_of(declared, [run for run in runs if run["claim"] == name])
        assert judged.verdict == row["verdict"]
        expected = [row[column] for column in ("estimate", "low", "high")]
        assert [*judged.interval] == pytest.approx(expected, rel=1e-5, nan_ok=True)
        assert judged.n == row["seeds"]


def test_every_stored_number_beside_a_verdict_follows_from_the_stored_values_too():
    stored, values = (pd.read_csv(STORED / f"{name}.csv") for name in ("further", "values"))
    rows = [row | {"value": None if pd.isna(row["value"]) else row["value"]} for row in rows_of(values)]
    for name, table in stored.groupby("claim"):
        declared = claim.read(str(name), STORED.parents[1] / "claims")
        runs = [row for row in rows if row["claim"] == name]
        found = further_of(declared, runs)
        assert [of.text for of, _, _ in found] == table["contrast"].tolist()
        for (_, interval, seeds), row in zip(found, rows_of(table), strict=True):
            assert seeds == row["seeds"] > 0
            expected = [row[column] for column in ("estimate", "low", "high")]
            assert [*interval] == pytest.approx(expected, rel=1e-5, nan_ok=True)


def test_an_arm_that_has_no_such_measure_is_not_in_the_picture():
    found = line()
    rows = [{**row, "value": None} if row["arm"] == "residual" else row for row in found.rows]
    text = drawn(found._replace(rows=rows))[0]
    assert "plain" in text
    assert "residual:" not in text.split(">")[0]
