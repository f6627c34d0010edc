"""What tuning tried, as the report shows it."""

import re

from howdeep.results import tuning
from howdeep.tuning import TrialRow

OWN = [
    TrialRow(1, "adam", 0.001, 0.9), TrialRow(1, "adam", 0.01, 0.5), TrialRow(1, "adam", 0.1, None),
    TrialRow(1, "sgd", 0.1, 0.7), TrialRow(1, "sgd", 1.0, 0.8),
    TrialRow(4, "adam", 0.001, 0.4), TrialRow(4, "adam", 0.01, 0.6), TrialRow(4, "adam", 0.1, 0.8),
    TrialRow(4, "sgd", 0.1, None), TrialRow(4, "sgd", 1.0, None),
]  # fmt: skip


def texts(trials) -> list[list[str]]:
    return [[cell.text for cell in row] for row in tuning.table(trials).rows]


def test_each_depth_has_one_winner_told_with_its_trials_and_its_edge():
    assert texts({"digits-mlp": OWN}) == [
        ["digits-mlp", "1", "adam", "0.01", "0.500", "5", ""],
        ["digits-mlp", "4", "adam", "0.001", "0.400", "5", "on the edge of what was tried"],
    ]


def test_a_depth_of_which_all_diverged_is_told():
    (row,) = texts({"e": [TrialRow(2, "sgd", 0.1, None), TrialRow(2, "sgd", 1.0, None)]})
    assert row[3:] == ["0.1", "all diverged", "2", "on the edge of what was tried"]


def test_a_trial_is_ranked_among_the_finished_ones_of_its_depth():
    assert [tuning._rank(row, OWN) for row in OWN[:2]] == [0.0, 1.0]
    assert tuning._rank(OWN[3], OWN) == 2 / 3


def test_the_picture_says_what_was_chosen_and_names_every_rate():
    drawn = tuning.heatmap("digits-mlp", OWN)
    label = re.search('aria-label="([^"]*)"', drawn)
    assert label
    assert label[1].endswith("Chosen: depth 1 adam 0.01 and depth 4 adam 0.001.")
    texts = re.findall(r">([^<>]+)</text>", drawn)
    assert {"0.001", "0.01", "0.1", "1", "adam", "sgd", "depth"} <= set(texts)
    assert drawn == tuning.heatmap("digits-mlp", OWN)


def test_the_setting_that_alone_decides_has_all_importance():
    rates = [0.001 * 2**k for k in range(8)]
    own = [TrialRow(d, o, lr, lr) for d in (1, 2) for o in ("adam", "sgd") for lr in rates]
    shares = tuning.importances(own)
    assert max(shares, key=lambda name: shares[name]) == "learning rate"
    assert shares["learning rate"] > 0.9
    assert abs(sum(shares.values()) - 1) < 1e-9


def test_few_trials_tell_no_importances():
    assert tuning.importances(OWN) == {}
