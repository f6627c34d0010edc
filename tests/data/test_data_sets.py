"""The data sets against the loaders of scikit-learn and statsmodels, and through the whole way to tensors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hydra.utils import instantiate
from sklearn.datasets import load_breast_cancer, load_digits
from statsmodels.datasets import elnino as statsmodels_elnino
from statsmodels.datasets import sunspots as statsmodels_sunspots
from torch import _torch_docs

from howdeep.data import breast_cancer, digits, elnino, prepared, sunspots, torch_docs
from howdeep.errors import UserError
from howdeep.files.seals import checksum
from tests.choices import EMBEDDED

CONFIGS = sorted((Path(__file__).parents[2] / "conf" / "data").rglob("*.yaml"))
NAMES = [path.stem for path in CONFIGS]


def arrays(folder: Path, part: str) -> dict[str, np.ndarray]:
    return prepared.read(folder / f"{part}.safetensors")


def test_digits_are_those_of_scikit_learn(raw):
    x, y = digits.read(raw("digits"))
    oracle: Any = load_digits()
    np.testing.assert_array_equal(x, oracle.data)
    np.testing.assert_array_equal(y, oracle.target)


def test_breast_cancer_is_that_of_scikit_learn(raw):
    x, y, names = breast_cancer.read(raw("breast_cancer"))
    oracle: Any = load_breast_cancer()
    np.testing.assert_array_equal(x, oracle.data)
    np.testing.assert_array_equal(y, oracle.target)
    assert names == list(oracle.target_names)


def test_sunspots_are_those_of_statsmodels(raw):
    years, numbers = sunspots.read(raw("sunspots"))
    oracle: Any = statsmodels_sunspots.load_pandas().data
    np.testing.assert_array_equal(years, oracle["YEAR"])
    np.testing.assert_array_equal(numbers[:, 0], oracle["SUNACTIVITY"])


def test_elnino_is_that_of_statsmodels(raw):
    months, temperatures = elnino.read(raw("elnino"))
    oracle: Any = statsmodels_elnino.load_pandas().data
    assert [months[0], months[12], months[-1]] == ["1950-01", "1951-01", "2010-12"]
    assert temperatures.shape == (61 * 12, 1)
    for index, name in enumerate(["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT"]):
        np.testing.assert_array_equal(temperatures[index::12, 0], oracle[name])


def test_torch_docs_are_the_text_of_the_installed_module(raw):
    text = torch_docs.read(raw("torch_docs"))
    assert text == Path(_torch_docs.__file__).read_text()
    assert len(text) == 439_320


@pytest.mark.parametrize(("name", "load"), [("digits", load_digits), ("breast_cancer", load_breast_cancer)])
def test_both_parts_together_are_the_whole_data_set(folder, name, load):
    card = json.loads((folder(name) / "card.json").read_text())
    parts = [arrays(folder(name), part) for part in ("train", "test")]
    x, y = (np.concatenate([part[key] for part in parts]) for key in ("x", "y"))
    oracle: Any = load()
    scaled = (oracle.data - np.array(card["mean"])) / np.array(card["std"])
    for label, _ in enumerate(card["classes"]):
        ours, theirs = np.sort(x[y == label], axis=0), np.sort(scaled[oracle.target == label], axis=0)
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
        assert card["counts"]["train"][label] + card["counts"]["test"][label] == len(theirs)


@pytest.mark.parametrize(
    ("name", "axis"), [("digits", None), ("digit_sequences", None), ("breast_cancer", 0)]
)
def test_training_examples_have_mean_0_and_deviation_1_and_test_examples_not(folder, name, axis):
    train, test = (arrays(folder(name), part)["x"].astype(float) for part in ("train", "test"))
    np.testing.assert_allclose(train.mean(axis), 0, atol=1e-6)
    np.testing.assert_allclose(train.std(axis), 1, atol=1e-6)
    assert (np.abs(test.mean(axis)) > 1e-4).all()


def test_the_test_of_sunspots_is_its_last_fifth(folder):
    card = json.loads((folder("sunspots") / "card.json").read_text())
    assert card["period"] == {"train": [1700, 1946], "test": [1947, 2008]}
    assert card["examples"] == {"train": 247, "test": 62}
    series: Any = statsmodels_sunspots.load_pandas().data
    oracle = series["SUNACTIVITY"].to_numpy()
    expected = (oracle[247:] - oracle[:247].mean()) / oracle[:247].std()
    np.testing.assert_allclose(arrays(folder("sunspots"), "test")["series"][:, 0], expected, rtol=1e-5)


def test_the_test_of_elnino_is_its_last_fifth(folder):
    card = json.loads((folder("elnino") / "card.json").read_text())
    assert card["period"] == {"train": ["1950-01", "1998-10"], "test": ["1998-11", "2010-12"]}
    assert card["examples"] == {"train": 586, "test": 146}
    data: Any = statsmodels_elnino.load_pandas().data
    oracle = data.iloc[:, 1:].to_numpy().ravel()
    expected = (oracle[586:] - oracle[:586].mean()) / oracle[:586].std()
    np.testing.assert_allclose(arrays(folder("elnino"), "test")["series"][:, 0], expected, rtol=1e-5)


def test_both_parts_of_torch_docs_are_its_beginning_in_the_characters_of_the_first(raw, folder):
    text, card = (
        torch_docs.read(raw("torch_docs"))[:100_000],
        json.loads((folder("torch_docs") / "card.json").read_text()),
    )
    train, test = (arrays(folder("torch_docs"), part)["text"] for part in ("train", "test"))
    signs = np.array(list(map(chr, arrays(folder("torch_docs"), "train")["alphabet"])))
    past, future = text[:90_000], text[90_000:]
    assert card["examples"] == {"train": 90_000, "test": 10_000}
    assert "".join(signs[train]) == past
    assert "".join(signs[1:]) == card["alphabet"] == "".join(sorted(set(past)))
    assert "".join(signs[test]) == "".join(of if of in past else "\N{REPLACEMENT CHARACTER}" for of in future)
    assert card["unknown_in_test"] == sum(of not in past for of in future) / 10_000 > 0


@pytest.mark.parametrize("characters", [1, 0, 439_321, 1.5, True, "all"])
def test_more_characters_than_torch_docs_has_are_refused(raw, characters):
    message = r"data\.prepare\.characters must be a whole number from 2 to 439320, the length .*, got"
    with pytest.raises(UserError, match=message):
        torch_docs.prepare(raw("torch_docs"), characters=characters, vocabulary=89, test_fraction=0.1)


@pytest.mark.parametrize("name", ["digit_sequences", "imbalanced_digits", "noisy_digits"])
def test_data_sets_of_digits_have_their_files(folder, name):
    for part in ("train", "test"):
        assert checksum(folder("digits") / f"{part}.safetensors") == checksum(
            folder(name) / f"{part}.safetensors"
        )


def test_steps_of_a_digit_sequence_run_along_its_rows(composed, folder):
    def train_images(*overrides: str) -> np.ndarray:
        data = composed(*overrides).data
        name = folder(data.name)
        return instantiate(data.examples)(name / "train.safetensors", None).train[0].numpy()

    images = train_images("data=digits")  # (n, 1, 8, 8)
    sequences = train_images("data=digit_sequences")  # (n, 16, 4)
    np.testing.assert_array_equal(sequences[:, 0], images[:, 0, 0, :4])
    np.testing.assert_array_equal(sequences[:, 1], images[:, 0, 0, 4:])
    np.testing.assert_array_equal(
        train_images("data=digit_sequences", "data.in_shape=[8,8]"), images.squeeze(1)
    )
    assert train_images("data=digit_sequences", "data.in_shape=[64,1]").shape[1:] == (64, 1)


@pytest.mark.parametrize("name", EMBEDDED)
def test_examples_have_the_shapes_that_the_yaml_promises(composed, folder, name):
    cfg = composed(f"data={name}")
    split = instantiate(cfg.data.examples)(
        folder(name) / "train.safetensors", folder(name) / "test.safetensors"
    )
    for x, y in split:
        assert list(x.shape[1:]) == list(cfg.data.in_shape)
        assert (cfg.data.vocabulary is None) == x.is_floating_point()
        assert x.is_floating_point() or x.max() < cfg.data.vocabulary
        if cfg.data.every_step:
            assert y.shape == x.shape
            assert y.max() < cfg.data.vocabulary == cfg.data.out_features
        else:
            outputs = y.shape[1] if y.is_floating_point() else int(y.max()) + 1
            assert outputs == cfg.data.out_features


@pytest.mark.parametrize("name", EMBEDDED)
def test_preparing_again_gives_the_same_numbers(composed, raw, folder, name):
    again = instantiate(composed(f"data={name}").data.prepare)(raw(name))
    for part in ("train", "test"):
        for key, array in arrays(folder(name), part).items():
            np.testing.assert_array_equal(getattr(again, part)[key], array)


def task_of(prepared: dict[str, np.ndarray]) -> str:
    """What can be learned of these arrays."""
    if "series" in prepared:
        return "Forecasting"
    if "text" in prepared:
        return "LanguageModelling"
    if prepared["y"].ndim == 1:
        return "Classification"
    return "Regression" if prepared["y"].dtype.kind == "f" else "SequenceLabelling"


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_data_set_chooses_the_task_that_can_be_learned_from_it(composed, folder, name):
    assert composed(f"data={name}").task._target_.endswith(f".{task_of(arrays(folder(name), 'train'))}")


@pytest.mark.parametrize("name", EMBEDDED)
def test_what_has_symbols_has_a_vocabulary_and_what_has_targets_at_every_step_has_such_outputs(
    composed, folder, name
):
    data, found = composed(f"data={name}").data, arrays(folder(name), "train")
    symbols = len(found["alphabet"]) if "text" in found else None
    if "x" in found and found["x"].dtype.kind != "f":
        symbols = int(found["x"].max()) + 1
    at_every_step = task_of(found) in ("LanguageModelling", "SequenceLabelling")
    assert (data.vocabulary, data.every_step) == (symbols, at_every_step)


def test_the_context_decides_the_shape_of_an_example(composed):
    assert composed("data=sunspots", "data.context=11").data.in_shape == [11, 1]
    assert composed("data=torch_docs", "data.context=11").data.in_shape == [11]


@pytest.mark.parametrize("path", CONFIGS, ids=NAMES)
def test_a_yaml_has_the_name_of_its_file_and_every_key(composed, path):
    data = composed(f"data={path.stem}").data
    assert data.name == path.stem
    wanted = {"name", "sources", "licence", "homepage", "prepare", "examples", "in_shape", "out_features"}
    assert set(data) - {"context", "steps", "mirror", "vocabulary", "every_step"} == wanted
    assert data.prepare._target_ == f"howdeep.data.{path.stem}.prepare"
    assert path.read_text().startswith("# howdeep train ")
    assert f"data={path.stem}" in path.read_text().splitlines()[0]
