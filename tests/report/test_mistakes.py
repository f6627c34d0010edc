"""What classifiers get wrong: against scikit-learn and torchmetrics, and as the report tells it."""

import re

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, recall_score
from torchmetrics.functional.classification import multiclass_calibration_error

from howdeep.errors import UserError
from howdeep.report import mistakes
from howdeep.report.analysis import Analysis, analyse
from howdeep.report.packing import unpacked
from howdeep.report.page import page
from howdeep.report.report import comparison

NAMES = ["cat", "dog", "<eel>"]
LABEL = np.array([0] * 10 + [1] * 10 + [2] * 10, dtype=np.int16)


def draw(n: int = 400, classes: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right answers, and probabilities that lean towards them."""
    noise = np.random.RandomState(0)
    label = noise.randint(classes, size=n)
    logits = noise.randn(n, classes) + 2 * np.eye(classes)[label]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return label, probabilities.argmax(1), probabilities.astype(np.float32)


def test_confusions_and_recalls_are_those_of_scikit_learn():
    label, predicted, _ = draw()
    counts = mistakes.confusion(label, predicted, 5)
    np.testing.assert_array_equal(counts, confusion_matrix(label, predicted))
    np.testing.assert_allclose(mistakes.recalls(counts), recall_score(label, predicted, average=None))  # type: ignore[arg-type]


def test_a_class_without_examples_has_no_recall():
    assert np.isnan(mistakes.recalls(mistakes.confusion(np.array([0, 0]), np.array([0, 1]), 2))[1])


def test_the_calibration_error_is_that_of_torchmetrics():
    label, predicted, probabilities = draw()
    found = mistakes.calibration_error(probabilities.max(1), predicted == label)
    oracle = multiclass_calibration_error(
        torch.from_numpy(probabilities), torch.from_numpy(label), 5, n_bins=15, norm="l1"
    )
    assert found == pytest.approx(float(oracle), abs=1e-6)


def test_the_calibration_error_of_answers_as_right_as_they_are_sure_is_zero_and_of_the_sure_and_wrong_one():
    right = np.array([True, True, True, False])
    assert mistakes.calibration_error(np.full(4, 0.75), right) == pytest.approx(0)
    assert mistakes.calibration_error(np.ones(4), ~np.ones(4, dtype=bool)) == 1


@pytest.fixture(scope="module")
def study(make_record) -> Analysis:
    """Two depths with two seeds: the shallow one takes dogs for cats; one run failed."""
    records = [make_record("digits", "mlp", depth, seed) for depth in (1, 2) for seed in (0, 1)]
    records.append(make_record("digits", "mlp", 2, 2, diverged=True))
    answers: dict[str, np.ndarray] = {"digits-mlp/label": LABEL}
    for record in records[:4]:
        predicted = LABEL.copy()
        if record["depth"] == 1:
            predicted[10 : 12 + 2 * record["seed"]] = 0
        answers[f"{record['key']}/predicted"] = predicted
        answers[f"{record['key']}/confidence"] = np.full(30, 0.9, dtype=np.float32)
    test = {"runs": {}, "baselines": {}, "classes": {"digits-mlp": NAMES}}
    return analyse(records, test, answers=answers)


def test_a_cell_tells_its_worst_class_its_confusion_and_how_sure_it_was(study):
    shallow, deep = study.mistakes.cells.to_dict("records")
    assert (shallow["worst_class"], shallow["worst_recall"], shallow["best_class"]) == (
        "dog",
        pytest.approx(0.7),
        "cat",
    )
    assert (shallow["taken"], shallow["taken_for"], shallow["taken_share"]) == (
        "dog",
        "cat",
        pytest.approx(0.3),
    )
    assert 0 <= shallow["worst_recall_low"] < 0.7 < shallow["worst_recall_high"] <= 1
    assert shallow["accuracy"] == pytest.approx(0.9)
    assert shallow["overconfidence"] == pytest.approx(0, abs=1e-6)
    assert shallow["calibration_error"] == pytest.approx(
        (abs(28 / 30 - 0.9) + abs(26 / 30 - 0.9)) / 2, abs=1e-6
    )
    assert (deep["accuracy"], deep["runs"]) == (1, 2)
    assert deep["overconfidence"] == pytest.approx(-0.1, abs=1e-6)


def test_runs_that_were_asked_other_examples_are_judged_by_their_own_right_answers(make_record):
    """The first seed was asked ten of each class, the second twenty dogs and ten birds, of which it misses five."""
    records = [make_record("digits", "mlp", 1, seed) for seed in (0, 1)]
    first, second = (record["key"] for record in records)
    other = np.array([1] * 20 + [2] * 10, dtype=np.int16)
    missed = np.where(np.arange(30) < 25, other, 0).astype(np.int16)
    answers: dict[str, np.ndarray] = {
        f"{first}/label": LABEL, f"{first}/predicted": LABEL, f"{second}/label": other, f"{second}/predicted": missed,
    }  # fmt: skip
    answers |= {f"{key}/confidence": np.ones(30, dtype=np.float32) for key in (first, second)}
    test = {"runs": {}, "baselines": {}, "classes": {"digits-mlp": NAMES}, "resampled": {"digits-mlp": 1 / 3}}
    (cell,) = analyse(records, test, answers=answers).mistakes.cells.to_dict("records")
    assert cell["accuracy"] == pytest.approx(55 / 60)
    assert (cell["taken"], cell["taken_for"], cell["taken_share"]) == (
        NAMES[2],
        NAMES[0],
        pytest.approx(5 / 20),
    )


def test_page_and_files_tell_them_and_a_name_is_no_markup(study):
    html = unpacked(page(study, study="s", cards={}, provenance={}))
    section = html[html.index('<section id="mistakes"') : html.index('<section id="across"')]
    assert "dog for cat, 30.0 %" in section
    assert section.count("<svg") == 3
    assert "<eel>" not in section
    assert "&lt;eel&gt;" in section
    files = comparison(study)
    assert {"tables/mistakes.csv", "tables/mistakes.md", "figures/mistakes-recalls.svg"} <= set(files)
    told = re.findall('aria-label="(.*?)"', files["figures/mistakes-confusion.svg"])
    assert told == ["digits, mlp: which class was taken for which, most often. depth 1: dog for cat, 30.0 %; "
                    "depth 2: none."]  # fmt: skip


def test_without_classifiers_there_is_no_such_section(make_record):
    found = analyse(
        [make_record("sunspots", "lstm", 1, 0)], {"runs": {}, "baselines": {}}, answers={"x": LABEL}
    )
    assert "Where classifiers err" not in unpacked(page(found, study="s", cards={}, provenance={}))
    assert not [name for name in comparison(found) if "mistakes" in name]


def test_a_run_without_answers_is_an_error(make_record):
    test = {"runs": {}, "baselines": {}, "classes": {"digits-mlp": NAMES}}
    with pytest.raises(UserError, match=r"lacks the run .* of digits-mlp: run `dvc repro evaluate`"):
        analyse([make_record("digits", "mlp", 1, 0)], test, answers={"digits-mlp/label": LABEL})
