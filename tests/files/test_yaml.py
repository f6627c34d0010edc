"""YAML as DVC reads and writes it: what `dvc exp run -S` sets in params.yaml is what a study reads there."""

import io
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import loads_yaml, modify_yaml
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from howdeep.files.reading import yaml_of
from howdeep.files.writing import yaml_text

# Numbers, and texts that YAML 1.1 takes for other numbers or for truths, and numbers that it takes for texts.
WORDS = (
    "1e-05", "1e5", "1E+2", "-3e-4", "1.0e-3", "1.e-3", ".5", "0.1", "010", "0o17", "0x1F", "1_000", "+3", "12:30",
    "1:30:00", "on", "yes", "No", "true", "~", "null", ".inf", "-.inf", "'1e-05'", "2024-01-01", "3.", "1e",
)  # fmt: skip


def of_text(folder: Path, text: str) -> Any:
    (folder / "params.yaml").write_text(text)
    return yaml_of(folder / "params.yaml")


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_what_dvc_takes_it_for(tmp_path, word):
    found, expected = of_text(tmp_path, f"a: {word}\n")["a"], loads_yaml(f"a: {word}\n")["a"]
    assert (type(found), found) == (type(expected), expected)


@pytest.mark.parametrize("value", [1e-5, 1e-300, 1e22, -2.5e-7, 0.1, 3, 0, float("inf"), True, None])
def test_what_dvc_writes_is_that_number_in_params_and_in_conf(tmp_path, value):
    path = tmp_path / "params.yaml"
    path.write_text("a: {b: 0.5}  # said\n")
    with modify_yaml(path) as content:
        content["a"]["b"] = value
    for found in (yaml_of(path)["a"]["b"], OmegaConf.load(path).a.b):
        assert (type(found), found) == (type(value), value)


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.floats(allow_nan=False) | st.integers() | st.sampled_from(WORDS)
    )
)
def test_what_is_written_is_read_again(tmp_path_factory, content):
    text = yaml_text(content)
    assert of_text(tmp_path_factory.getbasetemp(), text) == content
    assert (loads_yaml(io.StringIO(text)) or {}) == content
