"""From what a network says to what is told: one way a task."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from howdeep.encoding.texts import alphabet_of

PREDICTION, PROBABILITY = "prediction", "probability"
Columns = dict[str, np.ndarray]


class Answers(BaseModel):
    """How the output of a network becomes columns."""

    model_config = ConfigDict(extra="forbid")
    spread: ClassVar[str] = "spread"

    def values(self, output: np.ndarray, x: np.ndarray) -> np.ndarray:
        """(n, values), what is averaged over networks.

        Args:
            output: of a network, (n, ...).
            x: what it was given.
        """
        return output.reshape(len(output), -1)

    def scaled(self, values: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
        """The values, (nets, n, values), in the units of the data; `scale` see `inputs.Examples`."""
        return values

    def columns(self, values: np.ndarray) -> Columns:
        """What is told of the values, (n, values), a column (n,) each."""
        return self.named(values, "output")

    def spreads(self, spread: np.ndarray) -> Columns:
        """What is told of the standard deviation of the values over networks, (n, values)."""
        return self.named(spread, self.spread)

    def names(self, count: int) -> Sequence[str]:
        """What each value is called."""
        return [str(place) for place in range(1, count + 1)]

    def named(self, values: np.ndarray, prefix: str) -> Columns:
        if values.shape[1] == 1:
            return {prefix: values[:, 0]}
        return {
            f"{prefix}_{name}": values[:, place] for place, name in enumerate(self.names(values.shape[1]))
        }


class Classes(Answers):
    """The most probable class, and the probability of each."""

    classes: list[str]

    def values(self, output: np.ndarray, x: np.ndarray) -> np.ndarray:
        return softmax(output)

    def columns(self, values: np.ndarray) -> Columns:
        return {PREDICTION: np.array(self.classes)[values.argmax(1)], **self.named(values, PROBABILITY)}

    def names(self, count: int) -> Sequence[str]:
        return self.classes


class Symbol(Answers):
    """The most probable next character, and its probability: those of all others would be many columns."""

    alphabet: str

    def values(self, output: np.ndarray, x: np.ndarray) -> np.ndarray:
        return softmax(output[:, -1] if output.ndim == 3 else output)

    def columns(self, values: np.ndarray) -> Columns:
        return {PREDICTION: np.array(list(self.alphabet))[values.argmax(1)], PROBABILITY: values.max(1)}

    def spreads(self, spread: np.ndarray) -> Columns:
        return {}


class Quantities(Answers):
    """Numbers in the units of the data.

    Args:
        targets: their names; none where there is one without.
        mean, std: of the training targets, where rows do not say them.
    """

    targets: list[str]
    mean: list[float]
    std: list[float]

    def values(self, output: np.ndarray, x: np.ndarray) -> np.ndarray:
        return output.reshape(len(output), -1).astype(np.float64)

    def scaled(self, values: np.ndarray, scale: np.ndarray | None) -> np.ndarray:
        mean, std = (np.array(self.mean), np.array(self.std)) if scale is None else scale
        return values * std + mean

    def columns(self, values: np.ndarray) -> Columns:
        return self.named(values, PREDICTION)

    def names(self, count: int) -> Sequence[str]:
        return self.targets if len(self.targets) == count else super().names(count)


class Steps(Answers):
    """A symbol at each step of a sequence: the most probable one."""

    steps: int

    def values(self, output: np.ndarray, x: np.ndarray) -> np.ndarray:
        return softmax(output).reshape(len(output), -1)

    def columns(self, values: np.ndarray) -> Columns:
        best = values.reshape(len(values), self.steps, -1).argmax(2)
        return {f"{PREDICTION}_{step}": best[:, step - 1] for step in range(1, self.steps + 1)}

    def spreads(self, spread: np.ndarray) -> Columns:
        return {}


class Reconstruction(Answers):
    """How far an example is from what its code gives back: the mean squared error, in standardised numbers.

    What is unlike the training examples has a large one (Hawkins et al., 2002, "Outlier detection using replicator
    neural networks").
    """

    def values(self, output: np.ndarray, x: np.ndarray) -> np.ndarray:
        error = (output.reshape(len(x), -1) - x.reshape(len(x), -1)).astype(np.float64)
        return (error**2).mean(1, keepdims=True)

    def columns(self, values: np.ndarray) -> Columns:
        return {"reconstruction_error": values[:, 0]}


def answers_of(task: str, data: Mapping[str, Any], card: Mapping[str, Any]) -> Answers:
    """How the networks of a task and a data set answer."""
    if task in ("classification", "generation") and "classes" in card:
        return Classes(classes=[str(name) for name in card["classes"]])
    if task == "regression":
        target = card.get("target", {})
        size = int(data["out_features"])
        return Quantities(
            targets=target.get("names", []),
            mean=target.get("mean", [0.0] * size),
            std=target.get("std", [1.0] * size),
        )
    if task == "forecasting":
        size = int(data["out_features"])  # rows say in which units: each series has its own
        return Quantities(targets=card.get("variables", []), mean=[0.0] * size, std=[1.0] * size)
    if task == "reconstruction":
        return Reconstruction()
    if task == "language_modelling":
        return Symbol(alphabet=alphabet_of(data, card))
    if task == "sequence_labelling":
        return Steps(steps=int(data["in_shape"][0]))
    return Answers()


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, in double precision."""
    logits = logits.astype(np.float64)
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
