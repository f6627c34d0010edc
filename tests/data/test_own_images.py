"""Images of somebody's own, from an archive to arrays: the order, the split, the scale, and what does not fit."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from howdeep.data import own_images
from howdeep.errors import UserError
from howdeep.intake import archives

OPTIONS: dict[str, Any] = {
    "archive": "pets.zip", "size": [2, 3], "channels": 1, "classes": ["cat", "dog"], "split": "stratified",
    "test_fraction": 0.4, "seed": 0,
}  # fmt: skip
LISTED: dict[str, Any] = {
    **OPTIONS,
    "file": "pets.csv",
    "encoding": "utf-8",
    "separator": ",",
    "path": "path",
    "label": "pet",
}


def dot(value: int, colour: tuple[int, int, int] | None = None) -> bytes:
    content = io.BytesIO()
    image = Image.new("RGB", (3, 2), colour) if colour else Image.new("L", (3, 2), value)
    image.save(content, "PNG")
    return content.getvalue()


def raw(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with an archive of these files."""
    paths = {}
    for place, (name, content) in enumerate(files.items()):
        paths[name] = folder / f"{place}.file"
        paths[name].write_bytes(content)
    archives.pack(paths.items(), folder / "pets.zip")
    return folder


def brightness(content, part: str) -> list[int]:
    """Of each image, as it was in its file."""
    x, mean, std = getattr(content, part)["x"], np.array(content.card["mean"]), np.array(content.card["std"])
    return np.round(x * std + mean).astype(int)[:, 0].tolist()


FILES = {f"{pet}/{n}.png": dot(10 * n + shade) for pet, shade in (("dog", 100), ("cat", 0)) for n in range(5)}


def test_every_image_is_on_one_side_with_its_class(tmp_path):
    content = own_images.prepare(raw(tmp_path, FILES), **OPTIONS)
    told = [pair for part in ("train", "test")
            for pair in zip(brightness(content, part), getattr(content, part)["y"], strict=True)]  # fmt: skip
    assert sorted(told) == [*((10 * n, 0) for n in range(5)), *((100 + 10 * n, 1) for n in range(5))]
    assert content.card["counts"] == {"train": [3, 3], "test": [2, 2]}
    assert content.train["x"].dtype == np.float32
    assert content.train["x"].shape == (6, 6)


def test_all_pixels_have_one_scale_that_of_training(tmp_path):
    colours = {
        f"{pet}/{n}.png": dot(0, (n, 2 * n, shade)) for pet, shade in (("a", 9), ("b", 200)) for n in range(5)
    }
    content = own_images.prepare(raw(tmp_path, colours), **dict(OPTIONS, channels=3, classes=["a", "b"]))
    x = content.train["x"].astype(float)
    assert abs(x.mean()) < 1e-6
    assert abs(x.std() - 1) < 1e-6
    planes = x.reshape(-1, 3, 2, 3)  # (n, channels, height, width)
    assert (planes[:, 1] >= planes[:, 0]).all()
    assert planes[content.train["y"] == 1, 2].min() > planes[:, :2].max()


def test_parts_that_are_given_stay(tmp_path):
    files = {f"{part}/{pet}/{n}.png": dot(shade + n) for part, shade in (("train", 0), ("test", 100), ("val", 200))
             for pet in ("cat", "dog") for n in range(2)}  # fmt: skip
    given: dict[str, Any] = dict(
        split="given", test=["test"], validation=["val"], test_fraction=None, seed=None
    )
    content = own_images.prepare(raw(tmp_path, files), **OPTIONS | given)
    assert sorted(brightness(content, "test")) == [100, 100, 101, 101]
    marked = content.train["validation"].astype(bool)
    assert sorted(np.array(brightness(content, "train"))[marked]) == [200, 200, 201, 201]
    assert len(marked) == 8


OWNED = [(pet, n) for pet in ("dog", "cat") for n in range(5)]
WINDOWS = r"in\deep"  # as tables from there have folders
TABLE = "path,pet,owner\n" + "".join(
    f"{WINDOWS if n == 0 else 'x'}/{pet}{n}.png,{pet},{pet}{n // 2}\n" for pet, n in OWNED
)
MEMBERS = {
    f"{'in/deep' if n == 0 else 'x'}/{pet}{n}.png": dot(10 * n + (100 if pet == "dog" else 0))
    for pet, n in OWNED
}


def test_a_table_says_which_image_is_of_which_class_in_its_order(tmp_path):
    (tmp_path / "pets.csv").write_text(TABLE)
    content = own_images.prepare_listed(raw(tmp_path, MEMBERS), **LISTED)
    for part in ("train", "test"):
        shades = brightness(content, part)
        assert [int(shade < 100) for shade in shades] == [1 - y for y in getattr(content, part)["y"]]
        dogs = [shade for shade in shades if shade >= 100]
        assert shades == dogs + [shade for shade in shades if shade < 100]  # as the table has them
        assert dogs == sorted(dogs)


def test_all_images_of_one_owner_are_on_one_side(tmp_path):
    (tmp_path / "pets.csv").write_text(TABLE)
    content = own_images.prepare_listed(raw(tmp_path, MEMBERS), **dict(LISTED, split="group", by="owner"))
    owners = [{shade // 20 for shade in brightness(content, part)} for part in ("train", "test")]
    assert not owners[0] & owners[1]
    assert len(content.train["group"]) == len(content.train["y"])


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"size": [2]}, "data.prepare.size must be a height and a width"),
        ({"size": [2, 0]}, "data.prepare.size must be"),
        ({"size": "23"}, "data.prepare.size must be"),
        ({"channels": 2}, r"data.prepare.channels must be 1 \(grey\) or 3"),
        ({"classes": ["cat"]}, "classes must list two names"),
        ({"classes": ["cat", "cow"]}, "found 'dog': add it there"),
        ({"classes": ["cat", "dog", "cow"]}, "expected images of 'cow', found none"),
        ({"split": "time"}, "data.prepare.split must be one of"),
        ({"split": "group"}, "data.prepare.split must be stratified or given"),
        ({"seed": None}, "must have test_fraction and seed"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, changed, words):
    with pytest.raises(UserError, match=words):
        own_images.prepare(raw(tmp_path, FILES), **OPTIONS | changed)


def test_spoiled_images_are_told_all_at_once(tmp_path):
    files = FILES | {"cat/1.png": b"text", "dog/3.png": b""}
    with pytest.raises(
        UserError, match=r"pets.zip: .* 2 of 10 are no good: cat/1.png \(.*dog/3.png \(it is empty"
    ):
        own_images.prepare(raw(tmp_path, files), **OPTIONS)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"path": "paths"}, "data.prepare.path must be a column of pets.csv"),
        ({"split": "group"}, "must have a column in data.prepare.by"),
        ({"split": "given", "by": "owner", "test": ["cat9"]}, "expected test images, found none"),
    ],
)
def test_tables_that_do_not_fit_are_refused(tmp_path, changed, words):
    (tmp_path / "pets.csv").write_text(TABLE)
    with pytest.raises(UserError, match=words):
        own_images.prepare_listed(raw(tmp_path, MEMBERS), **LISTED | changed)


def test_an_image_that_the_archive_lacks_is_told(tmp_path):
    (tmp_path / "pets.csv").write_text(TABLE + "x/gone.png,cat,me\n")
    with pytest.raises(UserError, match=r"found no x/gone\.png"):
        own_images.prepare_listed(raw(tmp_path, MEMBERS), **LISTED)
