"""What each score is: its meaning, the values that it can have, and the smallest difference that matters.

A table may show no value that its score cannot have; Student's intervals know no bounds, and are cut here.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from howdeep.errors import UserError
from howdeep.results.statistics import Interval


class Measure(NamedTuple):
    """What a score is, with its unit, the values between which it lies, and how a difference is told."""

    meaning: str
    least: float
    largest: float
    unit: str
    factor: int = 1  # of a difference in that unit

    @property
    def reach(self) -> float:
        """How far apart two of its values can lie."""
        return self.largest - self.least


SCORES = {
    "accuracy": Measure("share of right answers", 0.0, 1.0, "points", 100),
    "mae": Measure(
        "mean absolute error in standard deviations of the training data, each variable and each series in its own",
        0.0,
        math.inf,
        "sd",
    ),
    "bits": Measure("cross-entropy in bits a character", 0.0, math.inf, "bits"),
    "mse": Measure("mean squared error of the targets in their own unit", 0.0, math.inf, "mse"),
    "step_accuracy": Measure(
        "share of right symbols at the steps that are not blank", 0.0, 1.0, "points", 100
    ),
    "mse_ratio": Measure("mean squared error as a share of the variance", 0.0, math.inf, "points", 100),
    "kid": Measure(
        "kernel inception distance of generated to real examples, on the features of a small classifier",
        -math.inf,  # without bias, it may fall a little below 0
        math.inf,
        "kid",
    ),
}
NO_MARGINS = dict.fromkeys(SCORES, 0.0)  # nothing is ever called equal


def measure(score: str) -> Measure:
    """What is known of a score.

    Raises:
        UserError: nothing is.
    """
    if score not in SCORES:
        raise UserError(
            f"expected one of the scores {', '.join(SCORES)}, got '{score}': add what it means and the values that it "
            "can have to SCORES of results/measures.py"
        )
    return SCORES[score]


def margin_of(score: str, margins: Mapping[str, float]) -> float:
    """The smallest difference of a score that matters.

    Raises:
        UserError: none was declared; a default would decide verdicts in silence.
    """
    if score not in margins:
        raise UserError(
            f"margins in params.yaml lacks '{score}', a score of this study: declare the smallest difference that "
            f"matters, as in {score}: 0.02"
        )
    return float(margins[score])


def possible(interval: Interval, score: str) -> Interval:
    """The interval of a mean score, cut to the values that the score can have."""
    of = measure(score)
    return within(interval, of.least, of.largest)


def within(interval: Interval, least: float, largest: float) -> Interval:
    """The interval with both ends cut to a range; an end that is not known (NaN) stays so."""
    low, high = (float(np.clip(end, least, largest)) for end in interval[1:])
    return Interval(interval.mean, low, high)
