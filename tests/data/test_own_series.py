"""Series of somebody's own: every number is there, steps are even, the future is the test."""

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
