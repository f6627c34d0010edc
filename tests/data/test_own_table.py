"""Tables of somebody's own: what becomes of rows and columns, against pandas and scikit-learn."""

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file
from sklearn.preprocessing import StandardScaler

from howdeep.data import chosen, own_table
from howdeep.encoding import table_inputs
from howdeep.errors import UserError
from howdeep.files import tensors
from howdeep.files.tensors import Blocks
from howdeep.intake import columns as declared
from howdeep.intake import reading

N = 60
COLUMNS = {
    "size": {"kind": "number", "missing": ["", "NA"], "indicator": True},
    "colour": {"kind": "category", "values": ["blue", "red"]},
    "note": {"kind": "excluded", "because": "text"},
    "y": {"kind": "classes", "classes": ["no", "yes"]},
}
READ = {"file": "of.csv", "encoding": "utf-8", "separator": ","}


def table() -> pd.DataFrame:
    random = np.random.RandomState(0)
    return pd.DataFrame({
        "size": [f"{value:.3f}" if place % 7 else "NA" for place, value in enumerate(random.randn(N))],
        "colour": random.choice(["red", "blue", "green"], N),
        "note": [f"n{place}" for place in range(N)],
        "y": np.where(np.arange(N) % 3, "no", "yes"),
    })  # fmt: skip


def prepared(tmp_path, of=None, columns=COLUMNS, **options):
    (table() if of is None else of).to_csv(tmp_path / "of.csv", index=False)
    options = {"split": "stratified", "test_fraction": 0.2, "seed": 0} | options
    return own_table.prepare(tmp_path, **READ, columns=columns, **options)


def test_inputs_are_those_of_the_columns_filled_and_standardised_as_the_training_rows_say(tmp_path):
    found, of = prepared(tmp_path), table()
    size = np.array([np.nan if text == "NA" else float(text) for text in of["size"]])
    x = np.column_stack(
        [size, np.isnan(size), *(of["colour"] == word for word in ("blue", "red")), of["colour"] == "green"]
    )
    kept = np.flatnonzero(own_rows(of, found.train["y"], tmp_path))
    filled = np.where(np.isnan(x), np.nanmean(x[kept], axis=0), x)
    scaler = StandardScaler().fit(filled[kept])
    np.testing.assert_allclose(found.train["x"], np.asarray(scaler.transform(filled[kept])), atol=1e-5)
    assert found.card["classes"] == ["no", "yes"]
    assert found.card["examples"] == {"train": 48, "test": 12}
    assert found.card["counts"] == {"train": [32, 16], "test": [8, 4]}


def own_rows(of, y, tmp_path):
    """Whether each row is a training one, by the rule of the split."""
    from howdeep.data.splits import stratified

    kept, _ = stratified((of["y"] == "yes").to_numpy().astype(int), 0.2, 0)
    np.testing.assert_array_equal((of["y"] == "yes").to_numpy()[kept], y)
    return np.isin(np.arange(len(of)), kept)


def test_nothing_of_the_test_rows_is_in_what_training_rows_become(tmp_path):
    before, of = prepared(tmp_path), table()
    test = ~own_rows(of, before.train["y"], tmp_path)
    of.loc[test & (of["size"] != "NA"), "size"] = "1000"
    after = prepared(tmp_path, of)
    np.testing.assert_array_equal(before.train["x"], after.train["x"])
    assert not np.array_equal(before.test["x"], after.test["x"])


def test_words_that_are_not_listed_are_counted(tmp_path):
    of, found = table(), prepared(tmp_path)
    told = found.card["not_listed"]["colour"]
    assert told["train"] + told["test"] == (of["colour"] == "green").sum()


def test_numbers_as_targets_are_standardised_and_keep_their_order(tmp_path):
    of = table().assign(y=[f"{place * 10}" for place in range(N)], z=[f"{-place}" for place in range(N)])
    columns = {**COLUMNS, "y": {"kind": "number_target"}, "z": {"kind": "number_target"}}
    found = prepared(tmp_path, of, columns, split="random")
    assert found.train["y"].shape == (48, 2)
    np.testing.assert_allclose(found.train["y"].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found.train["y"].std(0), 1, atol=1e-6)
    np.testing.assert_allclose(found.train["y"][:, 0], -found.train["y"][:, 1], atol=1e-5)
    assert found.card["target"]["names"] == ["y", "z"]


