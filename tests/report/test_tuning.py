"""What tuning tried, as the report shows it."""

import math
import re

import pytest

from howdeep.records.trials import TrialRow
from howdeep.report import tuning
from howdeep.results.scores import rows_of


def tried(depth, optimizer, losses, low=0.001, **more) -> list[TrialRow]:
    """A trial for each loss, its learning rate ten times that of the one before."""
    return [
        TrialRow(depth, optimizer, low * 10**k, loss, last_loss=loss, **more) for k, loss in enumerate(losses)
    ]


OWN = [
    *tried(1, "adam", [0.9, 0.5, None]), *tried(1, "sgd", [0.7, 0.8], low=0.1),
    *tried(4, "adam", [0.4, 0.6, 0.8]), *tried(4, "sgd", [None, None], low=0.1),
]  # fmt: skip


def texts(trials) -> list[list[str]]:
    return [[cell.text for cell in row] for row in tuning.table(trials).rows]


def test_each_depth_is_told_with_what_its_run_was_trained_with_and_its_edge():
    assert texts({"digits-mlp": OWN}) == [
        ["digits-mlp", "width", "1", "adam", "0.01", "0.500", "5", ""],
        ["digits-mlp", "width", "4", "adam", "0.001", "0.400", "5", "on the edge of what was tried"],
    ]


SEEDS = [
    *tried(1, "adam", [1.0, 0.5, 0.9], seed=0), *tried(1, "adam", [1.0, 0.3, 0.9], low=0.002, seed=1),
    *tried(1, "sgd", [0.7], seed=0), *tried(1, "sgd", [0.7], low=0.002, seed=1),
    *tried(1, "adam", [1.0, 1.0, 1.0], low=0.003, seed=2), *tried(1, "sgd", [0.1], low=0.003, seed=2),
]  # fmt: skip


def test_the_choices_of_several_runs_are_counted_and_the_rates_of_the_most_chosen_told():
    assert texts({"e": SEEDS}) == [
        ["e", "width", "1", "adam 2, sgd 1", "0.015 (0.01 to 0.02)", "0.300", "4", ""]
    ]
    table = tuning.frame({"e": SEEDS})
    assert table[table["chosen"] != ""]["lr"].tolist() == [0.01, 0.02, 0.003]


def test_a_depth_of_which_all_diverged_is_told():
    (row,) = texts({"e": tried(2, "sgd", [None, None], low=0.1)})
    assert row[4:7] == ["0.1", "all diverged", "2"]
    assert row[7].startswith("1 of 1 runs: all trials diverged")


def test_cells_on_an_edge_are_counted_among_those_that_finished():
    lost = tried(8, "sgd", [None, None], low=0.1)
    assert tuning.on_edges({"digits-mlp": OWN, "e": [*OWN, *lost]}) == (2, 4)


def test_entries_whose_validation_is_too_easy_are_named():
    easy = [*tried(1, "sgd", [0.0, 0.0, 1.0]), *tried(2, "sgd", [0.1, 0.0, 1.0])]
    assert tuning.saturated({"digits-mlp": OWN, "easy": easy}) == ["easy"]


def test_a_trial_is_ranked_among_the_finished_ones_of_its_run():
    ranks = [one.rank for one in tuning.judged(OWN)]
    assert [ranks[2], *ranks[:2], *ranks[3:5]] == [None, *map(pytest.approx, (0.0, 1.0, 2 / 3, 1 / 3))]


def test_the_table_of_trials_has_every_one_with_what_became_of_it():
    table = tuning.frame({"digits-mlp": OWN})
    assert len(table) == len(OWN)
    chosen = [row for row in rows_of(table) if row["chosen"] != ""]
    assert [[row[name] for name in ("depth", "optimizer", "lr", "chosen", "rank")] for row in chosen] == [
        [1, "adam", 0.01, "yes", 1.0],
        [4, "adam", 0.001, "edge", 1.0],
    ]
    assert sum(math.isnan(row["val_loss"]) for row in rows_of(table)) == 3
    assert all(math.isnan(row["rank"]) == math.isnan(row["val_loss"]) for row in rows_of(table))


