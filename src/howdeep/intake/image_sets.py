"""Images of several classes: where each is, what it shows, and what it is for, by its folders or by a table."""

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from howdeep.errors import UserError, near
from howdeep.intake import folders, guessing, images
from howdeep.intake.archives import member
from howdeep.intake.reading import SEPARATORS, Sheet, encoding_of, is_parquet, read, separator_of

OF_PARTS = ("split", "part", "set", "subset", "fold", "partition")  # columns that say what an image is for


class Set(NamedTuple):
    """Images with what is known of each, in one order.

    Args:
        names: in the archive.
        paths: where each is.
        labels: its class.
        parts: what it is for: "test", "validation", "training", or "" where nothing says so.
        split: the keys of `prepare` that say how test images are chosen.
        keys: further ones, of a table.
        lines: what is told of how they were found.
    """

    names: list[str]
    paths: list[Path]
    labels: list[str]
    parts: list[str]
    split: dict[str, Any]
    keys: dict[str, Any]
    lines: list[str]


def of_folder(folder: Path) -> Set:
    """The images of class folders, in `train/`, `val/` and `test/` where these are there.

    Raises:
        UserError: no images, or folders that do not say which class an image is of.
    """
    found = folders.find(folder)
    if not found.images:
        there = f", only {some(found.others + found.hidden)}" if found.others + found.hidden else ""
        raise UserError(
            f"expected images in class folders below {folder}, found none{there}: name another folder"
        )
    layout = folders.layout(found.images, folder)
    names = [name.removeprefix(layout.root) for name in found.images]
    told = [folders.part_and_class(name, in_parts=bool(layout.test)) for name in names]
    part = dict.fromkeys(layout.test, "test") | dict.fromkeys(layout.validation, "validation")
    parts = [part.get(of, "training") if layout.test else "" for of, _ in told]
    split = {"split": "given", "test": layout.test, "validation": layout.validation}
    lines = [f"classes are the folders of {layout.root.rstrip('/')}"] if layout.root else []
    for what, files in (("no images", found.others), ("hidden", found.hidden)):
        if files:
            lines.append(f"left out, {what}: {some(files)}")
    return Set(
        names, [folder / name for name in found.images], [of for _, of in told], parts,
        split if layout.test else {"split": "stratified"}, {}, lines,
    )  # fmt: skip


def of_table(file: Path, target: Sequence[str], group: str | None) -> Set:
    """The images that a table lists, with paths as seen from its folder.

    Args:
        target: the column of classes; empty: the one that looks like it.
        group: the column whose values stay on one side of the split.

    Raises:
        UserError: no column of paths or classes, paths without a file, rows without a class, images listed twice.
    """
    encoding, _ = ("utf-8", "") if is_parquet(file) else encoding_of(file)
    separator, _ = (",", "") if is_parquet(file) else separator_of(file, encoding)
    sheet = read(file, encoding, separator)
    path, paths = _paths(sheet, file)
    label, why = _label(sheet, target, group, path, file.name)
    by = group or _column_of_parts(sheet, path, label)
    if by is not None and by not in sheet.names:
        raise UserError(f"expected a column of {file.name} as --group, got '{by}'{near(by, sheet.names)}")
    labels, names = sheet.column(label), [member(name) for name in sheet.column(path)]
    if empty := [line for text, line in zip(labels, sheet.lines, strict=True) if not text]:
        raise UserError(
            f"{file.name}, column '{label}': expected a class in every row, but {len(empty)} of {len(labels)} have "
            f"none, the first in line {empty[0]}: write them, or take the rows away"
        )
    if twice := [name for name, often in Counter(names).items() if often > 1]:
        raise UserError(
            f"{file.name}, column '{path}': expected each image once, but {twice[0]} is there more often, as "
            f"{len(twice)} in all: take the other rows away"
        )
    lines = [
        f"separated by {SEPARATORS[separator]}s, encoding {encoding}" if not is_parquet(file) else "Parquet",
        f"paths: '{path}', below {file.parent}; classes: '{label}' ({why})",
    ]
    parts, split = [""] * len(names), {"split": "group", "by": by} if by else {"split": "stratified"}
    if by and not group:
        values = sheet.column(by)
        parts = [folders.PARTS[value.lower()] for value in values]
        split = _given(by, values)
        parts = ["test" if value in split["test"] else of for value, of in zip(values, parts, strict=True)]
    keys = {"encoding": encoding, "separator": separator, "path": path, "label": label}
    return Set(names, paths, labels, parts, split, keys, lines)