def test_the_rows_of_a_group_are_on_one_side_in_both_splits(tmp_path):
    of = table().assign(who=[f"p{place % 9}" for place in range(N)])
    columns = {**COLUMNS, "who": {"kind": "excluded", "because": "rows are split by it"}}
    for seed in range(5):
        found = prepared(tmp_path, of, columns, split="group", by="who", seed=seed)
        groups = found.train["group"]
        assert 0.5 * N < len(groups) < 0.95 * N
        save_file(found.train, tmp_path / "train.safetensors")
        split = own_table.grouped(
            tmp_path / "train.safetensors", None, in_shape=[5], validation_fraction=0.25, seed=seed
        )
        kept, held_out = own_table.groups_apart(groups, 0.25, seed)
        assert not set(groups[kept]) & set(groups[held_out])
        torch.testing.assert_close(split.validation[0], torch.from_numpy(found.train["x"][held_out]))


def test_a_split_in_time_learns_from_nothing_later_whatever_the_order_of_rows(tmp_path):
    days = np.random.RandomState(1).permutation(N) // 3  # three rows a day
    of = table().assign(
        day=[f"2020-{1 + day // 28:02d}-{1 + day % 28:02d}" for day in days], y=[str(day) for day in days]
    )
    columns = {**COLUMNS, "day": {"kind": "date", "format": "%Y-%m-%d"}, "y": {"kind": "number_target"}}
    found = prepared(tmp_path, of, columns, split="time", by="day", seed=None)
    assert found.train["y"].max() < found.test["y"].min()
    save_file(found.train, tmp_path / "train.safetensors")
    split = own_table.in_order(tmp_path / "train.safetensors", None, in_shape=[8], validation_fraction=0.25)
    assert split.train[1].max() <= split.validation[1].min()


def test_parts_that_are_given_are_those(tmp_path):
    of = table().assign(part=["train"] * 40 + ["dev"] * 10 + ["test"] * 10)
    columns = {**COLUMNS, "part": {"kind": "excluded", "because": "it says the part"}}
    given = {"split": "given", "by": "part", "test": ["test"], "validation": ["dev"], "seed": None}
    found = prepared(tmp_path, of, columns, **given)
    assert (len(found.train["x"]), len(found.test["x"])) == (50, 10)
    save_file(found.train, tmp_path / "train.safetensors")
    split = own_table.given(tmp_path / "train.safetensors", None, in_shape=[5])
    assert (len(split.train[0]), len(split.validation[0])) == (40, 10)
    with pytest.raises(UserError, match="expected validation rows, but no value of 'part' says so"):
        prepared(tmp_path, of, columns, **{**given, "validation": ["val"]})