def test_each_matching_has_winners_and_a_picture_of_its_own():
    equal = tried(1, "adam", [1.0, 0.5, 0.3], matching="parameters")
    both = {"digits-mlp": [*OWN, *equal]}
    assert tuning.panels(both) == {"digits-mlp": OWN, "digits-mlp, equal parameters": equal}
    assert [row[1:3] + row[6:7] for row in texts(both)] == [
        ["width", "1", "5"], ["width", "4", "5"], ["parameters", "1", "3"]
    ]  # fmt: skip


def test_the_picture_says_what_was_chosen_and_names_every_rate():
    drawn = tuning.heatmap("digits-mlp", OWN)
    label = re.search('aria-label="([^"]*)"', drawn)
    assert label
    assert label[1].endswith("Runs that chose: depth 1 adam 1 and depth 4 adam 1.")
    texts = re.findall(r">([^<>]+)</text>", drawn)
    assert {"0.001", "0.01", "0.1", "1", "adam", "sgd", "depth"} <= set(texts)
    assert drawn == tuning.heatmap("digits-mlp", OWN)


def test_the_setting_that_alone_decides_has_all_importance():
    rates = [0.001 * 2**k for k in range(8)]
    own = [TrialRow(d, o, lr, lr, last_loss=lr) for d in (1, 2) for o in ("adam", "sgd") for lr in rates]
    shares = tuning.importances(own)
    assert max(shares, key=lambda name: shares[name]) == "learning rate"
    assert shares["learning rate"] > 0.9
    assert abs(sum(shares.values()) - 1) < 1e-9


def test_few_trials_tell_no_importances():
    assert tuning.importances(OWN) == {}


BESIDE = [
    *(
        TrialRow(d, "sgd", 0.1 * k, loss, last_loss=loss, momentum=0.1 * (k % 7))
        for k in range(1, 29) for d in (1, 2) for loss in [abs(k % 7 - 3) + 0.01 * d]
    ),
    *(
        TrialRow(d, "adam", 0.001 * k, 5.0, last_loss=5.0, weight_decay=1e-5 * k)
        for k in range(1, 13) for d in (1, 2)
    ),
]  # fmt: skip


def test_a_second_setting_stands_in_the_tables_where_it_was_tuned():
    table = tuning.table({"digits-mlp": BESIDE, "other": OWN})
    assert table.headings[3:8] == [
        "optimizer",
        "learning rate",
        "momentum",
        "weight decay",
        "validation loss",
    ]
    assert [[text.text for text in row[3:7]] for row in table.rows] == [
        ["sgd", "0.3", "0.3", ""], ["sgd", "0.3", "0.3", ""], ["adam", "0.01", "", ""], ["adam", "0.001", "", ""]
    ]  # fmt: skip
    assert "momentum" not in tuning.table({"other": OWN}).headings
    told = tuning.frame({"digits-mlp": BESIDE})
    assert told["momentum"].notna().equals(told["optimizer"] == "sgd")


def test_a_momentum_that_decides_has_more_importance_than_the_rate_beside_it():
    shares = tuning.importances(BESIDE)
    assert set(shares) == {"depth", "optimizer", "learning rate", "momentum", "weight decay"}
    assert shares["momentum"] > 2 * shares["learning rate"] > 0
    assert abs(sum(shares.values()) - 1) < 1e-9
    table = tuning.importance_table({"digits-mlp": BESIDE})
    assert table.headings == ["entry", "learning rate", "momentum", "weight decay", "optimizer", "depth"]


def test_a_map_of_many_rates_names_some_of_them():
    drawn = tuning.heatmap("e", [TrialRow(1, "sgd", float(k), 1.0, last_loss=1.0) for k in range(1, 25)])
    named = [text for text in re.findall(r">([^<>]+)</text>", drawn) if text in map(str, range(1, 25))]
    assert sorted(set(map(int, named)) - {1}) == list(range(4, 25, 3))  # 1 is also the depth
