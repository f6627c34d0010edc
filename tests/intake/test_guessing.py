"""What columns are taken for, and why."""

import pytest

from howdeep.errors import UserError
from howdeep.intake.guessing import guess, target_of
from howdeep.intake.reading import Sheet

N = 40


def table(**columns):
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    return Sheet(list(columns), rows, list(range(2, len(rows) + 2)))


def taken(values, **options):
    sheet = table(it=values, y=[f"{i / 7:.3f}" for i in range(len(values))])
    return guess(sheet, ["y"], "of.csv", **options)["it"]


CASES = {
    "numbers": ([f"{i % 9}.5" for i in range(N)], "number", "numbers"),
    "decimal commas": ([f"{i % 9},5" for i in range(N)], "number", "',' before the fraction"),
    "thousands": ([f"{i % 9 + 1},{i:03d}" for i in range(N)], "number", "',' between thousands"),
    "both": ([f"{i % 9 + 1}.{i:03d},5" for i in range(N)], "number", "',' before the fraction"),
    "leading noughts": ([f"0{i % 7}" for i in range(N)], "category", "begins with a nought"),
    "long digits": ([f"{10**16 + i % 5}" for i in range(N)], "category", "has 17 digits"),
    "row numbers": ([str(i + 1) for i in range(N)], "excluded", "counts the rows"),
    "always one": (["x"] * N, "excluded", "always 'x'"),
    "nothing": ([""] * N, "excluded", "all values are missing"),
    "words": (["red", "blue", "green", "red"] * 10, "category", "3 different words"),
    "NA is a word": (["EU", "NA", "AS", "AF"] * 10, "category", "4 different words"),
    "yes and no": (["yes", "no"] * 20, "boolean", "yes and no"),
    "True and False": (["True", "False"] * 20, "boolean", "True and False"),
    "dates": ([f"2020-01-{i % 28 + 1:02d}" for i in range(N)], "date", "%Y-%m-%d"),
    "German dates": ([f"{i % 28 + 1:02d}.03.2021" for i in range(N)], "date", "%d.%m.%Y"),
    "text": ([f"sentence {i}" for i in range(N)], "excluded", "every value is there once"),
    "many words": ([f"w{i % 30}" for i in range(N)], "excluded", "30 different texts"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_column_is_taken_for_what_it_looks_like(case):
    values, kind, why = CASES[case]
    found = taken(values)
    assert (found.kind, why in found.why) == (kind, True), found


def test_missing_numbers_are_counted_and_told_to_the_network():
    found = taken(["1", "NA", "2", "?"] * 10)
    assert found.kind == "number"
    assert found.missing == 20
    assert found.column["missing"] == ["?", "NA"]
    assert found.column["indicator"] is True


def test_a_few_texts_among_numbers_are_refused_with_their_places_unless_they_are_said_to_be_missing():
    values = [str(i) for i in range(1, N - 1)] + ["n.d.", "unknown"]
    with pytest.raises(UserError) as error:
        taken(values)
    told = "expected numbers, as in 38 of 40 rows, got 'n.d.' in line 40, 'unknown' in line 41"
    assert told in str(error.value)
    assert taken(values, missing=["n.d.", "unknown"]).missing == 2


@pytest.mark.parametrize(
    ("values", "task", "kind"),
    [
        (["a", "b"] * 20, None, "classes"),
        (["0", "1"] * 20, None, "classes"),
        (["+", "-"] * 20, None, "classes"),
        (["0", "1"] * 20, "regression", "number_target"),
        ([f"{i}.5" for i in range(N)], None, "number_target"),
        ([str(i * 3) for i in range(N)], None, "number_target"),
    ],
)
def test_a_target_is_classes_or_numbers(values, task, kind):
    sheet = table(x=[str(i % 11) for i in range(N)], y=values)
    assert guess(sheet, ["y"], "of.csv", task=task)["y"].kind == kind


def test_classes_that_are_numbers_stand_in_the_order_of_numbers():
    sheet = table(x=[str(i % 11) for i in range(120)], y=[str(i % 12) for i in range(120)])
    assert guess(sheet, ["y"], "of.csv")["y"].column["classes"] == [str(i) for i in range(12)]


@pytest.mark.parametrize(
    ("y", "told"),
    [
        (["a"] * N, "expected a target that differs between rows, got 'a' in all of them"),
        ([""] * N, "expected a target, got missing values alone"),
        ([f"t{i}" for i in range(N)], "expected few classes with many rows each, got 40 different texts"),
        (["a"] * 37 + ["b"] * 3, "expected 5 rows of each class at least.*'b' has 3"),
    ],
)
def test_a_target_that_cannot_be_told_is_refused(y, told):
    with pytest.raises(UserError, match=told):
        guess(table(x=[str(i % 11) for i in range(N)], y=y), ["y"], "of.csv")


def test_a_column_that_alone_determines_the_target_is_left_out():
    y = ["a", "b"] * 20
    code = [{"a": "17", "b": "18"}[label] for label in y]
    found = guess(table(code=code, x=[str(i % 11) for i in range(N)], y=y), ["y"], "of.csv")
    assert "would tell the answer" in found["code"].why
    celsius = [f"{(i * 7) % 31}.5" for i in range(N)]
    fahrenheit = [f"{float(value) * 1.8 + 32:.2f}" for value in celsius]
    found = guess(table(f=fahrenheit, y=celsius), ["y"], "of.csv")
    assert found["f"].kind == "excluded"


def test_the_target_is_the_one_that_was_said_or_its_usual_name_or_the_last_column():
    sheet = table(species=["a"], size=["1"])
    assert target_of(sheet, [], "of.csv")[0] == ["species"]
    assert target_of(table(a=["1"], b=["1"]), [], "of.csv")[0] == ["b"]
    with pytest.raises(UserError, match="got 'specis', did you mean 'species'"):
        target_of(sheet, ["specis"], "of.csv")


def test_the_texts_that_are_told_are_those_among_numbers_as_they_are_written():
    values = [f"{i}.5" for i in range(N - 1)] + ["12?"]
    with pytest.raises(UserError, match=r"as in 39 of 40 rows, got '12\?' in line 41: correct"):
        taken(values)
    with pytest.raises(UserError, match=r"as in 39 of 40 rows, got '12\?' in line 41: correct"):
        taken([value.replace(".", ",") for value in values])
