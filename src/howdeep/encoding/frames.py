"""Tables of pandas as rows of text, and predictions as tables of pandas: what a server takes and gives."""

import numbers
from typing import Any

import pandas as pd

from howdeep.encoding.inputs import Inputs
from howdeep.encoding.predictor import Predictions
from howdeep.intake.reading import Sheet


def sheet_of(frame: pd.DataFrame, inputs: Inputs) -> Sheet:
    """The rows as a file of this data set would have them."""

    def text(name: str, value: Any) -> str:
        if value is None or value != value:  # NaN
            return ""
        if isinstance(value, numbers.Real) and not isinstance(value, bool):
            return inputs.written(name, float(value)) if isinstance(value, float) else str(value)
        return str(value) if inputs.blanks else str(value).strip()

    names = [str(name) for name in frame.columns]
    columns = [
        [text(name, value) for value in frame.iloc[:, place].tolist()] for place, name in enumerate(names)
    ]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Sheet(names, rows, list(range(1, len(rows) + 1)))


def told(found: Predictions) -> pd.DataFrame:
    """What is told of each row, without the rows themselves."""
    return pd.DataFrame(found.columns)
