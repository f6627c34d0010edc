"""The map of verdicts: its words, its marks, and the picture of it."""

from xml.etree import ElementTree

import pandas as pd
import pytest

from howdeep.figures.verdict_map import panel
from howdeep.results.verdict_map import outcome, verdict_map
from tests.results.test_wording import BETTER, OPEN, SAME, WORSE, judged, together, under_both

COLUMNS = ["task", "data", "model", "entry", "matching", "verdict"]
NOTHING = pd.DataFrame(columns=COLUMNS)


def mapped(*studies, baselines=NOTHING):
    cells, verdicts = together(*studies)
    return verdict_map(cells, verdicts, baselines)


@pytest.mark.parametrize(
    ("score", "higher", "verdict", "difference", "words"),
    [
        ("accuracy", True, "better", 0.028, "2.8 points better"),
        ("accuracy", True, "worse", -0.016, "1.6 points worse"),
        ("accuracy", True, "inconclusive", 0.006, "0.6 points better, undecided"),
        ("mse_ratio", False, "better", -0.019, "1.9 points better"),
        ("bits", False, "worse", 0.071, "0.071 bits worse"),
        ("mae", False, "no difference", 0.001, "0.001 sd worse, about equal"),
        ("kid", False, "better", -0.066, "0.066 kid better"),
        ("mae", False, "failed", float("nan"), "no run finished"),
    ],
)
def test_a_difference_is_told_in_words_of_its_score(score, higher, verdict, difference, words):
    row = {"score": score, "higher_is_better": higher, "verdict": verdict, "difference": difference}
    assert outcome(row) == words


def test_rows_are_networks_columns_depths_and_each_matching_has_its_own():
    found = mapped(under_both([BETTER, WORSE], [SAME]), judged(OPEN, data="wine"))
    assert list(found) == ["width", "parameters"]
    assert [(row.data, row.name, [place.depth for place in row.places]) for row in found["width"]] == [
        ("digits", "mlp", [4, 8]),
        ("wine", "mlp", [8]),
    ]
    assert [place.words for place in found["parameters"][0].places] == ["0.1 points better, about equal"]


def test_another_recipe_of_an_architecture_is_marked():
    found = mapped(judged(BETTER), judged(WORSE, name="mlp-plain"))["width"]
    assert [row.plain for row in found] == [False, True]
    drawn = panel("Equal width", found)
    assert "stroke-dasharray" in drawn


def test_a_row_of_which_no_depth_beats_the_best_simple_method_is_marked():
    of = [
        ("classification", "digits", "mlp", "digits-mlp", "width", verdict) for verdict in ("worse", "better")
    ]
    for rows, beats in ((of[:1], False), (of, True), ([], None)):
        [row] = mapped(judged(BETTER), baselines=pd.DataFrame(rows, columns=COLUMNS))["width"]
        assert row.beats_simple is beats
        text = "".join(ElementTree.fromstring(panel("Equal width", [row])).itertext())
        assert ("\N{WHITE DOWN-POINTING TRIANGLE}" in text) == (beats is False)


def test_half_of_the_runs_lost_is_a_network_that_did_not_train():
    cells, verdicts = judged(OPEN)
    for lost, trained in ((2, True), (3, False)):
        of = cells.assign(collapsed=[0, lost - 1], diverged=[0, 1])
        [row] = verdict_map(of, verdicts, NOTHING)["width"]
        assert row.places[0].trained is trained
        text = "".join(ElementTree.fromstring(panel("Equal width", [row])).itertext())
        assert ("did not" in text) == (not trained)


def test_the_picture_says_all_and_each_cell_leads_to_its_runs():
    found = mapped(judged(BETTER, WORSE, SAME))["width"]
    drawn = panel("Equal width", found)
    for words in ("3.1 points", "2.0 points", "better", "worse", "about equal", "depth 4", "mlp"):
        assert f">{words}<" in drawn
    assert 'xlink:href="#runs-digits-mlp-width-4"' in drawn
    alt = ElementTree.fromstring(drawn).get("aria-label", "")
    assert "mlp on digits: depth 4: 3.1 points better; depth 8: 2.0 points worse" in alt
    assert panel("Equal width", found) == drawn


def test_a_long_name_is_cut_and_many_depths_are_the_first_and_the_deepest():
    rows = [(depth, "better", 0.1, 0.01, None) for depth in (2, 3, 4, 6, 8, 16, 32)]
    drawn = panel("Equal width", mapped(judged(*rows, data="a_very_long_name_of_a_data_set"))["width"])
    text = "".join(ElementTree.fromstring(drawn).itertext())
    assert "a_very_long_nam\N{HORIZONTAL ELLIPSIS}" in text
    assert "depth 32" in text
    assert "depth 16" not in text
