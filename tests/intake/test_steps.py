"""Whether a series has even steps."""

import pandas as pd
import pytest

from howdeep.errors import UserError
from howdeep.intake import steps
from howdeep.intake.columns import Where, declared

DATE = declared({"day": {"kind": "date", "format": "%Y-%m-%d %H:%M"}}, "columns")["day"]


def of(values):
    return steps.of(values, DATE, Where("of.csv", "day", range(2, 1000)))


@pytest.mark.parametrize(
    ("frequency", "told"),
    [("D", "1 day"), ("W", "7 days"), ("MS", "1 month"), ("ME", "1 month"), ("QS", "3 months"), ("YS", "1 year"),
     ("h", "1 hour"), ("15min", "15 minutes")],
)  # fmt: skip
def test_even_steps_are_told_in_words(frequency, told):
    assert (
        of(pd.date_range("2019-01-01", periods=30, freq=frequency).strftime("%Y-%m-%d %H:%M").tolist())
        == told
    )


@pytest.mark.parametrize(
    ("days", "told"),
    [
        (
            [1, 2, 3, 5, 6],
            "expected even steps of 1 day, got from '2020-01-03 00:00' to '2020-01-05 00:00' in line 5",
        ),
        ([1, 2, 2, 3], "expected one row a time, got '2020-01-02 00:00' in line 4"),
        ([1, 3, 2, 4], "expected times that grow, got '2020-01-02 00:00' in line 4"),
    ],
)
def test_uneven_steps_are_refused_with_the_rows(days, told):
    with pytest.raises(UserError) as error:
        of([f"2020-01-{day:02d} 00:00" for day in days])
    assert told in str(error.value)


def test_hours_of_a_time_zone_are_even_where_its_clocks_are_put_back():
    hours = pd.date_range("2020-10-24", periods=60, freq="h", tz="Europe/Berlin").strftime("%Y-%m-%d %H:%M%z")
    column = declared({"t": {"kind": "date", "format": "%Y-%m-%d %H:%M%z"}}, "columns")["t"]
    assert steps.of(hours.tolist(), column, Where("of.csv", "t", range(2, 100))) == "1 hour"


def test_a_single_row_has_no_step():
    with pytest.raises(UserError, match=r"of\.csv: expected several steps in time, got one row"):
        of(["2020-01-01 00:00"])
