"""`howdeep init` on images: what is proposed, what is refused, and a project that trains."""

import hashlib
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf
from PIL import Image
from sklearn.datasets import load_digits

from howdeep.data import card, prepared
from howdeep.errors import UserError
from howdeep.stages.init import init
from howdeep.stages.init_images import propose_images
from howdeep.stages.proposals import Asked
from howdeep.training import targets
from tests.clones import ENV


def picture(value: int, size: tuple[int, int] = (12, 9), mode: str = "L", kind: str = "PNG") -> bytes:
    """An image of its own for each value; size is width and height."""
    content = io.BytesIO()
    grey = np.full((size[1], size[0]), value, np.uint8)
    grey[0, 0] = value // 2
    Image.fromarray(grey).convert(mode).save(content, kind)
    return content.getvalue()


def written(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def pets(n: int = 5, part: str = "") -> dict[str, bytes]:
    start = {"": 0, "train/": 0, "test/": 60, "val/": 90}[part]
    return {f"{part}{pet}/{i}.png": picture(start + i + shade)
            for pet, shade in (("cat", 0), ("dog", 120)) for i in range(n)}  # fmt: skip


def proposed(tmp_path: Path, data: Path, **asked) -> tuple[dict, str]:
    """The config of the data set, and what is told."""
    proposal = propose_images(Asked(tmp_path / "project", data, **asked), data.stem)
    return proposal.config, "\n".join(proposal.lines)


def test_what_is_found_is_told_and_written(tmp_path, capsys):
    extra = {
        "cat/moving.gif": picture(200, kind="GIF"),
        "cat/notes.txt": b"text",
        ".hidden/a.png": b"",
        "dog/big.PNG": picture(250, (40, 30)),
    }
    init(Asked(tmp_path / "project", written(tmp_path / "pets", pets() | extra)))
    said = capsys.readouterr().out
    config = yaml.safe_load((tmp_path / "project/conf/data/pets.yaml").read_text())
    for words in (
        "pets: 12 images of 2 classes", "  cat  6", "left out, no images: cat/notes.txt", "left out, hidden: .hidden",
        "2 sizes, 9x12 to 30x40", "11 L, 1 P", "grey (all show grey alone",
        "beware: 2 test images are few",
    ):  # fmt: skip
        assert words in said
    prepare = config["prepare"]
    assert (prepare["size"], prepare["channels"], prepare["classes"]) == ([9, 12], 1, ["cat", "dog"])
    assert prepare["split"] == "stratified"
    assert config["out_features"] == 2
    (source,) = config["sources"]
    assert source["file"] == prepare["archive"] == "pets.zip"
    params = yaml.safe_load((tmp_path / "project/params.yaml").read_text())
    assert [entry["model"] for entry in params["entries"].values()] == ["cnn", "mlp"]


def test_large_images_are_proposed_smaller_in_the_same_proportions_and_one_colour_makes_all_of_them_colours(
    tmp_path,
):
    files = {name: picture(n, (640, 480)) for n, name in enumerate(pets())}
    red = io.BytesIO()
    Image.new("RGB", (640, 480), "red").save(red, "JPEG")
    config, _ = proposed(tmp_path, written(tmp_path / "pets", files | {"dog/red.jpg": red.getvalue()}))
    assert (config["prepare"]["size"], config["prepare"]["channels"]) == ([24, 32], 3)


def test_the_same_folder_gives_the_same_archive(tmp_path):
    data, found = written(tmp_path / "pets", pets()), []
    for place in ("first", "second"):
        proposal = propose_images(Asked(tmp_path / "project", data), "pets")
        (tmp_path / place).mkdir()
        assert proposal.bring
        found.append(proposal.bring(tmp_path / place))
        for path in data.rglob("*.png"):
            path.touch()
    assert found[0] == found[1]
    (archive,) = found[0]
    content = (tmp_path / "first/pets.zip").read_bytes()
    assert archive["sha256"] == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("parts", "test", "validation", "examples"),
    [
        (("train/", "test/"), ["test"], [], "examples.labelled"),
        (("train/", "val/"), ["val"], [], "examples.labelled"),
        (("train/", "test/", "val/"), ["test"], ["val"], "own_table.given"),
    ],
)
def test_folders_of_parts_are_the_split(tmp_path, parts, test, validation, examples):
    files = {name: content for part in parts for name, content in pets(part=part).items()}
    config, _ = proposed(tmp_path, written(tmp_path / "pets", files))
    prepare = config["prepare"]
    assert (prepare["split"], prepare["test"], prepare["validation"]) == ("given", test, validation)
    assert "seed" not in prepare
    assert config["examples"]["_target_"] == f"howdeep.data.{examples}"
    assert prepare["classes"] == ["cat", "dog"]


