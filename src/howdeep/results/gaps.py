"""The overfitting gap, freed of what else differs between depths: normalised, and at equal training loss.

As measured (validation minus training, at the best and at the last epoch) a gap also tells how far training came: a
network that learned nothing has none. Two more views answer that; pure functions of a run's record.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

# The method of each score that knows nothing of the input: what it reaches is called chance.
TRIVIAL = {
    "accuracy": "majority",
    "mae": "persistence",
    "bits": "unigram",
    "kid": "uniform noise",
    "mse": "mean",
    "step_accuracy": "majority",
}
# A share of the variance: guessing the mean scores 1, and the loss of that guess is loss / score.
OF_VARIANCE = "mse_ratio"

Content = Mapping[str, Any]


def chance_score(score: str, methods: Content, part: str) -> float:
    """What the trivial method of a score reaches on 'val' or 'test'; NaN if nobody tried it.

    Args:
        methods: the baselines of the data set, `{method: {"val": {...}, "test": {...}}}`.
    """
    if score == OF_VARIANCE:
        return 1.0
    return methods.get(TRIVIAL.get(score, ""), {}).get(part, {}).get(score, math.nan)


def chance_loss(score: str, methods: Content, train_loss: float, train_score: float) -> float:
    """The validation loss of the trivial method of a score; NaN if nobody tried it."""
    if score == OF_VARIANCE:
        return train_loss / train_score if train_score else math.nan
    return methods.get(TRIVIAL.get(score, ""), {}).get("val", {}).get("loss", math.nan)


def normalised(gap: float, train: float, chance: float, *, higher_is_better: bool = False) -> float:
    """gap / (chance - training): 0 without overfitting, 1 where nothing that was learned holds for new examples.

    NaN where training is no better than chance: nothing was learned that could be lost.
    """
    learned = train - chance if higher_is_better else chance - train
    return gap / (chance - train) if learned > 0 else math.nan


def gap_at_loss(train_losses: np.ndarray, gaps: np.ndarray, level: float) -> float:
    """The gap when the training loss first fell to `level`, linear between the epochs that were looked at.

    Args:
        train_losses, gaps: (epochs,) in the order of training.

    Returns:
        NaN if the loss never fell so far, or had done so when it was first looked at.
    """
    below = np.flatnonzero(train_losses <= level)
    if not len(below):
        return math.nan
    after = int(below[0])
    if after == 0:
        return float(gaps[0]) if train_losses[0] == level else math.nan
    before = after - 1
    share = (train_losses[before] - level) / (train_losses[before] - train_losses[after])
    return float(gaps[before] + share * (gaps[after] - gaps[before]))


def at_equal_loss(trajectories: Sequence[np.ndarray]) -> tuple[float, list[float]]:
    """The gaps of all runs of a line at one training loss: the lowest that every one of them reached.

    Early stopping and slow training confound the gap with how far training came; at equal training loss they do not.

    Args:
        trajectories: for each run (epochs, 2), its training loss and its gap where both were measured; a run without
            any (it diverged) has no part in the level.

    Returns:
        That loss, NaN without any run, and the gap of each run (`gap_at_loss`).
    """
    level = max((float(t[:, 0].min()) for t in trajectories if len(t)), default=math.nan)
    return level, [gap_at_loss(t[:, 0], t[:, 1], level) for t in trajectories]


def trajectory(record: Content) -> np.ndarray:
    """(epochs, 2): training loss and gap in loss of a finished run, both in evaluation mode, where measured."""
    if record["state"] != "finished":
        return np.empty((0, 2))
    rows = [
        (train, gap)
        for row in record["epochs"]
        if (train := row.get("gap/train_loss")) is not None and (gap := row.get("gap/loss")) is not None
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)
