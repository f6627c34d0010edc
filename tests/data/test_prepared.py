"""What lies in a prepared folder, and what is said of one that is broken."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from howdeep.data import card, prepared
from howdeep.errors import UserError
from howdeep.files.seals import is_whole

DATA = {
    "name": "toy",
    "licence": "CC0",
    "homepage": "https://example.org",
    "sources": [{"file": "toy.csv", "url": "https://example.org/toy.csv", "md5": "0"}],
}
TRAIN = np.array([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0], [2.0, 5.0]])
TEST = np.array([[10.0, 6.0]])


def content() -> prepared.Prepared:
    return prepared.labelled(
        train=(TRAIN, np.array([0, 1, 1, 1])), test=(TEST, np.array([0])), classes=["no", "yes"], axis=0
    )


@pytest.fixture
def raw(tmp_path) -> Path:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "toy.csv").write_text("1,2\n")
    return tmp_path / "raw"


@pytest.fixture
def written(raw, tmp_path) -> Path:
    card.write(content(), tmp_path / "toy", data=DATA, raw=raw, recipe="r")
    return tmp_path / "toy"


def test_the_training_statistics_scale_both_parts():
    # by hand: mean (2, 5), deviation (sqrt 2, none)
    np.testing.assert_allclose(content().train["x"][:, 0], np.array([-2, 0, 2, 0]) / np.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(content().test["x"], [[8 / np.sqrt(2), 1.0]], rtol=1e-6)


def test_views_of_arrays_are_written_as_they_read(raw, tmp_path):
    """Safetensors writes memory: of columns of a larger array it wrote the others, and of a transpose another order."""
    whole = np.arange(12).reshape(3, 4)
    parts = {"columns": whole[:, 1:], "transposed": whole.T, "backwards": whole[::-1]}
    card.write(prepared.Prepared(parts, parts, {}), tmp_path / "views", data=DATA, raw=raw, recipe="r")
    found = prepared.read(tmp_path / "views" / "train.safetensors")
    for name, array in parts.items():
        np.testing.assert_array_equal(found[name], array)


def test_the_card_says_what_the_data_are(written):
    text = (written / "card.json").read_bytes()
    assert is_whole(text)
    said = json.loads(text)
    said.pop("seal")
    low, high = said["range"].pop("standardised")
    deviations = said.pop("std")
    assert (low, high) == pytest.approx((-np.sqrt(2), np.sqrt(2)), rel=1e-6)
    assert deviations == pytest.approx([np.sqrt(2), 1.0], rel=1e-12)
    train, test = (
        hashlib.sha256((written / f"{part}.safetensors").read_bytes()) for part in ("train", "test")
    )
    assert said == {
        "name": "toy",
        "licence": "CC0",
        "homepage": "https://example.org",
        "shape": [2],
        "examples": {"train": 4, "test": 1},
        "range": {"raw": [0.0, 5.0]},
        "mean": [2.0, 5.0],
        "classes": ["no", "yes"],
        "counts": {"train": [1, 3], "test": [1, 0]},
        "raw": {"toy.csv": hashlib.sha256(b"1,2\n").hexdigest()},
        "checksums": {"train": train.hexdigest(), "test": test.hexdigest()},
        "digest": hashlib.sha256((train.hexdigest() + test.hexdigest()).encode()).hexdigest(),
        "recipe": "r",
    }


def test_a_series_is_scaled_by_its_past(tmp_path):
    steps = np.arange(5.0)[:, None]
    content = prepared.series(train=steps[:3], test=steps[3:])
    np.testing.assert_allclose(content.test["series"], (steps[3:] - 1) / np.sqrt(2 / 3), rtol=1e-6)
    assert (content.card["shape"], content.card["examples"]) == ([1], {"train": 3, "test": 2})


def test_each_variable_of_a_series_has_its_own_scale_whatever_its_unit():
    random = np.random.default_rng(0)
    steps = random.normal(size=(50, 3)).cumsum(axis=0)
    units, origins = np.array([1e-3, 1.0, 1e4]), np.array([0.0, -7.0, 1e6])
    plain, other = (prepared.series(train=of[:40], test=of[40:]) for of in (steps, origins + units * steps))
    for part in ("train", "test"):
        ours, theirs = (getattr(of, part)["series"] for of in (plain, other))
        np.testing.assert_allclose(theirs, ours, atol=1e-5)
    np.testing.assert_allclose(other.train["series"].std(axis=0), 1, rtol=1e-5)
    assert np.shape(other.card["mean"]) == np.shape(other.card["std"]) == (3,)
    np.testing.assert_allclose(other.card["std"], units * plain.card["std"])


def test_a_variable_that_does_not_change_in_training_is_refused_by_its_place():
    steps = np.stack([np.arange(5.0), np.full(5, 2.5)], axis=1)
    steps[-1, 1] = 9.0  # its one change is in the test part
    with pytest.raises(
        UserError, match=r"^expected .* 4 training steps, but variable 2 of 2 is always 2\.5: leave"
    ):
        prepared.series(train=steps[:4], test=steps[4:])


def test_what_was_written_is_read(written):
    arrays = prepared.read(written / "train.safetensors", "x", "y")
    np.testing.assert_array_equal(arrays["x"], content().train["x"])
    assert (arrays["y"].tolist(), arrays["y"].dtype) == ([0, 1, 1, 1], np.int64)


def test_the_bytes_are_the_same_in_another_place_and_process_order(written, raw, tmp_path):
    card.write(
        content(), tmp_path / "elsewhere" / "toy", data=dict(reversed(DATA.items())), raw=raw, recipe="r"
    )
    for path in sorted(written.iterdir()):
        assert path.read_bytes() == (tmp_path / "elsewhere" / "toy" / path.name).read_bytes()


def test_writing_replaces_an_older_folder_whole(written, raw, tmp_path):
    (written / "left over").touch()
    card.write(content(), written, data=DATA, raw=raw, recipe="r")
    assert sorted(path.name for path in written.iterdir()) == [
        "card.json",
        "test.safetensors",
        "train.safetensors",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "toy"]


def test_a_write_that_fails_leaves_the_older_folder_and_nothing_aside(written, raw, tmp_path):
    before = (written / "card.json").read_bytes()
    (raw / "toy.csv").unlink()
    with pytest.raises(FileNotFoundError):
        card.write(content(), written, data=DATA, raw=raw, recipe="r")
    assert (written / "card.json").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw", "toy"]


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def _garbage(path: Path) -> None:
    path.write_bytes(b"\xff" * 100)


def _other_arrays(path: Path) -> None:
    save_file({"series": np.zeros((3, 1), np.float32)}, path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (Path.unlink, "found none"),
        (_empty, "got a broken file"),
        (_cut, "got a broken file"),
        (_garbage, "got a broken file"),
        (_other_arrays, "expected x, y among the arrays of .*, found series"),
    ],
    ids=["absent", "empty", "truncated", "garbage", "other arrays"],
)
def test_a_file_that_cannot_be_used_gives_one_line_with_the_command(written, damage, message):
    path = written / "train.safetensors"
    damage(path)
    with pytest.raises(UserError, match=f"{message}.*: run `howdeep prepare data=toy`$") as caught:
        prepared.read(path, "x", "y")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
