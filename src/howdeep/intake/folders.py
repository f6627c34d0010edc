"""A folder of class folders: which of its files are images, which folders are parts of a split, which are classes."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from howdeep.errors import UserError
from howdeep.intake.images import is_image

PARTS = {
    "train": "training", "training": "training", "val": "validation", "valid": "validation",
    "validation": "validation", "test": "test", "testing": "test",
}  # fmt: skip
# Files that are meant as images: one of them that cannot be read is a fault, and no note beside the images.
ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".ppm", ".pgm"),
    *(".pbm", ".pnm", ".avif", ".jp2", ".j2k", ".heic", ".heif", ".jxl", ".svg", ".tga", ".ico", ".psd", ".dcm"),
)  # fmt: skip
HIDDEN = ("__MACOSX", "Thumbs.db", "desktop.ini")  # and what begins with a dot


class Found(NamedTuple):
    """What lies below a folder: paths with / between, sorted.

    Args:
        images: files that are images, or are called so.
        others: files that are neither.
        hidden: files and folders that are hidden, or that a system has left there.
    """

    images: list[str]
    others: list[str]
    hidden: list[str]


class Layout(NamedTuple):
    """What the folders stand for.

    Args:
        root: where the class folders are, "" or, as in "train/", below the only part.
        test, validation: folders that are these parts; without any of `test`, nothing says what is the test.
    """

    root: str
    test: list[str]
    validation: list[str]


def find(folder: Path) -> Found:
    """The files below a folder. A link to a folder is followed, once.

    Raises:
        UserError: a folder that cannot be read, a name that is no text.
    """
    found, seen = Found([], [], []), set()

    def refused(error: OSError) -> None:
        raise UserError(f"cannot read {error.filename}: {error.strerror}: allow reading it") from None

    for place, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        below = Path(place).relative_to(folder)
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        found.hidden.extend((below / name).as_posix() for name in [*folders, *files] if _is_hidden(name))
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in files:
            if not _is_hidden(name):
                path = Path(place) / name
                kind = found.images if _is_meant_as_image(path) else found.others
                kind.append((below / name).as_posix())
    for name in [name for kind in found for name in kind]:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise UserError(
                f"expected names of files in UTF-8 in {folder}, got {name!a}: rename it"
            ) from None
    return Found(*map(sorted, found))


def layout(images: Sequence[str], folder: Path) -> Layout:
    """Which folders are parts of a split: `train/`, `val/`, `test/` and the like, where class folders lie in them.

    With `train/` and `val/` alone, `val/` is the test. A folder of such a name with images directly in it is a class.

    Raises:
        UserError: images without a class folder, class folders beside parts, a test without training images.
    """
    bare = [name for name in images if "/" not in name]
    if bare:
        raise UserError(
            f"expected a folder for each class in {folder}, found images directly in it, such as {bare[0]}: move the "
            "images of each class into a folder of its name, or give a CSV of paths and classes with --kind images"
        )
    direct: dict[str, bool] = {}
    for name in images:
        top = name.split("/")[0]
        direct[top] = direct.get(top, False) or name.count("/") == 1
    named = [top for top in direct if top.lower() in PARTS]
    parts = [top for top in named if not direct[top]]
    if without := [top for top in named if direct[top] and (parts or len(named) == len(direct))]:
        raise UserError(
            f"expected a folder for each class in {folder / without[0]}, found images directly in it: move them into "
            "class folders, or give another folder"
        )
    if not parts:
        return Layout("", [], [])
    if beside := [top for top in direct if top not in parts]:
        raise UserError(
            f"expected class folders alone in {folder}, or parts such as train and test alone, found {beside[0]}/ "
            f"beside {parts[0]}/: move it"
        )
    of = {part: [top for top in parts if PARTS[top.lower()] == part] for part in set(PARTS.values())}
    if not of["training"]:
        raise UserError(
            f"expected a folder train beside {', '.join(parts)} in {folder}, found none: add it, or give another folder"
        )
    if len(parts) == 1:
        return Layout(f"{parts[0]}/", [], [])
    if not of["test"]:
        return Layout("", of["validation"], [])
    return Layout("", of["test"], of["validation"])


def part_and_class(name: str, *, in_parts: bool) -> tuple[str, str]:
    """The folder of the part, "" without any, and the class of an image."""
    first, second, *_ = f"{name}//".split("/")
    return (first, second) if in_parts else ("", first)


def in_order(classes: Iterable[str]) -> list[str]:
    """Classes sorted: as numbers where all are whole ones."""
    names = sorted(set(classes))
    return sorted(names, key=int) if all(name.isascii() and name.isdigit() for name in names) else names


def check_classes(counts: Mapping[str, int], where: str, advice: str) -> None:
    """Raises `UserError` unless there are two classes of five images each."""
    if len(counts) < 2:
        only = f"only '{next(iter(counts))}'" if counts else "none"
        raise UserError(f"{where}: expected two classes at least, found {only}: {advice}")
    if rare := [f"'{name}' has {n}" for name, n in counts.items() if n < 5]:
        more = f" and {len(rare) - 3} more" if len(rare) > 3 else ""
        raise UserError(
            f"{where}: expected 5 images of each class at least, for training, validation and test, but "
            f"{', '.join(rare[:3])}{more}: add some, or take these classes away"
        )


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in HIDDEN


def _is_meant_as_image(path: Path) -> bool:
    if path.exists() and not path.is_file():  # a pipe may never end
        return False
    if path.suffix.lower() in ENDINGS:
        return True
    try:
        with path.open("rb") as file:
            return is_image(file)
    except OSError:
        return False
