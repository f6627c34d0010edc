"""What tuning tried, as the report shows it."""

import math
import re

from howdeep.records.trials import TrialRow
from howdeep.report import tuning
from howdeep.results.scores import rows_of

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
        ["digits-mlp", "width", "1", "adam", "0.01", "0.500", "5", ""],
        ["digits-mlp", "width", "4", "adam", "0.001", "0.400", "5", "on the edge of what was tried"],
    ]


def test_a_depth_of_which_all_diverged_is_told():
    (row,) = texts({"e": [TrialRow(2, "sgd", 0.1, None), TrialRow(2, "sgd", 1.0, None)]})
    assert row[4:] == ["0.1", "all diverged", "2", "on the edge of what was tried"]


def test_winners_on_an_edge_are_counted_among_those_that_finished():
    lost = [TrialRow(8, "sgd", 0.1, None), TrialRow(8, "sgd", 1.0, None)]
    assert tuning.on_edges({"digits-mlp": OWN, "e": [*OWN, *lost]}) == (2, 4)


def test_a_trial_is_ranked_among_the_finished_ones_of_its_depth():
    assert [tuning._rank(row, OWN) for row in OWN[:2]] == [0.0, 1.0]
    assert tuning._rank(OWN[3], OWN) == 2 / 3
    assert tuning._rank(OWN[2], OWN) is None


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
    equal = [TrialRow(1, "adam", 0.1 * k, 1.0 / k, matching="parameters") for k in (1, 2, 3)]
    both = {"digits-mlp": [*OWN, *equal]}
    assert tuning.panels(both) == {"digits-mlp": OWN, "digits-mlp, equal parameters": equal}
    assert [row[1:3] + row[6:7] for row in texts(both)] == [
        ["width", "1", "5"], ["width", "4", "5"], ["parameters", "1", "3"]
    ]  # fmt: skip


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


BESIDE = [
    *(
        TrialRow(d, "sgd", 0.1 * k, abs(k % 7 - 3) + 0.01 * d, momentum=0.1 * (k % 7))
        for k in range(1, 29) for d in (1, 2)
    ),
    *(TrialRow(d, "adam", 0.001 * k, 5.0, weight_decay=1e-5 * k) for k in range(1, 13) for d in (1, 2)),
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
    drawn = tuning.heatmap("e", [TrialRow(1, "sgd", float(k), 1.0) for k in range(1, 25)])
    named = [text for text in re.findall(r">([^<>]+)</text>", drawn) if text in map(str, range(1, 25))]
    assert sorted(set(map(int, named)) - {1}) == list(range(4, 25, 3))  # 1 is also the depth
