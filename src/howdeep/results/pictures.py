"""Which pictures a task has. A panel each: they wrap on a phone, and a file of results/figures lays them out in a grid.

A study of many entries would have hundreds of loss curves and heat maps, which nobody reads: of each task the first
ones are drawn, and the tables hold all of them.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pandas as pd

from howdeep.results import galleries, heatmaps, plots, wording
from howdeep.results.galleries import Artifacts
from howdeep.results.plots import overview
from howdeep.results.scores import SERIES, select

__all__ = ["MOST", "most", "overview", "parts", "together"]
MOST = 20  # lines (architecture on a data set) of a study


def most(cells: pd.DataFrame) -> dict[str, int]:
    """How many lines of each task are drawn: all, or its share of what a page can bear."""
    lines = Counter(task for task, *_ in dict.fromkeys(_keys(cells)))
    share = min(1.0, MOST / lines.total())
    return {task: math.ceil(share * count) for task, count in lines.items()}


Part = Callable[[], dict[str, list[str]]]  # draws some of the pictures of a task: SVG texts by kind


def parts(
    cells: pd.DataFrame,
    verdicts: pd.DataFrame,
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    flows: pd.DataFrame,
    baselines: Mapping[str, Any],
    artifacts: Artifacts,
    *,
    most: int,
) -> list[Part]:
    """What draws a task: score, forest, pareto, gap, gradient, curves, layers, and what networks make.

    The parts need nothing of each other, so that they may be called side by side.

    Args:
        cells: the rows of `summary` that belong to the task.
        verdicts: the rows of `verdicts` that do.
        runs, epochs, flows: whole tables.
        most: how many lines are drawn.
    """
    lines = [rows for _, _, rows in wording.series(cells)][:most]
    drawn = pd.concat(lines)
    runs = select(runs, task=cells["task"].iloc[0])
    # Groups once: looking each line up in tables of ten thousand rows would take longer than drawing it.
    of_runs, of_epochs, of_flows = (_by_line(table) for table in (runs, epochs, flows))
    data = [select(drawn, data=name) for name in sorted(set(drawn["data"]))]

    def its_runs(rows: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([of_runs[key] for key in dict.fromkeys(_keys(rows))])

    def its_epochs(rows: pd.DataFrame) -> pd.DataFrame:
        key = _keys(rows)[0]
        return of_epochs[key] if key in of_epochs else epochs.iloc[:0]

    def its_flows(rows: pd.DataFrame) -> pd.DataFrame:
        """Of all entries of the architecture on the data set, which share a scale."""
        same = select(cells, data=rows["data"].iloc[0], model=rows["model"].iloc[0])
        found = [of_flows[key] for key in dict.fromkeys(_keys(same)) if key in of_flows]
        return pd.concat(found) if found else flows.iloc[:0]

    def made() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for line in (line for rows in lines for line in galleries.shown(rows, its_runs(rows), artifacts)):
            for name, picture in galleries.drawn([line]).items():
                found.setdefault(name, []).append(picture)
        return found

    return [
        lambda: {"score": [plots.score(rows, its_runs(rows), baselines) for rows in data]},
        lambda: {
            "forest": [plots.forest(rows, select(verdicts, data=rows["data"].iloc[0])) for rows in data]
        },
        lambda: {"pareto": [plots.pareto(rows) for rows in data]},
        lambda: {"gap": [plots.gap(rows, its_runs(rows)) for rows in data]},
        lambda: {"gradient": [plots.gradient(rows, its_runs(rows)) for rows in data]},
        lambda: {"curves": [plots.curves(rows, its_epochs(rows)) for rows in lines]},
        lambda: {"layers": [heatmaps.layers(rows, its_flows(rows)) for rows in lines]},
        made,
    ]


def together(drawn: Iterable[Mapping[str, list[str]]]) -> dict[str, list[str]]:
    """What the parts of a task drew, by kind, without those that had nothing to show."""
    found = {name: [svg for svg in svgs if svg] for part in drawn for name, svgs in part.items()}
    return {name: svgs for name, svgs in found.items() if svgs}


def _by_line(table: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    return dict(list(table.groupby(SERIES)))


def _keys(rows: pd.DataFrame) -> list[tuple]:
    return list(rows[SERIES].itertuples(index=False, name=None))
