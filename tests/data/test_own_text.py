"""Texts of somebody's own: symbols, unknown ones, padding."""

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from howdeep.data import own_text
from howdeep.data.examples import characters, decode
from howdeep.errors import UserError

COLUMNS = {"text": {"kind": "text"}, "label": {"kind": "classes", "classes": ["bad", "good"]}}


def prepared(tmp_path, texts, **options):
    labels = ["bad", "good"] * (len(texts) // 2)
    pd.DataFrame({"text": texts, "label": labels}).to_csv(tmp_path / "of.csv", index=False)
    usual = {"unit": "characters", "length": 5, "vocabulary": 20, "test_fraction": 0.25, "seed": 0}
    read = {"file": "of.csv", "encoding": "utf-8", "separator": ","}
    return own_text.prepare(tmp_path, **read, columns=COLUMNS, **(usual | options))


def decoded(x, card):
    signs = ["", "?", *card["symbols"]]
    return {"".join(signs[number] for number in row) for row in x}


def test_the_last_characters_of_each_text_are_its_numbers(tmp_path):
    texts = ["abc", "abcdefgh", "a\N{COMBINING DIAERESIS}b", "ab"] * 5
    found = prepared(tmp_path, texts)
    both = np.concatenate([found.train["x"], found.test["x"]])
    assert decoded(both, found.card) == {"abc", "defgh", "\N{LATIN SMALL LETTER A WITH DIAERESIS}b", "ab"}
    assert both.shape == (20, 5)
    assert found.card["classes"] == ["bad", "good"]


def test_words_are_read_without_regard_to_capitals(tmp_path):
    found = prepared(tmp_path, ["Good day, Sir!", "good DAY, sir!"] * 6, unit="words", length=5)
    assert decoded(found.train["x"], found.card) == {"goodday,sir!"}


def test_symbols_are_those_of_training_texts_alone_and_the_rest_is_one_sign(tmp_path):
    texts = [f"{chr(0x4E00 + place)}a" for place in range(40)]
    found = prepared(tmp_path, texts, vocabulary=100)
    assert len(found.card["symbols"]) == 31  # of 30 training texts, and a
    assert found.card["unknown_in_test"] == pytest.approx(0.5)
    few = prepared(tmp_path, texts, vocabulary=4)
    assert few.card["symbols"][0] == "a"
    assert few.train["x"].max() < 4


@pytest.mark.parametrize(
    ("texts", "options", "told"),
    [
        (["a", "", "b", "c"] * 2, {}, "expected a text in every row, got '' in line 3"),
        (["a", "b"] * 4, {"unit": "sentences"}, "unit must be characters or words"),
        (["a", "b"] * 4, {"vocabulary": 2}, "vocabulary must be a whole number above 2"),
    ],
)
def test_what_means_nothing_is_told(tmp_path, texts, options, told):
    with pytest.raises(UserError, match=told):
        prepared(tmp_path, texts, **options)


def test_a_running_text_has_the_characters_of_its_training_part_and_a_sign_for_all_others(tmp_path):
    text = "Zürich, Genève.\n" * 20 + "Łódź? " * 10
    (tmp_path / "of.txt").write_text(text, encoding="utf-8")
    options = {"file": "of.txt", "encoding": "utf-8", "test_fraction": 60 / len(text)}
    found = own_text.language(tmp_path, vocabulary=20, **options)
    save_file(found.train, tmp_path / "train.safetensors")
    save_file(found.test, tmp_path / "test.safetensors")
    files = [tmp_path / f"{part}.safetensors" for part in ("train", "test")]
    split = characters(*files, context=10, in_shape=[10], vocabulary=20, validation_fraction=0.25)
    assert decode(split.train[0][0], split.alphabet) == text[:10]
    assert len(split.alphabet) == 20
    _, last = split.test  # type: ignore[misc]
    told = decode(last.flatten(), split.alphabet)
    assert (
        told
        == "".join(c if c in text[:320] else "\N{REPLACEMENT CHARACTER}" for c in text[320:])[: len(told)]
    )
    with pytest.raises(UserError, match=r"data\.vocabulary must be 20, the characters of"):
        characters(*files, context=10, in_shape=[10], vocabulary=96, validation_fraction=0.25)
    assert len(own_text.language(tmp_path, vocabulary=4, **options).card["alphabet"]) == 3
