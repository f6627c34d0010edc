"""Rows that were prepared, asked about again, are the very examples that networks learned from, kind by kind."""

import base64
import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import save_file

from howdeep.data import own_images, own_series, own_table, own_text, own_windows, prepared
from howdeep.encoding.frames import sheet_of
from howdeep.encoding.inputs import Inputs, Source, dumped, loaded
from howdeep.encoding.kinds import inputs_of
from howdeep.intake import archives
from howdeep.intake.reading import Sheet, read

READ: dict[str, Any] = {"file": "of.csv", "encoding": "utf-8", "separator": ","}


def whole(content: prepared.Prepared) -> np.ndarray:
    return np.concatenate([content.train["x"], content.test["x"]])


def asked(content: prepared.Prepared, data: dict[str, Any], sheet: Sheet, source: Source) -> np.ndarray:
    """What rows become, after the inputs were written as JSON and read again."""
    inputs = loaded(dumped(inputs_of(data, content.card)), Inputs)
    check_example(inputs)
    found = inputs.examples(sheet, source)
    assert found.errors == [None] * len(found.rows.rows)
    assert found.x.dtype == inputs.dtype
    return found.x


def check_example(inputs: Inputs) -> None:
    """What is shown as an example has an answer, and the columns that are asked for, each of its type."""
    rows = pd.DataFrame(inputs.example())
    kinds = {name: "number" if pd.api.types.is_numeric_dtype(rows[name]) else "text" for name in rows}
    assert kinds == inputs.columns()
    assert None in inputs.examples(sheet_of(rows, inputs), Source("rows")).errors


def same_rows(found: np.ndarray, expected: np.ndarray) -> None:
    """Bit for bit, in any order: the parts of a split are drawn."""
    found, expected = (
        np.sort(of.reshape(len(of), -1).view(f"V{of[0].nbytes}"), 0) for of in (found, expected)
    )
    np.testing.assert_array_equal(found, expected)


def test_tables(tmp_path):
    random, n = np.random.RandomState(0), 60
    pd.DataFrame({
        "size": [f"{value:.3f}" if place % 7 else "NA" for place, value in enumerate(random.randn(n))],
        "weight": [f"1.{place:03},5" for place in range(n)],
        "colour": random.choice(["red", "blue", "green"], n),
        "old": random.choice(["yes", "no"], n),
        "day": pd.date_range("2020-01-31", periods=n).strftime("%d.%m.%Y"),
        "note": "x",
        "y": np.arange(n) ** 1.5,
    }).to_csv(tmp_path / "of.csv", index=False)  # fmt: skip
    columns = {
        "size": {"kind": "number", "missing": ["", "NA"], "indicator": True},
        "weight": {"kind": "number", "decimal": ",", "thousands": "."},
        "colour": {"kind": "category", "values": ["blue", "red"]},
        "old": {"kind": "boolean", "values": ["yes", "no"]},
        "day": {"kind": "date", "format": "%d.%m.%Y"},
        "note": {"kind": "excluded", "because": "it is always the same"},
        "y": {"kind": "number_target"},
    }
    content = own_table.prepare(tmp_path, **READ, columns=columns, split="random", test_fraction=0.2, seed=0)
    data = {"in_shape": [2 + 1 + 3 + 1 + 3], "prepare": {"columns": columns}}
    sheet = read(tmp_path / "of.csv", "utf-8", ",")
    x = asked(content, data, sheet, Source("of.csv"))
    same_rows(x, whole(content))


def test_a_table_needs_no_target_and_no_order_of_columns(tmp_path):
    random, n = np.random.RandomState(0), 20
    of = pd.DataFrame({"a": random.randn(n), "b": random.randn(n), "y": ["no", "yes"] * 10})
    of.to_csv(tmp_path / "of.csv", index=False)
    columns = {
        "a": {"kind": "number"},
        "b": {"kind": "number"},
        "y": {"kind": "classes", "classes": ["no", "yes"]},
    }
    content = own_table.prepare(tmp_path, **READ, columns=columns, split="random", test_fraction=0.2, seed=0)
    of[["b", "a"]].assign(more="?").to_csv(tmp_path / "new.csv", index=False)
    data = {"in_shape": [2], "prepare": {"columns": columns}}
    x = asked(content, data, read(tmp_path / "new.csv", "utf-8", ","), Source("new.csv"))
    same_rows(x, whole(content))


@pytest.mark.parametrize("unit", ["characters", "words"])
def test_texts(tmp_path, unit):
    texts = [f"A{'b' * place} c\N{COMBINING CEDILLA}, {place}!" for place in range(20)]
    pd.DataFrame({"text": texts, "label": ["bad", "good"] * 10}).to_csv(tmp_path / "of.csv", index=False)
    columns = {"text": {"kind": "text"}, "label": {"kind": "classes", "classes": ["bad", "good"]}}
    content = own_text.prepare(
        tmp_path, **READ, columns=columns, unit=unit, length=6, vocabulary=9, test_fraction=0.25, seed=0
    )
    data = {"in_shape": [6], "prepare": {"columns": columns}}
    x = asked(content, data, read(tmp_path / "of.csv", "utf-8", ","), Source("of.csv"))
    same_rows(x, whole(content))


