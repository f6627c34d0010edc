"""Rows in, the same rows with predictions out: in any file, in any number, and whatever is wrong with one of them."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

from howdeep.deployment.predict import predict
from howdeep.errors import UserError


@pytest.fixture
def table(here) -> pd.DataFrame:
    x, _ = load_breast_cancer(return_X_y=True)
    of = pd.DataFrame(x[:30], columns=[f"x{place}" for place in range(1, 31)])
    of.insert(0, "who", [f"patient {place}" for place in range(30)])
    of.to_csv("new.csv", index=False)
    return of


def printed(capsys) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_each_row_comes_back_with_its_prediction_and_the_probability_of_each_class(run, table, capsys):
    predict(str(run("model=mlp", "data=breast_cancer")), ["new.csv"], None)
    rows = printed(capsys)
    assert [row["who"] for row in rows] == table["who"].tolist()
    assert list(rows[0])[-4:] == ["prediction", "probability_malignant", "probability_benign", "error"]
    for row in rows:
        shares = {name: float(row[f"probability_{name}"]) for name in ("malignant", "benign")}
        assert sum(shares.values()) == pytest.approx(1, abs=1e-6)
        assert row["prediction"] == max(shares, key=lambda name: shares[name])
        assert row["error"] == ""


def test_all_kinds_of_files_say_the_same(run, table):
    folder = str(run("model=mlp", "data=breast_cancer"))
    table.to_parquet("new.parquet")
    table.to_csv("new.tsv", sep="\t", index=False)
    for name in ("a.csv", "b.tsv", "c.parquet"):
        for inputs in ("new.csv", "new.tsv", "new.parquet"):
            predict(folder, [inputs], name)
            of = (
                pd.read_parquet(name) if name == "c.parquet" else pd.read_csv(name, sep=None, engine="python")
            )
            expected = pd.read_csv("a.csv") if name != "a.csv" or inputs != "new.csv" else of
            assert of["prediction"].tolist() == expected["prediction"].tolist()
            np.testing.assert_allclose(of["probability_benign"], expected["probability_benign"], rtol=1e-6)
    assert pd.read_parquet("c.parquet")["probability_benign"].dtype == np.float64


def test_a_row_that_is_wrong_has_an_error_and_no_other_row_has(run, table, capsys):
    bad = table.astype(str)
    bad.loc[3, "x7"], bad.loc[17, "x1"], bad.loc[18, "x30"] = "much", "", "inf"
    bad.to_csv("new.csv", index=False)
    predict(str(run("model=mlp", "data=breast_cancer")), ["new.csv"], None)
    told = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(told.out)))
    assert [place for place, row in enumerate(rows) if row["error"]] == [3, 17, 18]
    assert "column 'x7': expected numbers, got 'much' in line 5" in rows[3]["error"]
    assert rows[3]["prediction"] == rows[3]["probability_benign"] == ""
    assert all(row["prediction"] for place, row in enumerate(rows) if place not in (3, 17, 18))
    assert told.err == "howdeep: 3 of 30 rows are wrong, see their column 'error'\n"


def test_parts_of_a_file_say_what_the_whole_says(run, table, capsys, monkeypatch):
    folder = str(run("model=mlp", "data=breast_cancer"))
    predict(folder, ["new.csv"], None)
    whole = printed(capsys)
    monkeypatch.setattr("howdeep.intake.reading.CELLS", 7 * 31)  # texts of a part
    predict(folder, ["new.csv"], None)
    parts = printed(capsys)
    for name in ("who", "prediction", "error"):
        assert [row[name] for row in parts] == [row[name] for row in whole]
    shares = [[float(row["probability_benign"]) for row in rows] for rows in (parts, whole)]
    np.testing.assert_allclose(
        *shares, rtol=1e-5
    )  # torch adds up in another order in batches of another size


def test_all_rows_wrong_leave_a_file_with_the_same_columns(run, table):
    folder = str(run("model=mlp", "data=breast_cancer"))
    predict(folder, ["new.csv"], "right.parquet")
    table.astype(str).assign(x1="?").to_csv("new.csv", index=False)
    predict(folder, ["new.csv"], "wrong.parquet")
    right, wrong = pd.read_parquet("right.parquet"), pd.read_parquet("wrong.parquet")
    assert list(right.dtypes) == list(wrong.dtypes)
    assert not wrong["prediction"].dropna().size


def test_a_column_that_is_called_as_an_answer_stays(run, table, capsys):
    table.assign(prediction="mine", error="none").to_csv("new.csv", index=False)
    predict(str(run("model=mlp", "data=breast_cancer")), ["new.csv"], None)
    row = printed(capsys)[0]
    assert (row["prediction"], row["error"], row["error_"]) == ("mine", "none", "")
    assert row["prediction_"] in ("malignant", "benign")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            lambda table: table.drop(columns="x9"),
            "expected 30 columns of numbers and no other, one for each of 30, or x1 to x30 among others, got 30: who",
        ),
        (lambda table: table[:0], "new.csv: expected rows below the header, got none"),
    ],
)
def test_a_table_that_is_no_such_table_is_refused_and_nothing_is_written(run, table, change, told, here):
    change(table).to_csv("new.csv", index=False)
    with pytest.raises(UserError, match=told):
        predict(str(run("model=mlp", "data=breast_cancer")), ["new.csv"], "told.csv")
    assert not (here.root / "told.csv").exists()
    assert not list(here.root.glob(".told*"))


def test_a_series_without_names_of_columns_says_which_file_it_reads(run):
    folder = str(run("model=mlp", "data=sunspots", "task=forecasting"))
    pd.DataFrame({"YEAR": range(40), "SUNACTIVITY": range(40)}).to_csv("sun.csv", index=False)
    told = (
        "1 column of numbers and no other, the values one after another, or x1 among others, got 2: YEAR, SUN"
    )
    with pytest.raises(UserError, match=told):
        predict(folder, ["sun.csv"], "told.csv")
    pd.DataFrame({"SUNACTIVITY": range(40)}).to_csv("sun.csv", index=False)
    predict(folder, ["sun.csv"], "told.csv")
    assert pd.read_csv("told.csv")["prediction"].notna().to_numpy().any()


def test_files_that_there_are_not_and_endings_that_mean_nothing(run, table):
    folder = str(run("model=mlp", "data=breast_cancer"))
    with pytest.raises(UserError, match=r"expected a file or a folder at old.csv, found none"):
        predict(folder, ["old.csv"], None)
    with pytest.raises(UserError, match=r"--output must end in .csv, .tsv, .parquet, got 'told.xlsx'"):
        predict(folder, ["new.csv"], "told.xlsx")
    (table[["x1"]]).to_csv("other.csv", index=False)
    with pytest.raises(UserError, match=r"other.csv: expected 30 columns"):
        predict(folder, ["new.csv", "other.csv"], None)


def test_images_are_those_of_training_and_a_broken_one_is_told(run, here, capsys):
    folder = str(run("model=cnn", "data=digits"))
    pixels = load_digits(return_X_y=True)[0].reshape(-1, 8, 8)[:6]
    pd.DataFrame(pixels.reshape(6, -1)).to_csv("pixels.csv", index=False)
    (here.root / "pictures").mkdir()
    for place, image in enumerate(pixels):
        Image.fromarray((image * 255 / 16).round().astype(np.uint8)).save(f"pictures/{place}.png")
    (here.root / "pictures" / "broken.png").write_bytes(b"no")
    predict(folder, ["pixels.csv"], None)
    expected = printed(capsys)
    predict(folder, ["pictures"], None)
    found = printed(capsys)
    assert [row["image"] for row in found] == [f"pictures/{name}.png" for name in (*range(6), "broken")]
    for one, other in zip(found[:6], expected, strict=True):
        assert one["prediction"] == other["prediction"]
        assert float(one["probability_3"]) == pytest.approx(
            float(other["probability_3"]), abs=0.02
        )  # 8 bits of 16
    assert "broken.png (it holds no PNG" in found[6]["error"]
    with pytest.raises(UserError, match=r"expected images or tables, got both: ask about pixels.csv alone"):
        predict(folder, ["pictures", "pixels.csv"], None)
