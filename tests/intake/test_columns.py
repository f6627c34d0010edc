"""From text to numbers, as a YAML says; what is refused, with its places."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from howdeep.errors import UserError
from howdeep.intake.columns import Where, declared, number_of

WHERE = Where("of.csv", "size", range(2, 100))


def column(**node):
    return declared({"size": node}, "columns")["size"]


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "number"),
    [
        ("1.5", ".", None, 1.5), ("-2e3", ".", None, -2000.0), ("+.5", ".", None, 0.5),
        ("\N{MINUS SIGN}3", ".", None, -3.0),
        ("1,5", ",", None, 1.5), ("1.234,5", ",", ".", 1234.5), ("1,234", ".", ",", 1234.0),
        ("12 345,6", ",", " ", 12345.6),
        ("1,5", ".", None, None), ("1.5", ",", None, None), ("1,23", ".", ",", None), ("12,34,567", ".", ",", None),
        ("1.5.2", ".", None, None), ("abc", ".", None, None), ("", ".", None, None), ("1 2", ".", None, None),
        ("inf", ".", None, math.inf), ("nan", ".", None, None), ("1_000", ".", None, None), ("٣", ".", None, None),
    ],
)  # fmt: skip
def test_a_number_is_read_as_it_is_written(text, decimal, thousands, number):
    assert number_of(text, decimal, thousands) == number


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_number_that_python_writes_is_read(number):
    assert number_of(repr(number), ".", None) == number
    assert number_of(repr(number).replace(".", ","), ",", None) == number


def test_numbers_with_missing_ones_have_an_input_that_says_so():
    found = column(kind="number", missing=["", "NA"], indicator=True).inputs(["1", "NA", "3", ""], WHERE)
    np.testing.assert_array_equal(found, [[1, 0], [math.nan, 1], [3, 0], [math.nan, 1]])


def test_a_word_that_is_not_listed_has_the_code_that_is_kept_for_it():
    of = column(kind="category", values=["red", "blue"])
    np.testing.assert_array_equal(of.inputs(["blue", "green", "", "red"], WHERE), np.eye(3)[[1, 2, 2, 0]])


def test_yes_is_one():
    assert column(kind="boolean", values=["ja", "nein"]).inputs(["ja", "nein"], WHERE).tolist() == [[1], [0]]
    with pytest.raises(UserError, match="'vielleicht' in line 3"):
        column(kind="boolean", values=["ja", "nein"]).inputs(["ja", "vielleicht"], WHERE)


def test_a_date_is_years_and_a_point_on_the_circle_of_the_year():
    years, sine, cosine = column(kind="date", format="%Y-%m-%d").inputs(["2000-01-01", "2004-07-01"], WHERE).T
    assert years[0] == 0
    assert years[1] == pytest.approx(4.5, abs=0.01)
    np.testing.assert_allclose(sine**2 + cosine**2, 1)
    assert cosine[1] == pytest.approx(-1, abs=0.01)


@pytest.mark.parametrize(
    ("node", "values", "told"),
    [
        ({"kind": "number"}, ["1", "x", "y", "z", "w"],
         "'size': expected numbers, got 'x' in line 3, 'y' in line 4, 'z' in line 5 and 1 more"),
        ({"kind": "number"}, ["1", "inf"], "got 'inf' in line 3"),
        ({"kind": "number"}, ["1", ""], "expected no missing numbers, got '' in line 3: set indicator: true"),
        ({"kind": "date", "format": "%Y"}, ["2000", "May"], "expected dates as %Y, got 'May' in line 3"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_with_its_first_three_places(node, values, told):
    with pytest.raises(UserError) as error:
        column(**node).inputs(values, WHERE)
    assert told in str(error.value)
    assert str(error.value).startswith("of.csv, column 'size': ")


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ({"kind": "numbr"}, "columns.size.kind must be one of number, .*, did you mean 'number'"),
        ({"kind": "category"}, r"columns.size \(category\) lacks the key 'values'"),
        ({"kind": "number", "decimals": "."}, "unknown key 'decimals', did you mean 'decimal'"),
        ({"kind": "number", "decimal": "x"}, "decimal: input should be"),
        (5, "columns.size must be a map"),
    ],
)
def test_a_declaration_that_is_wrong_is_told(node, told):
    with pytest.raises(UserError, match=told):
        declared({"size": node}, "columns")


@given(
    st.lists(
        st.one_of(
            st.floats(width=32).map(repr), st.integers(-999, 999).map(str),
            st.sampled_from(["", "NA", "-999", "1_0", "+1.", ".5", "1e999", "inf", "nan", "NaN", "x", "٣"]),
            st.just("\N{MINUS SIGN}2"),
        ),
        max_size=4,
    ),
    st.lists(st.sampled_from(["", "NA", "NaN", "-999"]), unique=True),
)  # fmt: skip
def test_numbers_of_a_column_are_those_that_its_texts_are_one_by_one(values, missing):
    of = column(kind="number", missing=missing)
    each = [math.nan if text in missing else number_of(text, ".", None) for text in values]
    if all(number is not None and not math.isinf(number) for number in each):
        np.testing.assert_array_equal(of.numbers(values, WHERE), np.array(each, dtype=float))  # type: ignore[union-attr]
    else:
        with pytest.raises(UserError, match="expected numbers"):
            of.numbers(values, WHERE)  # type: ignore[union-attr]


@pytest.mark.parametrize("missing", [["1900-01-01"], [""]])
def test_dates_that_stand_for_none_are_missing(missing):
    of = column(kind="date", format="%Y-%m-%d", missing=missing)
    found = of.days(["2000-01-02", missing[0], "2000-01-03"], WHERE)  # type: ignore[union-attr]
    np.testing.assert_array_equal(found, [1, math.nan, 2])
