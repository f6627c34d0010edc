"""What the columns of series are taken for, and whether several of them have a class each."""

import pytest

from howdeep.errors import UserError
from howdeep.intake.guessing_series import guess_series, have_classes
from howdeep.intake.reading import Sheet

DAYS = [f"2020-01-{day:02d}" for day in range(1, 21)]
SOLD = [str(place * place % 7) for place in range(20)]
TWO = {"a": range(10), "b": range(10, 20)}


def table(**columns: list[str]) -> Sheet:
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Sheet(list(columns), rows, list(range(2, len(rows) + 2)))


def kinds(sheet: Sheet, *targets: str, time: str | None = None, **options) -> dict[str, str]:
    found = guess_series(sheet, targets, "of.csv", time=time, **options)
    return {
        name: "time" if guess.happens == "the time of each row" else guess.kind
        for name, guess in found.items()
    }


def test_a_series_is_its_columns_of_numbers_and_its_time():
    sheet = table(day=DAYS, sold=SOLD, note=["x", "y"] * 10)
    assert kinds(sheet) == {"day": "time", "sold": "number_target", "note": "excluded"}
    with pytest.raises(UserError, match="but 1 of 20 rows lack one, the first in line 4"):
        kinds(table(day=DAYS, sold=["1", "2", "", *["3"] * 17]))


def test_numbers_that_only_count_are_the_time_where_there_are_no_dates():
    years = [str(1700 + 2 * place) for place in range(20)]
    assert kinds(table(year=years, sold=SOLD)) == {"year": "time", "sold": "number_target"}
    assert kinds(table(year=years, sold=SOLD, day=DAYS))["year"] == "number_target"
    assert kinds(table(year=years)) == {"year": "number_target"}
    again = [str(place % 10) for place in range(20)]
    assert kinds(table(t=again, sold=SOLD, by=["a"] * 10 + ["b"] * 10), by="by", rows=TWO)["t"] == "time"
    assert kinds(table(t=again, sold=SOLD))["t"] == "number_target"


def test_of_several_series_numbers_that_never_change_within_one_are_not_forecast_unless_named():
    sheet = table(by=["a"] * 10 + ["b"] * 10, day=DAYS, size=["3"] * 10 + ["4"] * 10, sold=SOLD)
    found = kinds(sheet, by="by", rows=TWO)
    assert found == {"by": "excluded", "day": "time", "size": "excluded", "sold": "number_target"}
    assert kinds(sheet, "size", by="by", rows=TWO)["size"] == "number_target"


def test_what_is_not_told_is_an_input_if_it_is_a_number_or_yes_and_no():
    sheet = table(day=DAYS, sold=SOLD, open=["yes", "no"] * 10, rain=SOLD[::-1], note=["x", "y", "z", "y"] * 5,
                  gaps=["1", *SOLD[1:19], ""])  # fmt: skip
    found = kinds(sheet, "sold")
    assert found == {"day": "time", "sold": "number_target", "open": "boolean", "rain": "number", "note": "excluded",
                     "gaps": "excluded"}  # fmt: skip


def test_what_is_known_ahead_is_no_target():
    sheet = table(day=DAYS, sold=SOLD, price=SOLD[::-1], note=["x", "y", "z", "y"] * 5, gaps=["x", "x", "y", ""] * 5,
                  text=[f"{place} days" for place in range(20)])  # fmt: skip
    found = guess_series(sheet, [], "of.csv", time=None, known=["price", "note", "day"])
    assert {name: found[name].kind for name in ("sold", "price", "note", "day")} == {
        "sold": "number_target", "price": "number", "note": "category", "day": "date"
    }  # fmt: skip
    assert found["day"].happens == "the time of each row, known"
    with pytest.raises(
        UserError, match="column 'gaps': expected a value at every step as --known, but 5 are missing"
    ):
        guess_series(sheet, [], "of.csv", time=None, known=["gaps"])
    with pytest.raises(
        UserError, match="column 'text': expected numbers, words or dates as --known, but text: every"
    ):
        guess_series(sheet, [], "of.csv", time=None, known=["text"])


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (
            [*DAYS[:19], "20.1.2020"],
            "expected numbers, or dates of one format .* got '2020-01-01', '2020-01-02'",
        ),
        ([f"{day}T00:00:00{'Z' if day[-1] == '1' else ''}" for day in DAYS], "all with a time zone, or none"),
    ],
)
def test_times_of_several_formats_are_refused(values, told):
    with pytest.raises(UserError, match=told):
        kinds(table(day=values, sold=SOLD), time="day")


def test_a_target_that_never_changes_within_a_series_is_its_class():
    rows = {f"s{of}": range(2 * of, 2 * of + 2) for of in range(10)}
    of_class = [str(place // 2 % 2) for place in range(20)]
    assert have_classes(table(v=SOLD, kind=of_class), ["kind"], rows, "of.csv")
    assert have_classes(
        table(v=SOLD, kind=of_class), [], rows, "of.csv"
    )  # the last column, with five of each class
    regions = [str(place // 2) for place in range(20)]
    assert not have_classes(table(v=SOLD, region=regions), [], rows, "of.csv")
    assert have_classes(table(v=SOLD, region=regions), ["region"], rows, "of.csv")
    alternating = [str(place) for place in range(20)]
    assert not have_classes(table(v=alternating), ["v"], rows, "of.csv")
    assert not have_classes(table(u=of_class, v=alternating), ["u", "v"], rows, "of.csv")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ((7,), "it changes in 's3' from line 8: correct"),
        (
            (1, 3, 5, 9, 11, 13, 15),
            "it does not change in 's3' from line 8, 's8' from line 18, 's9' from line 20: ",
        ),
    ],
)
def test_a_target_that_changes_within_some_series_alone_is_refused_with_those_that_are_fewer(changed, told):
    rows = {f"s{of}": range(2 * of, 2 * of + 2) for of in range(10)}
    values = ["9" if place in changed else str(place // 2 % 2) for place in range(20)]
    with pytest.raises(UserError, match=told):
        have_classes(table(kind=values), ["kind"], rows, "of.csv")
