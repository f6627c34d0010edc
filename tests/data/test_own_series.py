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