def test_copies_on_both_sides_are_told(tmp_path):
    files = pets() | {"dog/copy.bmp": picture(0, kind="BMP")}
    _, said = proposed(tmp_path, written(tmp_path / "pets", files))
    assert "beware: 1 images are there more than once, as cat/0.png and dog/copy.bmp" in said
    assert "of two classes" in said


def of_table(tmp_path: Path, head: str, rows: Sequence[str]) -> Path:
    written(tmp_path, {f"images/{name}": content for name, content in pets().items()})
    (tmp_path / "list.csv").write_text("\n".join([head, *rows]) + "\n")
    return tmp_path / "list.csv"


def test_a_table_of_paths_and_classes_is_a_set_of_images(tmp_path):
    rows = [f"a{n};images\\{pet}\\{n}.png;{pet}" for pet in ("cat", "dog") for n in range(5)]
    config, said = proposed(tmp_path, of_table(tmp_path, "id;where;animal", rows), kind="images")
    prepare = config["prepare"]
    assert (prepare["path"], prepare["label"], prepare["separator"]) == ("where", "animal", ";")
    assert prepare["_target_"] == "howdeep.data.own_images.prepare_listed"
    assert (prepare["archive"], prepare["file"]) == ("list.zip", "list.csv")
    assert "classes: 'animal' (it is the last column" in said


def test_a_column_of_parts_or_groups_is_the_split(tmp_path):
    rows = [f"images/{pet}/{n}.png,{pet},{'Test' if n == 4 else 'train'},{n // 2}"
            for pet in ("cat", "dog") for n in range(5)]  # fmt: skip
    table = of_table(tmp_path, "path,label,split,owner", rows)
    given = proposed(tmp_path, table, kind="images")[0]["prepare"]
    assert (given["label"], given["by"], given["test"]) == ("label", "split", ["Test"])
    grouped, _ = proposed(tmp_path, table, kind="images", group="owner")
    assert (grouped["prepare"]["split"], grouped["prepare"]["by"]) == ("group", "owner")
    assert grouped["examples"]["_target_"] == "howdeep.data.own_table.grouped"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"notes.txt": b"text"}, "expected images in class folders below .*, found none, only notes.txt"),
        (pets(4), "expected 5 images of each class at least, .* but 'cat' has 4, 'dog' has 4"),
        (
            {f"pets/{name}": of for name, of in pets().items()},
            "found only 'pets': if its folders .* --data .*/pets$",
        ),
        ({"1.png": picture(1)}, "a folder for each class .* found images directly in it, .* a CSV of paths"),
        (
            pets() | {"cat/0.png": b"text", "dog/1.png": b""},
            r"2 of 10 are no good: cat/0.png \(.*, dog/1.png \(",
        ),
        (
            pets(part="train/") | {f"test/cow/{n}.png": picture(n) for n in range(5)},
            "training images of every class, but 'cow' has test images alone",
        ),
    ],
)
def test_folders_that_are_no_set_of_images_are_refused_and_nothing_is_left(tmp_path, files, words):
    with pytest.raises(UserError, match=re.compile(words)):
        init(Asked(tmp_path / "project", written(tmp_path / "data", files)))
    assert not (tmp_path / "project").exists()


ROWS = [f"images/{pet}/{n}.png,{pet}" for pet in ("cat", "dog") for n in range(5)]


@pytest.mark.parametrize(
    ("rows", "asked", "words"),
    [
        ([f"no/{row}" for row in ROWS], {}, "a column with paths of images, .* but no text is such a file"),
        ([*ROWS, "gone.png,cat", f"{'x' * 300}.png,cat"], {}, "found none for 'gone.png' in line 12, 'xxx"),
        ([*ROWS, ROWS[0]], {}, "each image once, but images/cat/0.png"),
        (
            [*ROWS[1:], "images/cat/0.png,"],
            {},
            "a class in every row, but 1 of 10 have none, the first in line 11",
        ),
        (ROWS, {"target": ["pat"]}, "expected a column of list.csv as --target, got 'pat'"),
        (ROWS, {"target": ["path"]}, "a column of classes as --target, got 'path'"),
        (ROWS, {"time": "path"}, "expected no --time for images"),
        (ROWS, {"task": "regression"}, "--task must be classification for images"),
    ],
)
def test_tables_that_are_no_set_of_images_are_refused(tmp_path, rows, asked, words):
    with pytest.raises(UserError, match=words):
        init(Asked(tmp_path / "project", of_table(tmp_path, "path,label", rows), kind="images", **asked))
    assert not (tmp_path / "project").exists()


