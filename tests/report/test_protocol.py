"""What may be held against a study, as far as its own results tell."""

import pytest

from howdeep.report.analysis import analyse
from howdeep.report.packing import unpacked
from howdeep.report.page import page
from howdeep.report.protocol import card_facts, limits, margins


def said(records, **test) -> str:
    known = {"runs": {}, "baselines": {}} | test
    return " ".join(limits(analyse(records, known, margins={"accuracy": 0.01})))


def test_how_many_verdicts_would_be_found_again_is_told_where_there_are_any(records):
    assert "run again with new seeds" not in said(records)
    tested = {
        record["key"]: {"loss": 0.1, "accuracy": 0.5 + record["depth"] * (0.1 + 0.001 * record["seed"])}
        for record in records
    }
    assert "about 1 of the 1 verdicts of better or worse would be given again" in said(records, runs=tested)


@pytest.fixture
def records(make_record):
    return [make_record("digits", "mlp", depth, seed) for depth in (1, 2) for seed in range(3)]


def test_a_margin_of_less_than_two_test_examples_is_told_with_their_number(records):
    assert "less than two test examples of digits-mlp (114)" in said(records, examples={"digits-mlp": 114})
    for examples in ({"digits-mlp": 200}, {}):
        assert "test examples of" not in said(records, examples=examples)


def test_the_protocol_tells_each_margin_with_its_reason_where_it_has_one(records):
    found = analyse(records, {"runs": {}, "baselines": {}}, margins={"accuracy": 0.01})
    assert margins(found.verdicts, {"accuracy": "a convention"}) == [("accuracy", "0.01", "a convention")]
    told = [
        unpacked(page(found, study="s", cards={}, provenance={}, reasons=of))
        for of in ({"accuracy": "<one> of 100"}, {})
    ]
    assert "<li>accuracy: 0.01, &lt;one&gt; of 100.</li>" in told[0]
    assert "<li>accuracy: 0.01.</li>" in told[1]


@pytest.mark.parametrize("known", [{"alphabet": "aé "}, {"symbols": ["good", "bad", "day"]}])
def test_the_vocabulary_of_a_text_is_told_with_what_it_lacks(known):
    card = {"examples": {"train": 9, "test": 3}, "shape": [1], "licence": "", "homepage": "", "checksums": {}}
    facts = dict(card_facts("tale", card | known | {"unknown_in_test": 0.0125})["facts"])
    assert facts["different symbols"] == "3, and one for all others, which 1.25% of the test are"
    assert "different symbols" not in dict(card_facts("digits", card)["facts"])


def test_cells_whose_runs_were_best_in_their_last_epoch_had_not_converged(records):
    assert "had not converged" not in said([record | {"best_epoch": 0} for record in records])
    ends = [
        record
        | {"best_epoch": len(record["epochs"]) - 1 if record["depth"] == 2 and record["seed"] < 2 else 0}
        for record in records
    ]
    assert "at least half of the runs had not converged when their epochs were over (digits-mlp)" in said(
        ends
    )
    patient = [record | {"config": record["config"] | {"patience": 1}} for record in records]
    assert "had not converged" not in said([record | {"best_epoch": 0} for record in patient])
    waiting = [record | {"config": record["config"] | {"patience": 50}} for record in records]
    assert "In 2 of 2 cells" in said([record | {"best_epoch": 0} for record in waiting])
