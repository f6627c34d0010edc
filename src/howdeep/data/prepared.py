"""Prepared data on disk: a folder with train.safetensors, test.safetensors and card.json.

The bytes are a function of the raw files and the options alone: no time, host or path, so that the same data
has the same checksum everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError

from howdeep.data.splits import moments
from howdeep.encoding.scale import standardise
from howdeep.errors import UserError
from howdeep.files import tensors

WINDOWS = (
    "howdeep.encoding.series.Windows"  # named, and not imported: its code computes nothing of a training
)


@dataclass(frozen=True)
class Prepared:
    """What a data set's `prepare` returns: the arrays of both parts, and what the data card says of them.

    Labelled examples are `x` float32 (n, features) and `y` int64 (n,), pairs have a `y` of another shape, symbols an
    `x` of whole numbers; a series is `series` float32 (time, variables). Validation examples are part of `train`, and
    held out of it when they are loaded. Of what does not fit into memory an array is `tensors.Blocks`.
    """

    train: dict[str, Any]
    test: dict[str, Any]
    card: dict[str, Any]


class Standardised(NamedTuple):
    """Inputs of both parts, standardised with the statistics of the training part, and what the card says of them."""

    train: Any
    test: Any
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
    x = _standardised(train[0], test[0], axis)
    return with_classes(x, train=train[1], test=test[1], classes=classes)


def with_classes(x: Standardised, *, train: np.ndarray, test: np.ndarray, classes: Sequence[str]) -> Prepared:
    """Examples whose inputs are standardised already, with the index of each one's class, (n,)."""
    counts = {
        part: np.bincount(y, minlength=len(classes)).tolist()
        for part, y in (("train", train), ("test", test))
    }
    return Prepared(
        train={"x": x.train, "y": train.astype(np.int64)},
        test={"x": x.test, "y": test.astype(np.int64)},
        card=x.card | {"classes": list(classes), "counts": counts},
    )


def numbers(
    *, train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], targets: Sequence[str]
) -> Prepared:
    """Standardises examples with numbers as targets, both with the statistics of the training ones.

    Args:
        train: x (n, features) and y (n, targets).
        test: the same.
        targets: their names.

    Raises:
        UserError: a target that does not change in the training part, whose errors would have no unit.
    """
    check_targets(train[1], targets)
    return with_numbers(_standardised(train[0], test[0], 0), train=train[1], test=test[1], targets=targets)


def check_targets(train: np.ndarray, targets: Sequence[str]) -> None:
    """Raises `UserError` if one of the numbers that are told, (n, targets), does not change in the training part."""
    if (constant := np.flatnonzero(train.max(axis=0) == train.min(axis=0))).size:
        name, value = targets[constant[0]], train[0, constant[0]]
        raise UserError(
            f"expected a target that changes, but '{name}' is {value:g} in all {len(train)} training examples"
        )


def with_numbers(x: Standardised, *, train: np.ndarray, test: np.ndarray, targets: Sequence[str]) -> Prepared:
    """Examples whose inputs are standardised already, with numbers as targets, (n, targets), which are so here."""
    y_train, y_test, of_target = _standardised(train, test, 0)
    told = {name: of_target[name] for name in ("mean", "std", "range")}
    return Prepared(
        {"x": x.train, "y": y_train},
        {"x": x.test, "y": y_test},
        x.card | {"target": {"names": list(targets), **told}},
    )


def unscaled(
    *,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    classes: Sequence[str] = (),
) -> Prepared:
    """Examples whose numbers stay as they are: drawn ones have a scale of their own, in which papers tell their errors.

    Args:
        train: x (n, ...) and y (n, ...).
        test: the same.
        classes: names of the classes, where y (n,) holds their indices.
    """
    parts = {"train": train, "test": test}
    card: dict[str, Any] = {
        "shape": list(train[0].shape[1:]),
        "dtype": str(train[0].dtype),
        "examples": {part: len(x) for part, (x, _) in parts.items()},
    }
    if not classes:
        card["target"] = {"shape": list(train[1].shape[1:]), "dtype": str(train[1].dtype)}
    else:
        card["classes"] = list(classes)
        card["counts"] = {
            part: np.bincount(y, minlength=len(classes)).tolist() for part, (_, y) in parts.items()
        }
    arrays = {part: {"x": x, "y": y} for part, (x, y) in parts.items()}
    return Prepared(**arrays, card=card)


def series(*, train: np.ndarray, test: np.ndarray) -> Prepared:
    """Standardises a series, (time, variables), each variable with the mean and deviation of its training part.

    All variables are forecast, and errors are told in these deviations: with one for all of them, that of the largest,
    the others would vanish from loss and score.

    Raises:
        UserError: a variable that does not change in the training part, whose errors would have no unit.
    """
    if (constant := np.flatnonzero(train.max(axis=0) == train.min(axis=0))).size:
        raise UserError(
            f"expected every variable of a series to change in its {len(train)} training steps, but variable "
            f"{constant[0] + 1} of {train.shape[1]} is always {train[0, constant[0]]:g}: leave it out"
        )
    train, test, card = _standardised(train, test, 0)
    return Prepared({"series": train}, {"series": test}, card | {"encoding": WINDOWS})


def _standardised(train: np.ndarray, test: np.ndarray, axis: int | None) -> Standardised:
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
    return Standardised(x_train, x_test, card)


def _range(x: np.ndarray) -> list[float]:
    return [float(x.min()), float(x.max())]


def read(path: Path, *names: str) -> dict[str, np.ndarray]:
    """The arrays of a prepared file, among them those in `names`; those of a large one are mapped, see `tensors.read`.

    Raises:
        UserError: the file is absent, empty, corrupt or lacks one of the arrays.
    """
    advice = f"run `howdeep prepare data={path.parent.name}`"
    try:
        arrays = tensors.read(path)
    except FileNotFoundError:
        raise UserError(f"expected prepared data at {path}, found none: {advice}") from None
    except (SafetensorError, OSError) as error:
        raise UserError(f"expected prepared data at {path}, got a broken file ({error}): {advice}") from None
    if missing := [name for name in names if name not in arrays]:
        found = ", ".join(sorted(arrays)) or "none"
        raise UserError(f"expected {', '.join(missing)} among the arrays of {path}, found {found}: {advice}")
    return arrays
