"""What the runs answered to each test example, or scored on it: the content of results/answers.safetensors."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from howdeep.errors import UserError

# Of classifiers "<run key>/predicted", "<run key>/confidence", "<entry>/label" or, where seeds drew test examples of
# their own, "<run key>/label"; of other tasks "<run key>/score".
Answers = Mapping[str, np.ndarray]
NO_ANSWERS: Answers = {}


def check(answers: Answers, where: Path, remedy: str) -> Answers:
    """The answers, if they are such.

    Raises:
        UserError: an array has another name or shape, or holds something else.
    """
    kinds = {"predicted": "iu", "label": "iu", "confidence": "f", "score": "f"}
    for name, array in answers.items():
        kind = kinds.get(name.rpartition("/")[2], "")
        other = {"predicted": "confidence", "confidence": "predicted"}.get(name.rpartition("/")[2])
        pair = answers.get(f"{name.rpartition('/')[0]}/{other}") if other else array
        alone = pair is None or pair.shape != array.shape
        if "/" not in name or array.ndim != 1 or alone or not kind or array.dtype.kind not in kind:
            raise UserError(
                f"{where} must hold predicted and confidence, label, or score, for each example, got {name!r} of the "
                f"shape {array.shape} and the type {array.dtype}: {remedy}"
            )
    return answers


def right(answers: Answers, entry: str, keys: Sequence[str]) -> np.ndarray:
    """Which test examples each run got right, (runs, examples).

    Raises:
        UserError: a run has no answers.
    """
    return np.stack([predicted(answers, entry, key) == labels(answers, entry, key) for key in keys])


def labels(answers: Answers, entry: str, key: str) -> np.ndarray:
    """The right answers to the test examples of a run: its own, or those of all runs of the entry.

    Raises:
        UserError: there are none.
    """
    for name in (f"{key}/label", f"{entry}/label"):
        if name in answers:
            return answers[name]
    raise UserError(f"results/answers.safetensors lacks the labels of {entry}: run `dvc repro evaluate`")


def single_scores(answers: Answers, entry: str, keys: Sequence[str]) -> np.ndarray | None:
    """The score of each run on each test example, (runs, examples), in double precision; of classifiers 0 or 1.

    Returns:
        None where nobody kept them.

    Raises:
        UserError: a run has none, though others of the entry have.
    """
    if f"{entry}/label" in answers or (keys and f"{keys[0]}/label" in answers):
        return right(answers, entry, keys).astype(np.float64)
    found = [answers.get(f"{key}/score") for key in keys]
    if all(of is None for of in found):
        return None
    if any(of is None or of.shape != found[0].shape for of in found):  # type: ignore[union-attr]
        raise UserError(
            f"results/answers.safetensors lacks a score for each test example of a run of {entry}: "
            "run `dvc repro evaluate`"
        )
    return np.stack(found).astype(np.float64)  # type: ignore[arg-type]


def predicted(answers: Answers, entry: str, key: str) -> np.ndarray:
    """The classes that a run named, (examples,).

    Raises:
        UserError: it has no answers, or not one for each example.
    """
    expected = labels(answers, entry, key)
    if f"{key}/predicted" not in answers:
        raise UserError(
            f"results/answers.safetensors lacks the run {key} of {entry}: run `dvc repro evaluate`"
        )
    found = answers[f"{key}/predicted"]
    if found.shape != expected.shape:
        raise UserError(
            f"results/answers.safetensors has {len(expected)} labels of {entry} and {len(found)} "
            f"answers of the run {key}: run `dvc repro evaluate`"
        )
    return found
