"""Which files of a folder are images, and what its folders stand for."""

import io
import os
import re

import pytest
from PIL import Image

from howdeep.errors import UserError
from howdeep.intake.folders import Layout, check_classes, find, in_order, layout, part_and_class


@pytest.fixture
def dot() -> bytes:
    content = io.BytesIO()
    Image.new("L", (1, 1)).save(content, "PNG")
    return content.getvalue()


def written(folder, files: dict[str, bytes]):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_images_are_found_by_content_or_ending_and_the_rest_is_named(tmp_path, dot):
    files = {
        "cat/B.PNG": dot, "cat/a.jpeg": dot, "cat/deep/er/c.png": dot, "dog/without": dot, "dog/broken.png": b"text",
        "dog/notes.txt": b"text", "dog/Thumbs.db": b"", ".git/x.png": dot, "dog/._a.png": b"",
        "__MACOSX/dog/a.png": b"",
    }  # fmt: skip
    found = find(written(tmp_path, files))
    assert found.images == [
        "cat/B.PNG",
        "cat/a.jpeg",
        "cat/deep/er/c.png",
        "dog/broken.png",
        "dog/without",
    ]
    assert found.others == ["dog/notes.txt"]
    assert found.hidden == [".git", "__MACOSX", "dog/._a.png", "dog/Thumbs.db"]


def test_a_link_to_a_folder_is_followed_and_a_circle_ends(tmp_path, dot):
    written(tmp_path, {"elsewhere/a.png": dot, "pets/cat/b.png": dot})
    os.symlink(tmp_path / "elsewhere", tmp_path / "pets/dog")
    os.symlink(tmp_path / "pets", tmp_path / "pets/cat/again")
    assert find(tmp_path / "pets").images == ["cat/b.png", "dog/a.png"]


def test_a_pipe_is_no_image_and_waits_for_nobody_and_a_link_to_nothing_is_a_fault(tmp_path, dot):
    written(tmp_path, {"cat/a.png": dot})
    os.mkfifo(tmp_path / "cat/pipe.png")
    os.symlink(tmp_path / "gone.png", tmp_path / "cat/link.png")
    found = find(tmp_path)
    assert (found.images, found.others) == (["cat/a.png", "cat/link.png"], ["cat/pipe.png"])


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="names are text there")
def test_a_name_that_is_no_text_is_refused_in_words_that_can_be_printed(tmp_path, dot):
    (tmp_path / "cat").mkdir()
    with open(os.fsencode(tmp_path / "cat") + b"/\xff.png", "wb") as file:
        file.write(dot)
    with pytest.raises(UserError, match="UTF-8") as error:
        find(tmp_path)
    str(error.value).encode()


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (["cat/1", "dog/1"], Layout("", [], [])),
        (["car/1", "train/1"], Layout("", [], [])),  # a train is a vehicle too
        (["train/cat/1", "train/dog/1"], Layout("train/", [], [])),
        (["train/cat/1", "test/cat/1"], Layout("", ["test"], [])),
        (["Train/cat/1", "TEST/cat/1", "valid/cat/1"], Layout("", ["TEST"], ["valid"])),
        (["train/cat/1", "val/cat/1"], Layout("", ["val"], [])),
    ],
)
def test_folders_are_classes_or_parts(tmp_path, images, expected):
    assert layout(images, tmp_path) == expected


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (["1.png", "cat/1.png"], "found images directly in it, such as 1.png"),
        (["train/cat/1", "test/1"], "expected a folder for each class in .*test"),
        (["train/1", "test/1"], "expected a folder for each class in .*train"),
        (["train/cat/1", "test/cat/1", "more/cat/1"], "found more/ beside train/"),
        (["test/cat/1", "val/cat/1"], "expected a folder train beside test, val"),
    ],
)
def test_folders_that_leave_a_doubt_are_refused(tmp_path, images, words):
    with pytest.raises(UserError, match=words):
        layout(images, tmp_path)


def test_the_class_of_an_image_in_deeper_folders_is_the_first():
    assert part_and_class("cat/siamese/1.png", in_parts=False) == ("", "cat")
    assert part_and_class("test/cat/siamese/1.png", in_parts=True) == ("test", "cat")


def test_classes_are_in_order_as_numbers_or_as_words():
    assert in_order(["10", "9", "1", "9"]) == ["1", "9", "10"]
    assert in_order(["10", "b", "9"]) == ["10", "9", "b"]


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, "two classes at least, found none: look"),
        ({"cat": 9}, "two classes at least, found only 'cat': look"),
        ({"cat": 9, "dog": 4}, "5 images of each class at least, .* but 'dog' has 4"),
    ],
)
def test_classes_that_cannot_be_compared_are_refused(counts, words):
    with pytest.raises(UserError, match=re.compile(words)):
        check_classes(counts, "pets", "look")
    check_classes({"cat": 5, "dog": 5}, "pets", "look")
