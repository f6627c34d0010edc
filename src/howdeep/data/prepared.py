"""Prepared data on disk: a folder with train.safetensors, test.safetensors and card.json.

The bytes are a function of the raw files and the options alone: no time, host or path, so that the same data
has the same checksum everywhere.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from howdeep.data.splits import moments, standardise
from howdeep.errors import UserError

PARTS = ("train", "test")


@dataclass(frozen=True)
class Prepared:
    """What a data set's `prepare` returns: the arrays of both parts, and what the data card says of them.

    Labelled examples are `x` float32 (n, features) and `y` int64 (n,); a series is `series` float32 (time,
    variables). Validation examples are part of `train`, and held out of it when they are loaded.
    """

    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    card: dict[str, Any]


def labelled(
    *,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    classes: Sequence[str],
    axis: int | None,
) -> Prepared:
    """Standardises labelled examples with the statistics of the training ones.

    Args:
        train: x (n, features) and y (n,), the index of each example's class.
        test: the same.
        classes: names of the classes.
        axis: 0 for one mean and standard deviation for each feature, None for a single one.
    """
    (x_train, y_train), (x_test, y_test) = train, test
    x_train, x_test, card = _standardised(x_train, x_test, axis)
    counts = {
        "train": np.bincount(y_train, minlength=len(classes)).tolist(),
        "test": np.bincount(y_test, minlength=len(classes)).tolist(),
    }
    return Prepared(
        train={"x": x_train, "y": y_train.astype(np.int64)},
        test={"x": x_test, "y": y_test.astype(np.int64)},
        card=card | {"classes": list(classes), "counts": counts},
    )


def series(*, train: np.ndarray, test: np.ndarray) -> Prepared:
    """Standardises a series, (time, variables), with one mean and deviation, those of its training part."""
    train, test, card = _standardised(train, test, None)
    return Prepared({"series": train}, {"series": test}, card)


def _standardised(
    train: np.ndarray, test: np.ndarray, axis: int | None
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Both parts, standardised, and what the card says of any data."""
    mean, std = moments(train, axis)
    x_train, x_test = standardise(train, mean, std), standardise(test, mean, std)
    card = {
        "shape": list(train.shape[1:]),
        "examples": {"train": len(train), "test": len(test)},
        "range": {"raw": _range(train), "standardised": _range(x_train)},
        "mean": mean.tolist(),
        "std": std.tolist(),
    }
    return x_train, x_test, card


def _range(x: np.ndarray) -> list[float]:
    return [float(x.min()), float(x.max())]


def write(prepared: Prepared, folder: Path, *, data: Mapping[str, Any], raw: Path) -> None:
    """Writes the folder aside and renames it: whoever finds it finds it whole.

    Args:
        prepared: what `prepare` returned.
        folder: where it goes; an older one is replaced.
        data: the data set's config: `name`, `sources`, `licence`, `homepage`.
        raw: the folder of the raw files.
    """
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        for part in PARTS:
            # save_file would hide the file from others (mode 600) and tell a full disk as a broken file.
            _file(aside, part).write_bytes(save(getattr(prepared, part)))
        card = {name: data[name] for name in ("name", "licence", "homepage")} | prepared.card
        card["raw"] = {source["file"]: checksum(raw / source["file"]) for source in data["sources"]}
        card |= _checksums(aside)
        (aside / "card.json").write_text(json.dumps(card, indent=1, allow_nan=False) + "\n")
        shutil.rmtree(folder, ignore_errors=True)
        aside.replace(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _file(folder: Path, part: str) -> Path:
    return folder / f"{part}.safetensors"


def _checksums(folder: Path) -> dict[str, Any]:
    """The checksum of each part, and one of both together: the data set's `digest`."""
    checksums = {part: checksum(_file(folder, part)) for part in PARTS}
    digest = hashlib.sha256("".join(checksums.values()).encode()).hexdigest()
    return {"checksums": checksums, "digest": digest}


def checksum(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: Path, *names: str) -> dict[str, np.ndarray]:
    """The arrays of a prepared file, among them those in `names`.

    Raises:
        UserError: the file is absent, empty, corrupt or lacks one of the arrays.
    """
    advice = f"run `howdeep prepare data={path.parent.name}`"
    try:
        arrays = load_file(path)
    except FileNotFoundError:
        raise UserError(f"expected prepared data at {path}, found none: {advice}") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"expected prepared data at {path}, got a broken file ({error}): {advice}") from None
    if missing := [name for name in names if name not in arrays]:
        found = ", ".join(sorted(arrays)) or "none"
        raise UserError(f"expected {', '.join(missing)} among the arrays of {path}, found {found}: {advice}")
    return arrays
