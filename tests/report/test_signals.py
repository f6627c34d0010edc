"""Signals at both ends of a network, against geometric means worked out by hand."""

import math

import pytest

from howdeep.report.analysis import analyse
from howdeep.report.packing import unpacked
from howdeep.report.page import page
from howdeep.report.signals import Ends, ends, table

NAMES = {("digits-mlp", "width"): "mlp"}


def flow(depth: int, epoch: int, size: float, ratio: float | None = 0.01) -> list[dict]:
    return [
        {"epoch": epoch, "layer": layer, "activation_gradient": size * layer}
        | {"activation_rms": 1.0, "update_ratio": ratio}
        for layer in range(1, depth + 1)
    ]


def test_ends_are_geometric_means_over_the_finished_runs_at_the_last_epoch(make_record):
    records = [
        make_record("digits", "mlp", 4, 0, gradient_flow=flow(4, 0, 99.0) + flow(4, 9, 0.1)),
        make_record("digits", "mlp", 4, 1, gradient_flow=flow(4, 9, 0.4)),
        make_record("digits", "mlp", 4, 2, diverged=True, gradient_flow=flow(4, 9, 1e9)),
    ]
    assert ends(records, "", "activation_gradient") == pytest.approx((0.2, 0.8))
    assert ends(records, "", "activation_rms") == Ends(1, 1)


def test_an_update_that_was_not_watched_in_the_last_epoch_is_that_of_the_one_before(make_record):
    record = make_record("digits", "mlp", 2, 0, gradient_flow=flow(2, 5, 1.0, 0.003) + flow(2, 7, 1.0, None))
    assert ends([record], "", "update_ratio") == pytest.approx((0.003, 0.003))


def test_what_was_never_measured_is_missing(make_record):
    assert all(
        map(math.isnan, ends([make_record("digits", "mlp", 2, 0, gradient_flow=[])], "", "update_ratio"))
    )


def test_sizes_stand_beside_the_settings_that_they_depend_on_and_parts_have_rows_of_their_own(make_record):
    plain = make_record("digits", "mlp", 2, 0, gradient_flow=flow(2, 0, 1.5e-6))
    plain["config"]["model"] |= {"activation": "tanh", "initialisation": "he", "residual": False}
    [row] = table([plain], names=NAMES, task="classification").rows
    told = [cell.text for cell in row]
    assert told[:7] == ["digits", "mlp", "2", "tanh", "he", "\N{EN DASH}", "no"]
    assert told[7:] == ["1.5e-06", "3.0e-06", "1", "1", "0.01", "0.01"]
    game = [make_record("digits", "gan", 2, 0)]
    parts = table(game, names={("digits-gan", "width"): "gan"}, task="generation").rows
    assert [row[1].text for row in parts] == ["gan, discriminator", "gan, generator"]
    assert table([plain], names={}, task="classification").rows == []


def test_the_page_holds_them_below_the_heat_maps(make_record):
    study = analyse(
        [make_record("digits", "mlp", depth, 0) for depth in (1, 2)], {"runs": {}, "baselines": {}}
    )
    html = unpacked(page(study, study="s", cards={}, provenance={}))
    assert html.index("Gradient at every layer") < html.index(
        "Signals at the first and at the last hidden layer"
    )
