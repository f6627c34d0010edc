"""What the figures show, read from the SVG as a browser would."""

import re
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest

from howdeep.figures import figure, pictures, plots
from howdeep.report.analysis import analyse
from howdeep.report.page import page
from howdeep.results.histories import curves
from howdeep.results.scores import scores, select, summary
from howdeep.results.wording import signed


@pytest.fixture(scope="session")
def runs(records, test_scores):
    return scores(records, test_scores)


@pytest.fixture(scope="session")
def drawn(records, test_scores, runs):
    """The four figures of classification by name."""
    cells = select(summary(runs), task="classification")
    return {
        "score": plots.score(cells, runs, test_scores["baselines"]),
        "curves": plots.curves(cells, curves(records)),
        "gap": plots.gap(cells, runs),
        "gradient": plots.gradient(cells, runs),
    }


def texts(svg: str) -> list[str]:
    return [
        element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


@pytest.mark.parametrize("name", ["score", "curves", "gap", "gradient"])
def test_a_figure_is_one_svg_with_an_alternative_text_that_fetches_nothing(drawn, name):
    root = ElementTree.fromstring(drawn[name])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "digits" in root.get("aria-label", "")
    assert not re.search(r"(href|src)=\"(?!#)|url\((?!#)|<metadata|<!DOCTYPE", drawn[name])


@pytest.mark.parametrize("name", ["score", "curves", "gap", "gradient"])
def test_every_colour_that_is_drawn_has_a_counterpart_for_the_dark(drawn, name):
    body = drawn[name].split("</style>", 1)[1]
    colours = set(re.findall(r"(?:stroke|fill): (#[0-9a-f]{6})", body))
    assert colours
    assert colours <= set(figure.DARK)
    assert all(f': {colour}"]' in drawn[name] for colour in colours)
    uncoloured = [text for text in re.findall(r"<text[^>]*>", body) if "fill: " not in text]
    assert uncoloured == []  # SVG's default is black


@pytest.mark.parametrize("name", ["score", "curves", "gap", "gradient"])
def test_each_data_set_has_a_panel_of_its_own(drawn, name):
    assert [text for text in texts(drawn[name]) if ", mlp" in text] == ["breast_cancer, mlp", "digits, mlp"]


def test_the_alternative_text_tells_the_means_and_intervals(drawn, runs):
    cell = select(summary(runs), data="digits", depth=4).iloc[0]
    interval = f"[{cell['test_score_low']:.3f}, {cell['test_score_high']:.3f}]"
    assert f"depth 4: {cell['test_score']:.3f} {interval}" in ElementTree.fromstring(drawn["score"]).get(
        "aria-label", ""
    )


def test_failed_runs_are_shown_in_the_score_figure(runs, test_scores):
    cells = select(summary(runs), task="forecasting")
    assert "1 of 5" in texts(plots.score(cells, runs, test_scores["baselines"]))


def test_a_baseline_far_from_every_score_is_named_and_does_not_flatten_them(runs, test_scores):
    cells = select(summary(runs), data="digits")
    said = texts(plots.score(cells, runs, test_scores["baselines"]))
    assert "dotted: logistic regression 0.971" in said
    assert "below: majority 0.100" in said
    assert not any(text.startswith("0.1") for text in said)  # no tick so low


def test_depths_have_different_colours_in_their_order_in_the_light_and_in_the_dark():
    colours = list(figure.depth_colours([1, 2, 4, 8, 16, 32]).values())
    light = [luminance(colour) for colour in colours]
    dark = [luminance(figure.DARK[colour]) for colour in colours]
    assert light == sorted(light, reverse=True)
    assert dark == sorted(dark)
    assert len(set(colours)) == 6


@pytest.mark.parametrize("pair", figure.DARK.items(), ids=str)
def test_every_colour_stands_out_from_its_paper(pair):
    light, dark = pair
    assert contrast(light, figure.PAPER["light"]) > 3
    assert contrast(dark, figure.PAPER["dark"]) > 3


def test_words_on_a_cell_of_the_map_can_be_read():
    for light, dark in figure.FILLED.items():
        assert contrast(light, figure.MAP_INK) > 4.5
        assert contrast(dark, figure.PAPER["dark"]) > 4.5


def luminance(colour: str) -> float:
    """WCAG 2.1, relative luminance."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


def test_crowded_depths_are_labelled_by_powers_of_two(make_record):
    records = [make_record("digits", "mlp", 1, 0) | {"depth": depth} for depth in range(1, 13)]
    table = scores(records, {"runs": {}})
    ticks = [text for text in texts(plots.gap(summary(table), table)) if text.isdigit()]
    assert ticks == ["1", "2", "4", "8"]


@pytest.mark.parametrize("diverged", [True, False])
def test_a_single_run_can_be_drawn_whether_it_finished_or_not(make_record, diverged):
    records = [make_record("digits", "mlp", 1, 0, diverged=diverged)]
    table = scores(records, {"runs": {}})
    cells = summary(table)
    assert "digits, mlp" in texts(plots.score(cells, table, {}))
    assert "digits, mlp" in texts(plots.curves(cells, curves(records)))
    assert "digits, mlp" in texts(plots.gap(cells, table))
    assert "digits, mlp" in texts(plots.gradient(cells, table))


def test_several_architectures_share_a_panel_and_are_named_in_a_legend(make_record):
    records = [
        make_record("digits", "mlp", depth, 0) | {"model": m, "entry": m}
        for m in ("cnn", "mlp")
        for depth in (1, 2)
    ]
    table = scores(records, {"runs": {}})
    said = texts(plots.score(summary(table), table, {}))
    assert {"digits", "cnn", "mlp"} <= set(said)


def test_nobodys_own_matplotlib_settings_change_a_figure(runs, test_scores, drawn):
    cells = select(summary(runs), task="classification")
    with matplotlib.rc_context(
        {"lines.linewidth": 9, "font.size": 30, "axes.grid": True, "svg.hashsalt": "own"}
    ):
        assert plots.score(cells, runs, test_scores["baselines"]) == drawn["score"]
        assert matplotlib.rcParams["font.size"] == 30


def test_entries_of_one_architecture_share_its_colour_and_differ_in_dashes_and_filling():
    cnn, plain, mlp = figure.looks(["cnn", "cnn", "mlp"])
    assert cnn.colour == plain.colour != mlp.colour
    assert cnn.style["marker"] == plain.style["marker"] != mlp.style["marker"]
    assert cnn.style["linestyle"] == mlp.style["linestyle"] != plain.style["linestyle"]
    assert plain.style["markerfacecolor"] == "none"


def test_an_architecture_has_one_hue_in_every_picture_and_those_of_the_project_have_their_own():
    alone, beside = figure.looks(["gan"])[0], figure.looks(["mlp", "gan"])[1]
    assert alone.colour == beside.colour
    assert len({look.colour for look in figure.looks(figure.ORDER)}) == len(figure.ORDER)
    assert figure.looks(["highway"])[0].colour in figure.SERIES


def test_a_collapse_does_not_press_the_other_scores_onto_the_floor(make_record):
    records = [make_record("digits", "gan", depth, 0) for depth in (1, 8)]
    for record, kid in zip(records, (0.2, 20), strict=True):
        for row in record["epochs"]:
            row["val/kid"] = kid
    table = scores(records, {"runs": {}})
    far = {"digits": {"noise": {"val": {"kid": 50.0}, "test": {"kid": 50.0}}}}
    said = texts(plots.score(summary(table), table, far))
    assert {"0.2", "2", "20"} <= set(said)
    assert "above: noise 50.00" in said


def test_losses_below_zero_are_drawn_on_a_linear_axis(make_record):
    record = make_record("digits", "gan", 1, 0)
    for row in record["epochs"]:
        row["train/loss"] -= 1
    said = texts(plots.curves(summary(scores([record], {"runs": {}})), curves([record])))
    assert any(text.startswith("\N{MINUS SIGN}") for text in said)


def test_generator_and_discriminator_have_a_line_each(make_record):
    table = scores([make_record("digits", "gan", depth, 0) for depth in (1, 2)], {"runs": {}})
    assert {"gan, generator", "gan, discriminator"} <= set(texts(plots.gradient(summary(table), table)))


# --- verdicts -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def study(records, test_scores):
    return analyse(records, test_scores, margins={"accuracy": 0.005, "mae": 0.01})


def test_a_forest_has_a_row_for_each_depth_and_better_lies_to_the_right(study):
    drawn = study.pictures["forecasting"]["forest"]
    assert len(drawn) == 1
    said = texts(drawn[0])
    assert [text for text in said if text.startswith("depth")] == ["depth 2", "depth 4", "depth 8"]
    assert places(drawn[0]) == sorted(places(drawn[0]), reverse=True)  # of an error, the lower is better
    upwards = places(study.pictures["classification"]["forest"][0])
    assert upwards == sorted(upwards)


def places(svg: str) -> list[float]:
    """Where along the axis its tick labels stand, by their values."""
    labels = re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>(\N{MINUS SIGN}?[\d.]+)</text>', svg)
    found = {float(text.replace("\N{MINUS SIGN}", "-")): float(x) for x, _, text in labels}
    assert len(found) > 2
    return [found[value] for value in sorted(found)]


def test_a_forest_tells_its_verdicts_to_those_who_cannot_see_it(study):
    alt = ElementTree.fromstring(study.pictures["classification"]["forest"][1]).get("aria-label", "")
    row = select(study.verdicts, data="digits", depth=4).iloc[0]
    ends = f"[{signed(row['low'])}, {signed(row['high'])}]"
    assert f"depth 4 {row['verdict']}, {signed(row['difference'])} {ends}" in alt


def test_a_forest_shows_and_tells_the_interval_with_the_test_samples_error_where_it_is_known(
    records, test_scores
):
    known = analyse(records, test_scores | {"examples": {"digits-mlp": 359}})
    breast_cancer, digits = known.pictures["classification"]["forest"]
    row = select(known.verdicts, data="digits", depth=4).iloc[0]
    alone = f"examples {row['verdict_seeds']}, [{signed(row['low_seeds'])}, {signed(row['high_seeds'])}]"
    assert alone in ElementTree.fromstring(digits).get("aria-label", "")
    note = "thin: and other test examples"
    assert [any(note in text for text in texts(drawn)) for drawn in (breast_cancer, digits)] == [False, True]
    assert [drawn.count("stroke-width: 0.9") for drawn in (breast_cancer, digits)] == [0, 3]


def test_a_depth_without_an_interval_is_named_in_the_forest(make_record):
    lost = [
        make_record("digits", "mlp", depth, seed, diverged=depth == 2)
        for depth in (1, 2, 4)
        for seed in (0, 1)
    ]
    [drawn] = analyse(lost, {"runs": {}, "baselines": {}} | scored(lost)).pictures["classification"]["forest"]
    assert "failed" in texts(drawn)


def scored(records) -> dict:
    finished = [record for record in records if record["state"] == "finished"]
    return {
        "runs": {record["key"]: {"loss": 0.1, "accuracy": 0.9 + 0.01 * record["seed"]} for record in finished}
    }


def test_one_depth_alone_has_no_forest(make_record):
    study = analyse([make_record("digits", "mlp", 1, seed) for seed in (0, 1)], {"runs": {}, "baselines": {}})
    assert "forest" not in study.pictures["classification"]


def test_the_front_holds_what_no_cheaper_cell_equals():
    cells = pd.DataFrame(
        {"training_flops": [10, 20, 30, 40, 40, 5], "test_score": [0.8, 0.9, 0.9, 0.95, 0.99, np.nan]}
    )
    front = plots.front_of(cells, "test_score", higher_is_better=True)
    assert [(cell["training_flops"], cell["test_score"]) for cell in front] == [
        (10, 0.8),
        (20, 0.9),
        (40, 0.99),
    ]
    errors = plots.front_of(cells, "test_score", higher_is_better=False)
    assert [cell["training_flops"] for cell in errors] == [10]


def test_no_panel_has_more_than_four_lines_nor_two_matchings(make_record):
    records = [
        make_record("digits", model, depth, 0, matching=matching) | {"entry": f"digits-{model}{recipe}"}
        for model in ("mlp", "cnn")
        for recipe in ("", "-plain", "-wide")
        for matching in ("width", "parameters")
        for depth in (1, 2)
    ]
    records = [record | {"key": str(place)} for place, record in enumerate(records)]
    found = analyse(records, {"runs": {}, "baselines": {}})
    drawn = found.pictures["classification"]["score"]
    assert (
        len(drawn) == len(found.pictures["classification"]["gap"]) == 4
    )  # 4 and 2 lines under each matching
    for picture, matching in zip(drawn, ["width", "width", "parameters", "parameters"], strict=True):
        assert f"digits, equal {matching}" in " ".join(texts(picture))


# --- axes that are cut ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("high", [2, 90, 4000, 3e7])
def test_ticks_of_a_logarithmic_axis_are_some_and_have_room(high):
    _, [axis] = figure.panels(["loss"], "")
    axis.plot([1, 2], [1, high])
    figure.log_values(axis, [1, high])
    low, top = axis.get_ylim()
    ticks = [tick for tick in axis.get_yticks() if low <= tick <= top]
    assert len(ticks) >= 2
    apart = np.diff(np.log(ticks)) / np.log(top / low)
    assert apart.min() > 0.04  # of the height of a panel, which a number takes


def test_a_grid_of_pictures_is_one_picture_with_all_their_texts_and_colours(study):
    panels = study.pictures["classification"]["score"]
    whole = figure.grid(panels)
    assert ElementTree.fromstring(whole).tag == "{http://www.w3.org/2000/svg}svg"
    assert texts(whole) == [text for panel in panels for text in texts(panel)]
    assert all(rule in whole for panel in panels for rule in re.findall(r"\[style[^}]*}", panel))
    assert whole.count("<style>") == 1
    assert figure.grid(panels[:1]) == panels[0]


@pytest.mark.parametrize(("many", "alone"), [(5, 2), (4, 1)])
def test_a_large_study_is_drawn_in_part_and_a_larger_one_in_less_and_both_say_so(
    make_record, monkeypatch, many, alone
):
    for name, value in {"MOST": 2, "MANY": many, "FEWER": 1}.items():
        monkeypatch.setattr(pictures, name, value)
    records = [
        make_record("digits", "mlp", depth, 0, entry=f"digits-mlp-{rank}")
        for rank in range(2 + 3)
        for depth in (1, 2)
    ]
    study = analyse(records, {"runs": {}, "baselines": {}})
    assert study.drawn == {"classification": (2, alone)}
    html = page(study, study="s", cards={}, provenance={})
    assert "3 more are in the tables" in html
    assert ("the first alone has pictures of\na single architecture" in html) == (alone < 2)
    drawn = study.pictures["classification"]
    assert [len(drawn[name]) for name in ("curves", "layers")] == [alone, alone]
    [score] = drawn["score"]
    assert {"mlp-0", "mlp-1"} <= set(texts(score))


def test_no_study_of_up_to_20_lines_lacks_a_picture_and_a_larger_one_has_hardly_more(make_record):
    def drawn(lines: int) -> tuple[int, ...]:
        cells = pd.DataFrame(
            {
                "task": "a" if rank % 3 else "b",
                "data": "d",
                "model": "m",
                "entry": str(rank),
                "matching": "width",
            }
            for rank in range(lines)
        )
        return tuple(map(sum, zip(*pictures.most(cells).values(), strict=True)))

    assert [drawn(lines) for lines in (3, 20, 21, 40, 41, 200)] == [
        (3, 3), (20, 20), (21, 21), (20, 20), (21, 11), (21, 11),
    ]  # fmt: skip


@pytest.mark.parametrize("last", [1, 2, 3, 7, 60])
def test_ticks_of_epochs_are_whole_numbers_however_few_there_are(last):
    _, [axis] = figure.panels(["loss"], "")
    axis.plot([1, last], [1, 0])
    figure.epoch_axis(axis)
    ticks = axis.get_xticks()
    assert len(ticks)
    assert all(float(tick).is_integer() for tick in ticks)
