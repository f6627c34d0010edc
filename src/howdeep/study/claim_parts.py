"""What a claim is made of: cells, what is measured of them, where the outcome must lie, what was expected."""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

OF_EPOCHS = ("train", "val", "gap", "gradient")
Text = Annotated[str, Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Seeds = Annotated[list[Annotated[int, Field(ge=0, strict=True)]], Field(min_length=2)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Place(Part):
    """The networks of one arm at one depth."""

    arm: str
    depth: int


class Contrast(Part):
    """The number that is judged, of each seed: the sum of some cells minus the sum of others."""

    plus: Annotated[list[Place], Field(min_length=1)]
    minus: list[Place] = []

    @model_validator(mode="after")
    def _differs(self) -> "Contrast":
        if both := [place for place in self.plus if place in self.minus]:
            raise ValueError(f"must not add and subtract one cell: {both[0].arm} at depth {both[0].depth}")
        return self

    def places(self) -> Iterator[Place]:
        yield from (*self.plus, *self.minus)


class Estimand(Part):
    """What is measured of each run.

    Args:
        metric: `test/NAME` on the test examples; `train/`, `val/`, `gap/` or `gradient/NAME` of an epoch;
            `cost/NAME`; or `inside/NAME`, a function of `inspection.measures`.
        at: the epoch, where it is measured in each.
        against: a simple method of the task, whose score on the same examples is taken away; of test/ alone.
        scale: log10 where what counts is a ratio.
        unit: in words, for readers.
    """

    metric: Annotated[str, Field(pattern=r"^(test|train|val|gap|gradient|cost|inside)/\w+$")]
    at: Literal["best", "last", "first"] = "best"
    against: str | None = None
    scale: Literal["linear", "log10"] = "linear"
    unit: Text

    @property
    def label(self) -> str:
        """What is measured, for a table: 'gap/train_accuracy at last', 'test/mse_ratio less PCA'."""
        kind = self.metric.partition("/")[0]
        at = f" at {self.at}" if kind in OF_EPOCHS else ""
        less = f" less {self.against}" if self.against else ""
        return f"{self.metric}{at}{less}{'' if self.scale == 'linear' else f' {self.scale}'}"


class Further(Contrast):
    """One more contrast of the runs: it is told with its interval, and decides nothing.

    Args:
        text: what it is, for readers.
        estimand: what is measured; None: what the claim is judged by.
    """

    text: Text
    estimand: Estimand | None = None


class Scatter(Part):
    """A picture of all cells, one measure against another, with the cells that no other is better than in both."""

    x: Estimand
    y: Estimand


class Region(Part):
    """Values of the contrast: above or below a number, or between two."""

    above: Number | None = None
    below: Number | None = None

    @model_validator(mode="after")
    def _something(self) -> "Region":
        if self.above is None and self.below is None:
            raise ValueError("must have `above`, `below` or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError("must have `above` smaller than `below`: it lies between them")
        return self

    @property
    def ends(self) -> tuple[float, float]:
        return (
            -math.inf if self.above is None else self.above,
            math.inf if self.below is None else self.below,
        )

    def __str__(self) -> str:
        if self.above is not None and self.below is not None:
            return f"between {self.above:g} and {self.below:g}"
        return f"above {self.above:g}" if self.above is not None else f"below {self.below:g}"


class Prediction(Part):
    """What we expected, written down before the runs."""

    verdict: Literal["supported", "refuted"]
    because: Text


class Power(Part):
    """What the pilot says of the contrast.

    Args:
        standard_deviation: of the contrast, over the seeds of the exploration.
        effect: how far the mean lies within the region that was predicted, as far as it must be found.
    """

    standard_deviation: Annotated[Number, Field(ge=0)]
    effect: Annotated[Number, Field(gt=0)]


class SeedsOf(Part):
    """Of the judgement (the first `quick` of them in a quick run), and of all that was tried before."""

    confirmation: Seeds
    quick: Annotated[int, Field(ge=2)] = 3
    exploration: Seeds


class Published(Part):
    figure: Text
    source: Text


def known_metrics(
    score: str, more: tuple[str, ...], inside: tuple[str, ...]
) -> Mapping[str, tuple[str, ...]]:
    """The names that each kind of metric has, for a task with this score."""
    of_gap = ("loss", score, "train_loss", f"train_{score}")
    return {
        "test": ("loss", score, *more),
        "train": ("loss",),
        "val": ("loss", score),
        "gap": of_gap,
        "gradient": ("ratio", "first"),
        "cost": ("parameters", "training_flops"),
        "inside": inside,
    }
