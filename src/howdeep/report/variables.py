"""The error of each variable where a series has several: their mean may hide one that nothing foresees."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from howdeep.results.measures import possible
from howdeep.results.scores import CELL, rows_of
from howdeep.results.statistics import mean_interval
from howdeep.results.tables import Table, Text
from howdeep.results.wording import brackets, number

PREFIX = "mae_"  # of `Forecasting.more_scores`, before the place of a variable
KNOWS_NOTHING = "persistence"


def table(runs: pd.DataFrame, test: Mapping[str, Any], names: Mapping[tuple[str, str], str]) -> Table:
    """A row a variable of a cell, beside what persistence reaches; no rows of a study without several variables.

    Args:
        runs: a row a run of one task, see `scores.scores`.
        test: the content of results/test.json.
        names: what to call a line, by (entry, matching).
    """
    score = PREFIX.removesuffix("_")
    rows = []
    several = [f"{PREFIX}1" in test["runs"].get(key, {}) for key in runs["key"]]
    for _, of_cell in runs.loc[several].groupby(CELL):
        cell = rows_of(of_cell)[0]
        measured = [test["runs"][key] for key in of_cell["key"]]
        method = test["baselines"].get(cell["data"], {}).get(KNOWS_NOTHING, {}).get("test", {})
        for variable in [name for name in measured[0] if name.startswith(PREFIX)]:
            error = possible(mean_interval([of[variable] for of in measured]), score)
            place, simple = variable.removeprefix(PREFIX), method.get(variable, np.nan)
            rows.append(
                [
                    Text(cell["data"], cell["data"]),
                    Text(name := names[cell["entry"], cell["matching"]], name),
                    Text(place, int(place)),
                    Text(str(cell["depth"]), cell["depth"]),
                    Text(f"{number(error.mean)} {brackets(error)}".rstrip(), error.mean),
                    Text(number(simple), simple),
                ]
            )
    return Table(["data", "architecture", "variable", "depth", f"test {score}", KNOWS_NOTHING], 2, rows)
