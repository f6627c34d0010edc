"""What classifiers answered to each test example: the content of results/answers.safetensors."""

from collections.abc import Mapping, Sequence

import numpy as np

from howdeep.errors import UserError

Answers = Mapping[str, np.ndarray]  # "<run key>/predicted", "<run key>/confidence", "<entry>/label"
NO_ANSWERS: Answers = {}


def right(answers: Answers, entry: str, keys: Sequence[str]) -> np.ndarray:
    """Which test examples each run got right, (runs, examples).

    Raises:
        UserError: a run has no answers.
    """
    return np.stack([predicted(answers, entry, key) == answers[f"{entry}/label"] for key in keys])


def predicted(answers: Answers, entry: str, key: str) -> np.ndarray:
    """The classes that a run named, (examples,).

    Raises:
        UserError: it has no answers.
    """
    if f"{key}/predicted" not in answers:
        raise UserError(
            f"results/answers.safetensors lacks the run {key} of {entry}: run `dvc repro evaluate`"
        )
    return answers[f"{key}/predicted"]
