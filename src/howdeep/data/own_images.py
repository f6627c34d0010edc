"""Images of somebody's own, of several classes: class folders in one archive, or a table of paths and classes."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from howdeep.data import prepared
from howdeep.data.own_table import groups_apart
from howdeep.data.splits import stratified
from howdeep.errors import UserError
from howdeep.intake import archives, images
from howdeep.intake.folders import part_and_class
from howdeep.intake.reading import read

SPLITS = ("stratified", "group", "given")


def prepare(
    raw: Path,
    *,
    archive: str,
    size: Sequence[int],
    channels: int,
    classes: Sequence[str],
    split: str,
    test_fraction: float | None = None,
    seed: int | None = None,
    test: Sequence[str] = (),
    validation: Sequence[str] = (),
) -> prepared.Prepared:
    """Decodes every image and splits off the test ones; all pixels have one scale.

    x (n, channels * height * width), y (n,) the index of the class, in the order of the names in the archive.

    Args:
        raw: the folder of the archive.
        archive: a ZIP archive of class folders, see `intake.archives`; with `split: given` below folders of parts.
        size: height and width that images are brought to, see `intake.images.pixels`.
        channels: 1 for grey, 3 for red, green, blue.
        classes: names of the class folders.
        split: how test images are chosen. stratified: at random, class by class; given: by folders of parts.
        test_fraction: share of the images that are the test; not where they are given.
        seed: of the draw.
        test, validation: the folders of parts with test and with validation images; all others are training.

    Raises:
        UserError: images that are no good, all at once; a class that is not listed; options that do not fit.
    """
    if split == "group":
        raise UserError("data.prepare.split must be stratified or given for class folders, got 'group'")
    with archives.opened(raw / archive) as opened:
        names = archives.names(opened)
        told = [part_and_class(name, in_parts=split == "given") for name in names]
        parts, labels = np.array([part for part, _ in told]), [label for _, label in told]
        y = _classes(labels, classes, archive)
        kept, held_out, beside = _split(split, parts, y, test_fraction, seed, test, validation, archive)
        return _prepared(names, opened.read, y, kept, held_out, beside, size, channels, classes, archive)


def prepare_listed(
    raw: Path,
    *,
    archive: str,
    file: str,
    encoding: str,
    separator: str,
    path: str,
    label: str,
    size: Sequence[int],
    channels: int,
    classes: Sequence[str],
    split: str,
    by: str | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    test: Sequence[str] = (),
    validation: Sequence[str] = (),
) -> prepared.Prepared:
    """As `prepare`, of images that a table lists, in the order of its rows.

    Args:
        raw, size, channels, test_fraction, seed: see `prepare`.
        archive: a ZIP archive that holds each image by its path in the table, with / between folders.
        file, encoding, separator: the table, see `intake.reading`.
        path, label: its columns with paths and with classes.
        classes: what stands in the column `label`.
        split: how test images are chosen. stratified: at random, class by class; group: all images with one value of
            the column `by` are on one side; given: those whose value of `by` is among `test`.
        test, validation: values of `by` where the parts are given.

    Raises:
        UserError: as `prepare`, or a table that is not as declared.
    """
    sheet = read(raw / file, encoding, separator)
    for option, column in (("path", path), ("label", label), ("by", by)):
        if column not in sheet.names and not (option == "by" and by is None):
            raise UserError(f"data.prepare.{option} must be a column of {file}, got {column!r}")
    if by is None and split in ("group", "given"):
        raise UserError(f"data.prepare.split={split} must have a column in data.prepare.by, got none")
    y = _classes(sheet.column(label), classes, file)
    values = np.array(sheet.column(by if by is not None else label))
    kept, held_out, beside = _split(split, values, y, test_fraction, seed, test, validation, file)
    names = [archives.member(name) for name in sheet.column(path)]
    with archives.opened(raw / archive) as opened:
        if absent := sorted(set(names) - set(archives.names(opened))):
            raise UserError(f"{archive}: expected the images that {file} lists, found no {absent[0]}")
        return _prepared(names, opened.read, y, kept, held_out, beside, size, channels, classes, file)


def _prepared(
    names: Sequence[str],
    read: Callable[[str], bytes],
    y: np.ndarray,
    kept: np.ndarray,
    held_out: np.ndarray,
    beside: Mapping[str, np.ndarray],
    size: Sequence[int],
    channels: int,
    classes: Sequence[str],
    file: str,
) -> prepared.Prepared:
    _check_shape(size, channels)
    found = images.each(names, read, lambda content: images.pixels(content, size, channels), file)
    x = np.stack(found).reshape(len(found), -1)  # (n, channels * height * width)
    content = prepared.labelled(
        train=(x[kept], y[kept]), test=(x[held_out], y[held_out]), classes=classes, axis=None
    )
    train = content.train | {name: array[kept] for name, array in beside.items()}
    card: dict[str, Any] = {"file": file, "size": list(size), "channels": channels, "pixels": [0, 255]}
    return prepared.Prepared(train, content.test, content.card | card)


def _check_shape(size: object, channels: object) -> None:
    listed = isinstance(size, Sequence) and not isinstance(size, str) and len(size) == 2
    if not (listed and all(type(of) is int and of >= 1 for of in size)):  # type: ignore[union-attr]
        raise UserError(
            f"data.prepare.size must be a height and a width in pixels, as in [32, 32], got {size!r}"
        )
    if type(channels) is not int or channels not in (1, 3):
        raise UserError(f"data.prepare.channels must be 1 (grey) or 3 (red, green, blue), got {channels!r}")


def _classes(labels: Sequence[str], classes: Sequence[str], file: str) -> np.ndarray:
    """(n,) the index of each image's class."""
    places = {name: place for place, name in enumerate(classes)}
    if len(places) < max(2, len(classes)):
        raise UserError(
            f"data.prepare.classes must list two names at least, each once, got {list(classes)}: put digits into quotes"
        )
    there = dict.fromkeys(labels)
    if other := [name for name in there if name not in places]:
        raise UserError(
            f"{file}: expected the classes of data.prepare.classes, found '{other[0]}': add it there"
        )
    if absent := [name for name in classes if name not in there]:
        raise UserError(
            f"{file}: expected images of '{absent[0]}', found none: take it out of data.prepare.classes"
        )
    return np.array([places[name] for name in labels], dtype=np.int64)


def _split(
    split: str,
    values: np.ndarray,
    y: np.ndarray,
    fraction: float | None,
    seed: int | None,
    test: Sequence[str],
    validation: Sequence[str],
    file: str,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Training images, test images, and what of all images says how validation ones are chosen.

    Args:
        values: (n,) the part or the group of each image.
    """
    if split not in SPLITS:
        raise UserError(f"data.prepare.split must be one of {', '.join(SPLITS)}, got {split!r}")
    if split == "given":
        held_out, marked = np.isin(values, list(test)), np.isin(values, list(validation))
        wanted = {"test": held_out, "training": ~(held_out | marked)}
        for part, of in (wanted | ({"validation": marked} if validation else {})).items():
            if not of.any():
                raise UserError(
                    f"{file}: expected {part} images, found none: see data.prepare.test and validation"
                )
        beside = {"validation": marked.astype(np.uint8)} if validation else {}
        return np.flatnonzero(~held_out), np.flatnonzero(held_out), beside
    if fraction is None or seed is None:
        raise UserError(f"data.prepare.split={split} must have test_fraction and seed")
    if split == "group":
        _, group = np.unique(values, return_inverse=True)
        return *groups_apart(group, fraction, seed), {"group": group.astype(np.int64)}
    return *stratified(y, fraction, seed), {}