def _given(by: str, values: Sequence[str]) -> dict[str, Any]:
    """As for folders: where there is validation and no test, it is the test."""
    of = {part: sorted({value for value in values if folders.PARTS[value.lower()] == part})
          for part in ("test", "validation")}  # fmt: skip
    test, validation = (of["test"], of["validation"]) if of["test"] else (of["validation"], [])
    return {"split": "given", "by": by, "test": test, "validation": validation}


def _paths(sheet: Sheet, file: Path) -> tuple[str, list[Path]]:
    """The column whose texts are files, and where they are; those that are none are told by name later on."""
    best = max(
        sheet.names, key=lambda name: sum(os.path.isfile(_at(file, text)) for text in sheet.column(name))
    )
    paths = [_at(file, text) for text in sheet.column(best)]
    absent = [place for place, path in enumerate(paths) if not os.path.isfile(path)]
    if len(absent) == len(paths):
        raise UserError(
            f"{file.name}: expected a column with paths of images, below {file.parent}, but no text is such a file: "
            "write paths as seen from the table's folder"
        )
    if absent:
        texts = sheet.column(best)
        told = ", ".join(f"'{texts[place]}' in line {sheet.lines[place]}" for place in absent[: images.SHOWN])
        more = f" and {len(absent) - images.SHOWN} more" if len(absent) > images.SHOWN else ""
        raise UserError(
            f"{file.name}, column '{best}': expected files below {file.parent}, found none for {told}{more}: bring "
            "them there, or take the rows away"
        )
    return best, paths


def _at(file: Path, text: str) -> Path:
    as_it_is = file.parent / text
    return as_it_is if os.path.isfile(as_it_is) else file.parent / member(text)


def _label(sheet: Sheet, target: Sequence[str], group: str | None, path: str, file: str) -> tuple[str, str]:
    others = [name for name in sheet.names if name not in (path, group)]
    others = [name for name in others if name != _column_of_parts(sheet, path, "")] or others
    if len(target) > 1:
        raise UserError(f"expected one --target for images, got {', '.join(target)}")
    if not (others or target):
        raise UserError(f"{file}: expected a column of classes beside '{path}', found none: add one")
    wanted = sheet if target else Sheet(others, [], [])
    (label,), why = guessing.target_of(wanted, target, file)
    if label == path:
        raise UserError(f"expected a column of classes as --target, got '{path}', which has the paths")
    return label, why


def _column_of_parts(sheet: Sheet, path: str, label: str) -> str | None:
    """A column that says what each image is for, by its name and all its values."""
    for name in sheet.names:
        if name not in (path, label) and name.lower() in OF_PARTS:
            values = {value.lower() for value in sheet.column(name)}
            parts = {folders.PARTS.get(value) for value in values}
            if None not in parts and "training" in parts and len(parts) > 1:
                return name
    return None


def check_parts(found: Set, where: str) -> None:
    """Raises `UserError` where a class is judged that nobody can have learned."""
    if found.split["split"] != "given":
        return
    learned = {label for label, part in zip(found.labels, found.parts, strict=True) if part == "training"}
    for label, part in zip(found.labels, found.parts, strict=True):
        if label not in learned:
            raise UserError(
                f"{where}: expected training images of every class, but '{label}' has {part} images alone: add "
                "some, or take the class away"
            )


def some(files: Sequence[str]) -> str:
    """The first three."""
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"{', '.join(files[:3])}{more}"