def test_options_of_columns_are_refused_for_folders(tmp_path):
    with pytest.raises(UserError, match="expected no --target for a folder of images"):
        proposed(tmp_path, written(tmp_path / "pets", pets()), target=["cat"])


FOLDS = [f"images/{pet}/{n}.png,{pet},{('train', 'valid', 'test')[n % 3]},{n // 2}"
         for pet in ("cat", "dog") for n in range(10)]  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "asked"),
    [
        (("",), {}),
        (("train/", "test/"), {}),
        (("train/", "val/", "test/"), {}),
        (None, {}),
        (None, {"group": "owner"}),
    ],
)
def test_whatever_is_proposed_is_prepared_and_read_for_training(tmp_path, parts, asked):
    if parts:
        files = {name: content for part in parts for name, content in pets(10, part).items()}
        data, n = written(tmp_path / "pets", files), 20 * len(parts)
    else:
        written(tmp_path, {f"images/{name}": content for name, content in pets(10).items()})
        (data := tmp_path / "pets.csv").write_text("\n".join(["path,label,split,owner", *FOLDS]))
        n = 20
    proposal = propose_images(Asked(tmp_path / "project", data, **asked), "pets")
    (raw := tmp_path / "raw").mkdir()
    assert proposal.bring
    data = OmegaConf.create({"data": proposal.config | {"sources": proposal.bring(raw)}}).data
    plain: Any = OmegaConf.to_container(data, resolve=True)
    content = targets.call("data.prepare", plain["prepare"], raw)
    folder = tmp_path / "prepared"
    card.write(content, folder, data=plain, raw=raw, recipe="")
    split = targets.call(
        "data.examples", plain["examples"], folder / "train.safetensors", folder / "test.safetensors"
    )
    assert split.test is not None
    parts = (split.train, split.validation, split.test)
    assert sum(len(x) for x, _ in parts) == n
    assert all(x.shape[1:] == (1, 9, 12) for x, _ in parts)
    assert all(set(y.tolist()) == {0, 1} for _, y in parts)
    shown = {tuple(x.flatten().tolist()) for part, _ in parts for x in part}
    assert len(shown) == n  # each image is in one part


@pytest.mark.slow
def test_digits_as_files_become_the_digits_of_scikit_learn_and_train(tmp_path, root):
    digits = load_digits()
    kept = np.flatnonzero(digits.target < 3)[:150]  # type: ignore[attr-defined]
    images = (digits.images[kept] * 15).astype(np.uint8)  # type: ignore[attr-defined]
    labels = digits.target[kept]  # type: ignore[attr-defined]
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        path = tmp_path / f"numbers/{label}/{place:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)

    def howdeep(*words: str, folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "howdeep", *words], cwd=folder, env=ENV, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    howdeep("init", "project", "--data", "numbers", folder=tmp_path)
    project = tmp_path / "project"
    shutil.copytree(root / "conf", project / "conf", dirs_exist_ok=True)  # a wheel brings it
    howdeep("train", "data=numbers", "model=cnn", "trainer.max_epochs=1", "tracking.uri=null", folder=project)
    parts = [
        prepared.read(project / f"data/prepared/numbers/{part}.safetensors") for part in ("train", "test")
    ]
    x, y = (np.concatenate([part[of] for part in parts]) for of in ("x", "y"))
    mean, std = parts[0]["x"].mean(), parts[0]["x"].std()
    assert abs(mean) < 1e-6
    assert abs(std - 1) < 1e-5
    low, high = x.min(), x.max()  # 0 and 240, as some pixels of these digits are
    shown = np.round((x - low) / (high - low) * 240).reshape(-1, 64)
    for label in range(3):
        ours = np.sort(shown[y == label], axis=0)
        np.testing.assert_array_equal(ours, np.sort(images[labels == label].reshape(-1, 64), axis=0))
