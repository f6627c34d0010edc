"""Values far out leave an axis to the others, and are told all the same."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from howdeep.figures import plots
from howdeep.figures.cut_axis import OFF, bulk
from howdeep.report.analysis import analyse
from howdeep.results.scores import scores, summary
from howdeep.results.wording import signed


def texts(svg: str) -> list[str]:
    return [
        element.text or "" for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
    ]


def scored(records) -> dict:
    finished = [record for record in records if record["state"] == "finished"]
    return {
        "runs": {record["key"]: {"loss": 0.1, "accuracy": 0.9 + 0.01 * record["seed"]} for record in finished}
    }


def test_values_that_are_far_out_are_told_by_tukeys_fences():
    near = np.linspace(0.93, 0.97, 14)  # quartiles 0.94 and 0.96: fences at 0.88 and 1.02
    assert bulk(np.append(near, [0.1, 0.6])) == pytest.approx((0.93, 0.97))
    assert bulk(np.append(near, 1.5)) == pytest.approx((0.93, 0.97))


@pytest.mark.parametrize(
    "values",
    [
        [0.1, 0.95, 0.95, 0.96],  # too few to say which is odd
        np.linspace(0.1, 0.97, 12),  # spread evenly
        np.logspace(-3, 0, 12),  # spread evenly on another scale
        [*np.linspace(0.90, 0.97, 12), 0.80],  # not far enough to matter
        [0.9] * 12,
    ],
    ids=["few", "even", "logarithmic", "near", "same"],
)
def test_an_axis_is_not_cut_where_no_few_values_flatten_the_others(values):
    assert bulk(np.array(values)) is None


@pytest.fixture(scope="module")
def collapsed(make_record):
    """Three networks on digits about as good at every depth, and a fourth that fails when it is deep."""
    levels = {"cnn": 0.97, "mlp": 0.96, "gru": 0.95, "rnn": 0.94}
    records = []
    for model, level in levels.items():
        for depth in (1, 2, 4, 8):
            for seed in (0, 1, 2):
                accuracy = 0.125 if (model, depth) == ("rnn", 8) else level + 0.001 * depth
                record = make_record("digits", "mlp", depth, seed)
                record |= {"model": model, "entry": f"digits-{model}", "key": f"{model}-{depth}-{seed}"}
                record["cost"] = record["cost"] | {"training_flops": 1000 * depth * (1 + len(model))}
                for row in record["epochs"]:
                    row["val/accuracy"] = accuracy + 0.001 * seed
                records.append(record)
    test = {
        record["key"]: {"loss": 0.1, "accuracy": record["epochs"][-1]["val/accuracy"]} for record in records
    }
    return analyse(records, {"runs": test, "baselines": {}}, margins={"accuracy": 0.01})


@pytest.mark.parametrize("name", ["score", "pareto"])
def test_one_collapse_is_an_arrow_with_its_value_and_leaves_the_axis_to_the_others(collapsed, name):
    [drawn] = collapsed.pictures["classification"][name]
    said = texts(drawn)
    assert OFF in said
    assert said.count("0.126") == 1
    ticks = [float(text) for text in said if re.fullmatch(r"0\.9\d*|0\.[0-8]\d?|1\.\d+", text)]
    assert len(ticks) >= 3
    assert min(ticks) > 0.9


def test_a_gap_that_is_far_out_leaves_the_axis_to_the_others(make_record):
    records = [
        make_record("digits", "mlp", depth, seed) | {"model": model, "entry": model}
        for model in ("mlp", "cnn")
        for depth in (1, 2, 4, 8)
        for seed in (0, 1)
    ]
    for record in records:
        if (record["model"], record["depth"]) == ("cnn", 8):
            record["gap"] = {name: of | {"loss": -0.75} for name, of in record["gap"].items()}
    table = scores(records, {"runs": {}})
    said = texts(plots.gap(summary(table), table))
    assert OFF in said
    assert [text for text in said if "0.75" in text] == ["\N{MINUS SIGN}0.750"]
    shown = [float(text) for text in said if re.fullmatch(r"0\.\d{2,3}", text)]
    assert 0.1 <= max(shown) < 0.3  # up to the gap at the last epoch


def test_those_who_cannot_see_a_cut_axis_are_told_all_values(collapsed):
    alt = ElementTree.fromstring(collapsed.pictures["classification"]["score"][0]).get("aria-label", "")
    assert "rnn: depth 1: 0.942" in alt
    assert "depth 8: 0.126" in alt


def test_a_collapse_leaves_the_differences_of_the_others_their_room(collapsed):
    [drawn] = collapsed.pictures["classification"]["forest"]
    said = texts(drawn)
    assert OFF in said
    assert signed(0.126 - 0.942) in said
    ticks = [
        float(text.replace("\N{MINUS SIGN}", "-")) for text in said if re.fullmatch(r".?0\.\d{1,3}", text)
    ]
    assert max(ticks) < 0.1