@pytest.mark.parametrize(
    ("columns", "options", "told"),
    [
        ({**COLUMNS, "sise": {"kind": "number"}}, {}, "expected the column 'sise', found none, did you mean 'size'"),
        ({k: v for k, v in COLUMNS.items() if k != "note"}, {}, "has the column 'note', of which"),
        ({**COLUMNS, "y": {"kind": "classes", "classes": ["no", "maybe"]}}, {}, "classes, got 'yes' in line 2"),
        ({**COLUMNS, "y": {"kind": "excluded", "because": "-"}}, {}, "with kind classes or number_target"),
        ({**COLUMNS, "size": {"kind": "number_target"}}, {}, "expected one column of of.csv with classes, or one"),
        (COLUMNS, {"split": "sorted"}, "split must be one of stratified, random"),
        (COLUMNS, {"split": "group"}, "must have a column in data.prepare.by"),
        (COLUMNS, {"split": "time", "by": "colour"}, "expected dates or numbers in 'colour'"),
        (COLUMNS, {"test_fraction": None}, "must have test_fraction and seed"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_file_is_told_in_one_line(tmp_path, columns, options, told):
    with pytest.raises(UserError, match=told) as error:
        prepared(tmp_path, columns=columns, **options)
    assert "\n" not in str(error.value)


def test_a_row_without_a_target_is_refused_or_left_out(tmp_path):
    of = table()
    of.loc[3, "y"] = ""
    with pytest.raises(
        UserError, match="expected a target in every row, but 1 of 60 have none, the first in line 5"
    ):
        prepared(tmp_path, of)
    found = prepared(tmp_path, of, drop_missing_targets=True)
    assert sum(found.card["examples"].values()) == N - 1


def small_chunks(monkeypatch):
    """As if the table were large: read, counted and written in blocks of a few rows."""
    monkeypatch.setattr(reading, "CELLS", 28)
    monkeypatch.setattr(own_table, "CELLS", 50)
    monkeypatch.setattr(own_table, "IN_MEMORY", 0)


@pytest.mark.parametrize(
    ("split", "options"),
    [("stratified", {}), ("group", {"by": "who"}), ("time", {"by": "size", "seed": None}),
     ("given", {"by": "who", "test": ["p1", "p4"], "validation": ["p2"], "seed": None})],
)  # fmt: skip
def test_a_table_in_many_chunks_becomes_what_it_becomes_at_once(tmp_path, monkeypatch, split, options):
    of = table().assign(who=[f"p{place % 9}" for place in range(N)], size=np.random.RandomState(2).randn(N))
    columns = {**COLUMNS, "who": {"kind": "excluded", "because": "-"}}
    whole = prepared(tmp_path, of, columns, split=split, **options)
    small_chunks(monkeypatch)
    found = prepared(tmp_path, of, columns, split=split, **options)
    assert isinstance(found.train["x"], Blocks)
    tensors.write(tmp_path / "train.safetensors", found.train)
    written = tensors.read(tmp_path / "train.safetensors")
    assert written.keys() == whole.train.keys()
    for name, array in whole.train.items():
        np.testing.assert_allclose(written[name], array, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.test["x"].whole(), whole.test["x"], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.test["y"], whole.test["y"])
    for name in ("mean", "std"):
        np.testing.assert_allclose(found.card.pop(name), whole.card.pop(name), rtol=1e-12)
    for ours, theirs in zip(found.card.pop("range").values(), whole.card.pop("range").values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    assert found.card == whole.card


def test_new_rows_become_what_they_became_among_those_that_were_prepared(tmp_path):
    found, of = prepared(tmp_path), table()
    columns = declared.declared(COLUMNS, "columns")
    sheet = reading.read(tmp_path / "of.csv", "utf-8", ",")
    card = {"mean": found.card["mean"], "std": found.card["std"]}
    x = table_inputs.inputs_of(sheet, columns, "of.csv", **card)
    train = own_rows(of, found.train["y"], tmp_path)
    np.testing.assert_array_equal(x[train], found.train["x"])
    np.testing.assert_array_equal(x[~train], found.test["x"])
    assert (x[(of["size"] == "NA").to_numpy(), 0] == 0).all()
    without_target = reading.Sheet(sheet.names[:3], [row[:3] for row in sheet.rows], sheet.lines)
    np.testing.assert_array_equal(table_inputs.inputs_of(without_target, columns, "of.csv", **card), x)


@pytest.mark.parametrize("chunks", [False, True])
def test_mistakes_of_all_chunks_are_told_in_one_line_of_the_first_column_that_has_any(
    tmp_path, monkeypatch, chunks
):
    if chunks:
        small_chunks(monkeypatch)
    of = table()
    of.loc[[40, 41, 50, 59], "size"] = ["forty", "41a", "x", "y"]
    of.loc[3, "y"] = "perhaps"
    told = r"column 'size': expected numbers, got 'forty' in line 42, '41a' in line 43, 'x' in line 52 and 1 more"
    with pytest.raises(UserError, match=told):
        prepared(tmp_path, of)
    without = {**COLUMNS, "size": {"kind": "number", "missing": ["", "NA"]}}
    with pytest.raises(
        UserError, match=told
    ):  # what is wrong comes before what is missing, in an earlier chunk
        prepared(tmp_path, of, without)
    of = table()
    with pytest.raises(
        UserError, match="no missing numbers, got 'NA' in line 2, 'NA' in line 9, 'NA' in line 16 and 6"
    ):
        prepared(tmp_path, of, without)
    of.loc[[5, 55], "y"] = ""
    with pytest.raises(UserError, match="but 2 of 60 have none, the first in line 7"):
        prepared(tmp_path, of)


@pytest.mark.parametrize(
    ("how", "options"),
    [("grouped", {"validation_fraction": 0.25, "seed": 3}), ("in_order", {"validation_fraction": 0.25}), ("given", {})],
)  # fmt: skip
def test_parts_of_a_large_file_are_those_of_a_small_one(tmp_path, monkeypatch, how, options):
    path = tmp_path / "of" / "train.safetensors"
    path.parent.mkdir()
    random = np.random.RandomState(0)
    arrays = {"x": random.randn(N, 5).astype(np.float32), "y": random.randint(2, size=N),
              "group": random.randint(9, size=N), "validation": (random.rand(N) < 0.3).astype(np.uint8)}  # fmt: skip
    save_file(arrays, path)
    small = getattr(own_table, how)(path, path, in_shape=[5], **options)
    monkeypatch.setattr(tensors, "LARGE", 1)
    monkeypatch.setattr(chosen, "LARGE", 1)
    large = getattr(own_table, how)(path, path, in_shape=[5], **options)
    assert isinstance(large.train[0], chosen.Chosen)
    for ours, theirs in zip(large, small, strict=True):
        assert len(ours[0]) == len(theirs[0]) > 0
        assert torch.equal(ours[0].index_select(0, torch.arange(len(ours[0]))), theirs[0])
        assert torch.equal(ours[1], theirs[1])


def test_a_table_without_any_target_has_no_rows(tmp_path):
    with pytest.raises(UserError, match="expected rows with a target, got none"):
        prepared(tmp_path, table().assign(y=""), drop_missing_targets=True)


def test_nothing_is_left_beside_the_file(tmp_path):
    prepared(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["of.csv"]
