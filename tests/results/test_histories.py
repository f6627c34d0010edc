"""Tables over epochs, against the records they come from."""

import numpy as np
import pytest
from scipy import stats

from howdeep.results.histories import curves, gradients
from howdeep.results.scores import select


def test_a_curve_is_the_mean_over_the_finished_runs_that_came_so_far(make_record):
    short, long = (make_record("digits", "mlp", 1, seed) for seed in (0, 1))
    short["epochs"] = short["epochs"][:2]
    short["best_epoch"] = 1
    table = curves([short, long, make_record("digits", "mlp", 1, 2, diverged=True)])
    assert table["runs"].tolist() == [2, 2] + [1] * 18
    both = [record["epochs"][1]["val/loss"] for record in (short, long)]
    assert table["val_loss"].tolist()[1:3] == pytest.approx([np.mean(both), long["epochs"][2]["val/loss"]])


def test_a_score_that_is_not_measured_in_every_epoch_is_missing_in_the_others(make_record):
    record = make_record("digits", "gan", 1, 0)
    for row in record["epochs"][1:]:
        del row["val/kid"]
    table = curves([record])
    assert table["val_score"].notna().tolist() == [True] + [False] * 19
    assert np.isfinite(table["val_loss"].to_numpy()).all()


def test_a_layers_gradient_is_the_geometric_mean_over_the_finished_runs(make_record):
    records = [make_record("digits", "mlp", 2, seed) for seed in range(3)]
    for record, norm in zip(records, (0.1, 0.4, None), strict=True):
        record["gradient_flow"][0]["activation_gradient"] = norm
    lost = make_record("digits", "mlp", 2, 3, diverged=True)
    table = gradients([*records, lost])
    first = select(table, epoch=0, layer=1)
    assert first["activation_gradient"].tolist() == pytest.approx([stats.gmean([0.1, 0.4])])
    assert table[["epoch", "layer"]].to_numpy().tolist() == [[e, i] for e in (0, 10, 19) for i in (1, 2)]


def test_a_gradient_that_no_run_knows_is_a_missing_value_not_zero(make_record):
    record = make_record("digits", "mlp", 1, 0)
    for row in record["gradient_flow"]:
        row["activation_gradient"] = None
    assert np.isnan(gradients([record])["activation_gradient"].to_numpy()).all()


def test_networks_trained_against_each_other_are_never_mixed(make_record):
    table = gradients([make_record("digits", "gan", 2, 0)])
    assert table.groupby("part").size().to_dict() == {"discriminator": 6, "generator": 6}


def test_without_finished_runs_the_tables_are_empty(make_record):
    records = [make_record("digits", "mlp", 1, 0, diverged=True)]
    assert curves(records).empty
    assert gradients(records).empty
