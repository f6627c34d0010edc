"""What a run learned beyond chance: scores of all tasks on one scale, and runs that collapsed. Pure functions."""

from typing import Any

import numpy as np

LEAST_SKILL = 0.1  # of the best run, below which no run of a line learned enough for another to lose it


def skill(score: float | np.ndarray, chance: float, *, higher_is_better: bool) -> Any:
    """(score - chance) / (perfect - chance), where perfect is 1 for an accuracy and 0 for an error."""
    perfect = 1.0 if higher_is_better else 0.0
    return (score - chance) / (perfect - chance)


def collapsed(scores: np.ndarray, chance: float, *, higher_is_better: bool) -> np.ndarray:
    """Which runs ended nearer to chance than to the best run of their line, without diverging.

    Where the best has a skill below .1 none has: there was little to lose, and noise would decide.

    Args:
        scores: (runs,) of all depths of an architecture on a data set; NaN for a run that failed, which has not
            collapsed.
        chance: the score of the method that knows nothing of the input; NaN where nobody tried it, and then none has.

    Returns:
        (runs,) whether it collapsed.
    """
    skills = np.asarray(skill(scores, chance, higher_is_better=higher_is_better), dtype=np.float64)
    best = np.max(skills, initial=-np.inf, where=~np.isnan(skills))
    return (skills < best / 2) & (best >= LEAST_SKILL)
