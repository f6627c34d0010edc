"""One or several networks with what stands before and after them: rows in, rows out."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from howdeep.encoding.answers import Answers
from howdeep.encoding.inputs import Inputs, Source, dumped, loaded
from howdeep.intake.reading import Sheet

Net = Callable[[np.ndarray], np.ndarray]  # (n, *in_shape) -> (n, *out_shape)
AT_ONCE = 4096  # examples in one pass
ERROR = "error"


class Predictions(NamedTuple):
    """What is told of rows.

    Args:
        rows: those that are asked about.
        columns: (rows,) each; of a row that is wrong they are None.
        errors: why a row is wrong; None where it is right.
        unseen: how often words came that training did not have, by column and word.
    """

    rows: Sheet
    columns: dict[str, list[Any]]
    errors: list[str | None]
    unseen: Mapping[tuple[str, str], int]


class Predictor:
    """Predicts from rows as people have them.

    Args:
        nets: one, or several of one kind, whose answers are averaged; their standard deviation is told as `spread`.
        inputs, answers: what the training made of the data.
    """

    def __init__(self, nets: Sequence[Net], inputs: Inputs, answers: Answers) -> None:
        self.nets, self.inputs, self.answers = nets, inputs, answers

    @cached_property
    def columns(self) -> dict[str, type]:
        """What is told of a row: float, int or str by name."""
        blank = np.zeros((2, *self.inputs.shape), dtype=self.inputs.dtype)
        return {name: type(column[:1].tolist()[0]) for name, column in self._columns(blank).items()}

    def predict(self, sheet: Sheet, source: Source) -> Predictions:
        """
        Raises:
            UserError: the table lacks a column; what is wrong with a single row stands among the errors.
        """
        asked = self.inputs.examples(sheet, source)
        right = np.array([error is None for error in asked.errors], dtype=bool)
        scale = None if asked.scale is None else asked.scale[:, right]
        columns: dict[str, list[Any]] = {name: [None] * len(right) for name in self.columns}
        if right.any():
            for name, found in self._columns(asked.x[right], scale).items():
                whole = np.full(len(right), None, dtype=object)
                whole[right] = found.tolist()
                columns[name] = whole.tolist()
        return Predictions(asked.rows, columns, asked.errors, asked.unseen)

    def _columns(self, x: np.ndarray, scale: np.ndarray | None = None) -> dict[str, np.ndarray]:
        values = np.stack([self._values(net, x) for net in self.nets])  # (nets, n, values)
        values = self.answers.scaled(values, scale)
        columns = self.answers.columns(values.mean(0))
        return columns if len(values) == 1 else columns | self.answers.spreads(values.std(0, ddof=1))

    def _values(self, net: Net, x: np.ndarray) -> np.ndarray:
        parts = (x[start : start + AT_ONCE] for start in range(0, len(x), AT_ONCE))
        return np.concatenate([self.answers.values(net(of), of) for of in parts])


def description(inputs: Inputs, answers: Answers) -> dict[str, Any]:
    """What stands before and after a network, as JSON has it."""
    return {"inputs": dumped(inputs), "answers": dumped(answers)}


def described(nets: Sequence[Net], content: Mapping[str, Any]) -> Predictor:
    """The predictor of a `description`.

    Raises:
        ValueError: it names something else than what howdeep has.
    """
    return Predictor(nets, loaded(content["inputs"], Inputs), loaded(content["answers"], Answers))
