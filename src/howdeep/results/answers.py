"""What classifiers answered to each test example: the content of results/answers.safetensors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from howdeep.errors import UserError

Answers = Mapping[str, np.ndarray]  # "<run key>/predicted", "<run key>/confidence", "<entry>/label"
NO_ANSWERS: Answers = {}


def check(answers: Answers, where: Path, remedy: str) -> Answers:
    """The answers, if they are such.

    Raises:
        UserError: an array has another name or shape, or holds something else.
    """
    kinds = {"predicted": "iu", "label": "iu", "confidence": "f"}
    for name, array in answers.items():
        kind = kinds.get(name.rpartition("/")[2], "")
        other = {"predicted": "confidence", "confidence": "predicted"}.get(name.rpartition("/")[2])
        pair = answers.get(f"{name.rpartition('/')[0]}/{other}") if other else array
        alone = pair is None or pair.shape != array.shape
        if "/" not in name or array.ndim != 1 or alone or not kind or array.dtype.kind not in kind:
            raise UserError(
                f"{where} must hold predicted and confidence, or label, for each example, got {name!r} of the shape "
                f"{array.shape} and the type {array.dtype}: {remedy}"
            )
    return answers


def right(answers: Answers, entry: str, keys: Sequence[str]) -> np.ndarray:
    """Which test examples each run got right, (runs, examples).

    Raises:
        UserError: a run has no answers.
    """
    return np.stack([predicted(answers, entry, key) == answers[f"{entry}/label"] for key in keys])


def predicted(answers: Answers, entry: str, key: str) -> np.ndarray:
    """The classes that a run named, (examples,).

    Raises:
        UserError: it has no answers, or not one for each example.
    """
    if f"{entry}/label" not in answers:
        raise UserError(f"results/answers.safetensors lacks the labels of {entry}: run `dvc repro evaluate`")
    if f"{key}/predicted" not in answers:
        raise UserError(
            f"results/answers.safetensors lacks the run {key} of {entry}: run `dvc repro evaluate`"
        )
    found = answers[f"{key}/predicted"]
    if found.shape != answers[f"{entry}/label"].shape:
        raise UserError(
            f"results/answers.safetensors has {len(answers[f'{entry}/label'])} labels of {entry} and {len(found)} "
            f"answers of the run {key}: run `dvc repro evaluate`"
        )
    return found
