"""Series of somebody's own: every number is there, steps are even, the future is the test."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from howdeep.data import own_series
from howdeep.errors import UserError

COLUMNS = {
    "day": {"kind": "date", "format": "%Y-%m-%d"},
    "a": {"kind": "number_target"},
    "b": {"kind": "number_target", "decimal": ","},
    "note": {"kind": "excluded", "because": "no numbers"},
}


def prepared(tmp_path, of, **options):
    of.to_csv(tmp_path / "of.csv", index=False, sep=";")
    read = {"file": "of.csv", "encoding": "utf-8", "separator": ";", "time": "day", "test_fraction": 0.2}
    return own_series.prepare(tmp_path, columns=COLUMNS, **(read | options))


@pytest.fixture
def table():
    return pd.DataFrame({
        "day": pd.date_range("2020-01-31", periods=50, freq="ME").strftime("%Y-%m-%d"),
        "a": np.arange(50) ** 2, "b": [f"{value},5" for value in range(50)], "note": "x",
    })  # fmt: skip


def test_variables_are_standardised_as_the_past_says_and_the_last_steps_are_the_test(tmp_path, table):
    found = prepared(tmp_path, table)
    series = np.column_stack([np.arange(50) ** 2, np.arange(50) + 0.5]).astype(float)
    past = series[:40]
    np.testing.assert_allclose(found.train["series"], (past - past.mean(0)) / past.std(0), atol=1e-5)
    np.testing.assert_allclose(found.test["series"], (series[40:] - past.mean(0)) / past.std(0), atol=1e-5)
    assert found.card["variables"] == ["a", "b"]
    assert (found.card["step"], found.card["first"]) == ("1 month", "2020-01-31")


def test_nothing_is_filled(tmp_path, table):
    with pytest.raises(
        UserError, match="expected even steps of 1 month, got from '2020-05-31' to '2020-07-31' in line 7"
    ):
        prepared(tmp_path, table.drop(index=5))
    assert prepared(tmp_path, table.drop(index=5), time=None).card["examples"] == {"train": 39, "test": 10}
    with pytest.raises(UserError, match="expected a number at every step, got '' in line 6: fill it"):
        prepared(tmp_path, table.assign(a=[None if place == 4 else 1 + place for place in range(50)]))


LONG = {
    "day": {"kind": "date", "format": "%Y-%m-%d"}, "shop": {"kind": "excluded", "because": "of which series"},
    "sold": {"kind": "number_target"},
}  # fmt: skip


def shops(**lengths: int) -> pd.DataFrame:
    """Rows of several series in the order of time, each with values of its own."""
    parts = [
        pd.DataFrame({
            "day": pd.date_range("2020-01-01", periods=n).strftime("%Y-%m-%d"), "shop": name,
            "sold": 100 * place + np.arange(n) ** 2,
        }) for place, (name, n) in enumerate(lengths.items())
    ]  # fmt: skip
    return pd.concat(parts).sort_values(["day", "shop"], ignore_index=True)


def of_shops(tmp_path, table, **options):
    table.to_csv(tmp_path / "shops.csv", index=False)
    usual: dict[str, Any] = {"time": "day", "by": "shop", "test_fraction": 0.2}
    read = {"file": "shops.csv", "encoding": "utf-8", "separator": ","}
    return own_series.prepare(tmp_path, columns=LONG, **read, **(usual | options))


def test_each_of_several_series_has_its_own_test_and_its_own_scale(tmp_path):
    found = of_shops(tmp_path, shops(a=20, b=40))
    for index, (name, n) in enumerate([("a", 20), ("b", 40)]):
        values, past = 100 * index + np.arange(n) ** 2, 4 * n // 5
        scaled = (values - values[:past].mean()) / values[:past].std()
        train, test = (part["series"][part["of"] == index, 0] for part in (found.train, found.test))
        np.testing.assert_allclose(train, scaled[:past], atol=1e-5)
        np.testing.assert_allclose(test, scaled[past:], atol=1e-5)
        card = found.card["series"][name]
        assert card["examples"] == {"train": past, "test": n - past}
        assert (card["mean"], card["std"]) == ([values[:past].mean()], [pytest.approx(values[:past].std())])
        assert card["last"] == f"2020-{'01-20' if n == 20 else '02-09'}"
        assert found.test["moment"][found.test["of"] == index].tolist() == list(range(past, n))
    assert found.card["examples"] == {"train": 48, "test": 12}
    assert (np.diff(found.train["moment"]) >= 0).all()


def test_without_times_moments_are_the_steps_of_each_series(tmp_path):
    found = of_shops(tmp_path, shops(a=20, b=40).sample(frac=1, random_state=0), time=None)
    for index, n in enumerate([20, 40]):
        places = sorted(found.train["moment"][found.train["of"] == index])
        assert places == list(range(4 * n // 5))


def spoiled(**of) -> pd.DataFrame:
    """Two series of 20 days each, of which the rows of day 6 stand in the lines 12 and 13."""
    table = shops(a=20, b=20)
    for name, value in of.items():
        table[name] = table[name].astype(object)
        table.loc[11, name] = value
    return table


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (shops(a=20, b=20).drop(index=11), "shop 'b', column 'day': expected even steps of 1 day, got from "
                                           "'2020-01-05' to '2020-01-07' in line 14"),
        (spoiled(day="2020-01-05"), "shop 'b', column 'day': expected one row a time, got '2020-01-05' in line 13"),
        (spoiled(day="2020-01-02"), "shop 'b', column 'day': expected times that grow, got '2020-01-02' in line 13"),
        (spoiled(day=""), "shop 'b', column 'day': expected a time in every row, got '' in line 13"),
        (spoiled(sold=""), "column 'sold': expected a number at every step, got '' in line 13"),
        (spoiled(sold="inf"), "column 'sold': expected numbers, got 'inf' in line 13"),
        (spoiled(shop=""), "column 'shop': expected the name of a series in every row, got '' in line 13"),
        (spoiled(shop="c"), "shop 'b', column 'day': expected even steps"),
        (shops(a=20, c=1), "shops.csv, shop 'c': expected several steps in time, got one row"),
        (shops(a=20, b=20).assign(sold=[place if place % 2 else 7 for place in range(40)]),
         "shop 'a', column 'sold': expected values that change, but all 16 training steps have 7: exclude"),
    ],
)  # fmt: skip
def test_a_series_among_several_that_is_not_as_it_must_be_is_named_with_its_rows(tmp_path, table, told):
    with pytest.raises(UserError, match=told) as error:
        of_shops(tmp_path, table)
    assert "\n" not in str(error.value)


def test_series_of_different_steps_are_refused(tmp_path):
    daily = shops(a=20)
    weekly = shops(b=20).assign(day=pd.date_range("2020-01-01", periods=20, freq="7D").strftime("%Y-%m-%d"))
    told = "the same step in every series, got 1 day in 'a' from line 2, 7 days in 'b' from line 22: make a data set"
    with pytest.raises(UserError, match=told):
        of_shops(tmp_path, pd.concat([daily, weekly]))


@pytest.mark.parametrize("key", ["by", "time"])
def test_columns_that_there_are_not_are_refused(tmp_path, key):
    with pytest.raises(
        UserError, match=rf"data\.prepare\.{key} must be a column of shops.csv, or null, got 'none'"
    ):
        of_shops(tmp_path, shops(a=20, b=20), **{key: "none"})


WIDE = {
    "day": {"kind": "date", "format": "%Y-%m-%d"}, "sold": {"kind": "number_target"}, "rain": {"kind": "number"},
    "open": {"kind": "boolean", "values": ["yes", "no"]},
    "price": {"kind": "number", "decimal": ","},
    "weekday": {"kind": "category", "values": ["mo", "tu"]},
}  # fmt: skip


def wide(tmp_path, change=None, **options):
    n = 30
    table = pd.DataFrame({
        "day": pd.date_range("2020-01-01", periods=n).strftime("%Y-%m-%d"), "sold": np.arange(n) ** 2,
        "rain": np.arange(n) % 4, "open": np.where(np.arange(n) % 7, "yes", "no"),
        "price": [f"{place % 3},5" for place in range(n)], "weekday": np.where(np.arange(n) % 2, "tu", "mo"),
    }).assign(**change or {})  # fmt: skip
    table.to_csv(tmp_path / "wide.csv", index=False, sep=";")
    usual: dict[str, Any] = {"time": "day", "test_fraction": 0.2, "known": ["price", "weekday"]}
    read = {"file": "wide.csv", "encoding": "utf-8", "separator": ";"}
    return own_series.prepare(tmp_path, columns=WIDE, **read, **(usual | options))


def test_what_is_seen_stands_beside_what_is_told_and_what_is_known_ahead_apart(tmp_path):
    found = wide(tmp_path)
    n, past = 30, 24
    step = np.arange(n)
    expected = {
        "inputs": np.stack([step % 4, step % 7 > 0], axis=1),
        "known": np.stack([step % 3 + 0.5, step % 2 == 0, step % 2 == 1, np.zeros(n)], axis=1),
    }
    for role, values in expected.items():
        mean, std = values[:past].mean(0), values[:past].std(0)
        scaled = (values - mean) / np.where(std == 0, 1, std)
        np.testing.assert_allclose(np.concatenate([found.train[role], found.test[role]]), scaled, atol=1e-5)
        np.testing.assert_allclose(found.card[role]["mean"], mean)
    assert found.train["series"].shape == (past, 1)
    assert found.card["shape"] == [7]
    assert (found.card["inputs_columns"], found.card["known_columns"]) == (
        ["rain", "open"],
        ["price", "weekday"],
    )


def test_the_time_of_the_year_may_be_known(tmp_path):
    found = wide(tmp_path, known=["day"])
    assert found.train["known"].shape == (24, 3)
    assert found.train["inputs"].shape == (24, 1 + 1 + 1 + 3)


@pytest.mark.parametrize(
    ("change", "options", "told"),
    [
        ({}, {"known": ["sold"]}, r"known must list columns of wide.csv that networks see and do not tell, got 'sold'"),
        ({}, {"known": ["prize"]}, "got 'prize'"),
        ({"price": [*["1,5"] * 29, ""]}, {}, "column 'price': expected a number at every step, got '' in line 31"),
        ({"open": ["", *["no", "yes"] * 14, "no"]}, {}, "'open': expected a value at every step, got '' in line 2"),
        ({"weekday": [*["mo", "tu"] * 14, "", ""]}, {}, "'weekday': .* got '' in line 30, '' in line 31: fill it"),
    ],
)  # fmt: skip
def test_what_is_seen_must_be_there_at_every_step(tmp_path, change, options, told):
    with pytest.raises(UserError, match=told):
        wide(tmp_path, change, **options)


LABELLED = {
    "who": {"kind": "excluded", "because": "it says which series a row is of"}, "t": {"kind": "number"},
    "v": {"kind": "number"}, "class": {"kind": "classes", "classes": ["down", "up"]},
}  # fmt: skip


def many(tmp_path, rows, **options):
    pd.DataFrame(rows, columns=["who", "t", "v", "class"]).to_csv(tmp_path / "many.csv", index=False)
    read = {"file": "many.csv", "encoding": "utf-8", "separator": ",", "by": "who", "time": "t", "steps": 4}
    options = {"test_fraction": 0.25, "seed": 0} | options
    return own_series.labelled(tmp_path, columns=LABELLED, **(read | options))


def rows(n=12):
    return [
        (f"s{of}", step, step * (1 if of % 2 else -1), "up" if of % 2 else "down")
        for of in range(n) for step in range(2 + of % 5)
    ]  # fmt: skip


def test_series_with_classes_have_their_last_steps_after_marked_padding(tmp_path):
    found = many(tmp_path, rows())
    x, y = found.train["x"], found.train["y"]
    assert x.shape == (9, 4, 2)
    mean, std = found.card["mean"][0], found.card["std"][0]
    for own, label in zip(x, y, strict=True):
        values = own[own[:, 1] == 0][:, 0] * std + mean
        steps = np.abs(values).round(3)
        np.testing.assert_allclose(np.diff(steps), 1, atol=1e-3)  # consecutive, up to the last
        assert (own[own[:, 1] == 1][:, 0] == 0).all()
        assert (values[-1] > 0) == label
    assert sum(len(part["x"]) for part in (found.train, found.test)) == 12


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((("s1", 9, 9, "down"),), "expected one class for the series 's1', got several"),
        ((("s1", 0, 9, "up"),), "expected times that grow within each series, got '0' in line 47"),
        ((("s1", 9, "", "up"),), "expected a number at every step, got '' in line 47"),
    ],
)
def test_series_with_classes_that_are_not_as_declared_are_refused(tmp_path, change, told):
    with pytest.raises(UserError, match=told):
        many(tmp_path, [*rows(), *change])