def test_images_from_files_and_as_base64(tmp_path):
    random, files = np.random.RandomState(0), {}
    for place in range(20):
        content = io.BytesIO()
        Image.fromarray(random.randint(0, 256, (7, 9, 3)).astype(np.uint8)).save(content, "PNG")
        files[f"{'cat' if place % 2 else 'dog'}/{place}.png"] = content.getvalue()
    paths = {}
    for name, content in files.items():
        paths[name] = tmp_path / name
        paths[name].parent.mkdir(exist_ok=True)
        paths[name].write_bytes(content)
    archives.pack(paths.items(), tmp_path / "pets.zip")
    content = own_images.prepare(
        tmp_path, archive="pets.zip", size=[4, 5], channels=3, classes=["cat", "dog"], split="stratified",
        test_fraction=0.2, seed=0,
    )  # fmt: skip
    data = {"in_shape": [3, 4, 5]}
    from_files = Sheet(["image"], [[name] for name in files], list(range(20)))
    x = asked(content, data, from_files, Source("images", tmp_path))
    same_rows(x, whole(content))

    words = Sheet(["image"], [[base64.b64encode(of).decode()] for of in files.values()], list(range(20)))
    np.testing.assert_array_equal(asked(content, data, words, Source("rows")), x)


def shops() -> pd.DataFrame:
    random = np.random.RandomState(0)
    return pd.concat([
        pd.DataFrame({
            "shop": name, "day": pd.date_range("2024-01-01", periods=n).strftime("%Y-%m-%d"),
            "price": random.rand(n).round(3),
            "rain": random.rand(n).round(3), "sold": (scale * random.rand(n)).round(2),
        })
        for name, n, scale in (("big", 50, 100), ("small", 40, 1))
    ])  # fmt: skip


def test_windows_of_several_series_with_inputs_and_what_is_known_ahead(tmp_path):
    of = shops()
    of.to_csv(tmp_path / "of.csv", index=False)
    columns = {
        "shop": {"kind": "excluded", "because": "of which series"}, "day": {"kind": "date", "format": "%Y-%m-%d"},
        "price": {"kind": "number"}, "rain": {"kind": "number"}, "sold": {"kind": "number_target"},
    }  # fmt: skip
    prepare: dict[str, Any] = {"columns": columns, "time": "day", "by": "shop", "known": ["price"]}
    content = own_series.prepare(tmp_path, **READ, **prepare, test_fraction=0.2)
    for part in ("train", "test"):
        save_file(
            {name: np.ascontiguousarray(a) for name, a in getattr(content, part).items()},
            tmp_path / f"{part}.st",
        )
    split = own_windows.windows(
        tmp_path / "train.st",
        tmp_path / "test.st",
        context=5,
        in_shape=[5, 3],
        validation_fraction=0.25,
        horizon=2,
    )
    data = {"in_shape": [5, 3], "prepare": prepare, "examples": {"horizon": 2}}
    inputs = inputs_of(data, content.card)
    check_example(inputs)
    found = inputs.examples(read(tmp_path / "of.csv", "utf-8", ","), Source("of.csv"))
    right = np.array([error is None for error in found.errors])
    assert split.test is not None
    same_rows(
        found.x[right], np.concatenate([x.numpy() for x, _ in (split.train, split.validation, split.test)])
    )
    # each series lacks the rows before its first window, and those after which the told step has no price
    assert right.tolist() == [False] * 4 + [True] * 44 + [False] * 2 + [False] * 4 + [True] * 34 + [False] * 2


def test_rows_after_the_end_give_what_is_known_ahead_and_nothing_else(tmp_path):
    of = shops().assign(sold=lambda table: table["sold"].astype(str))
    of.to_csv(tmp_path / "of.csv", index=False)
    columns = {
        "shop": {"kind": "excluded", "because": "of which series"}, "day": {"kind": "date", "format": "%Y-%m-%d"},
        "price": {"kind": "number"}, "rain": {"kind": "excluded", "because": "weather"},
        "sold": {"kind": "number_target"},
    }  # fmt: skip
    prepare: dict[str, Any] = {"columns": columns, "time": "day", "by": "shop", "known": ["price"]}
    content = own_series.prepare(tmp_path, **READ, **prepare, test_fraction=0.2)
    data = {"in_shape": [5, 2], "prepare": prepare, "examples": {"horizon": 1}}
    last = of.loc[of["shop"] == "small"]
    known, ahead = last.iloc[:-1], last.iloc[-1:].assign(sold="")
    pd.concat([known, ahead]).to_csv(tmp_path / "new.csv", index=False)
    inputs = inputs_of(data, content.card)
    found = inputs.examples(read(tmp_path / "new.csv", "utf-8", ","), Source("new.csv"))
    assert found.errors[-2] is None
    assert found.errors[-1] is not None
    assert "line 41 has none" in found.errors[-1]
    known.to_csv(tmp_path / "new.csv", index=False)
    found = inputs.examples(read(tmp_path / "new.csv", "utf-8", ","), Source("new.csv"))
    assert found.errors[-1] == "expected price in the rows up to 1 after it: add them, without the others"


def test_whole_series_with_a_class(tmp_path):
    random = np.random.RandomState(0)
    of = pd.concat([
        pd.DataFrame({"who": f"p{place}", "a": random.randn(n).round(3), "b": random.randn(n).round(3),
                      "ill": "yes" if place % 2 else "no"})
        for place, n in enumerate(random.randint(3, 9, 20))
    ])  # fmt: skip
    of.to_csv(tmp_path / "of.csv", index=False)
    columns = {
        "who": {"kind": "excluded", "because": "of which series"}, "a": {"kind": "number"}, "b": {"kind": "number"},
        "ill": {"kind": "classes", "classes": ["no", "yes"]},
    }  # fmt: skip
    prepare: dict[str, Any] = {"columns": columns, "by": "who", "time": None}
    content = own_series.labelled(tmp_path, **READ, **prepare, steps=6, test_fraction=0.2, seed=0)
    data = {"in_shape": [6, 3], "prepare": prepare}
    x = asked(content, data, read(tmp_path / "of.csv", "utf-8", ","), Source("of.csv"))
    same_rows(x, whole(content))
