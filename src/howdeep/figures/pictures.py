"""Which pictures a task has. A panel each: they wrap on a phone, and a file of results/figures lays them out in a grid.

A study of many entries would have hundreds of loss curves and heat maps, which nobody reads: of each task the first
ones are drawn, and the tables hold all of them. What a line has a picture of its own for is the first to go.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple

import pandas as pd

from howdeep.figures import galleries, heatmaps, plots
from howdeep.figures.galleries import Artifacts
from howdeep.processes.workers import run_all
from howdeep.records.cell import MATCHINGS
from howdeep.results import wording
from howdeep.results.scores import SERIES, select

__all__ = ["MOST", "Drawing", "Drawn", "Part", "draw", "most", "one", "parts"]
MOST_LINES = 4  # in a panel
MOST = 20  # lines (architecture on a data set) of a study
MANY, FEWER = (
    40,
    10,
)  # of more lines than these so many have pictures of their own: curves, heat maps, mistakes


class Drawn(NamedTuple):
    """How many lines of a task are drawn: in panels that several share, and alone."""

    together: int
    alone: int


def most(cells: pd.DataFrame) -> dict[str, Drawn]:
    """How many lines of each task are drawn: all, or its share of what a page can bear."""
    lines = Counter(task for task, *_ in dict.fromkeys(_keys(cells)))
    total = lines.total()
    shares = [min(1.0, of / total) for of in (MOST, FEWER if total > MANY else MOST)]
    return {task: Drawn(*(math.ceil(share * count) for share in shares)) for task, count in lines.items()}


Part = Callable[[], dict[str, list[str]]]  # draws a picture, or a few: SVG texts by kind


@dataclass
class Drawing:
    """Pictures that are made when they are first asked for, or before, side by side with others: see `draw`."""

    parts: Sequence[Part]

    @cached_property
    def pictures(self) -> dict[str, list[str]]:
        """SVG texts by kind, without kinds that have nothing to show."""
        return _together(part() for part in self.parts)


def draw(drawings: Sequence[Drawing], n_workers: int) -> None:
    """Makes all pictures, each a job of forked workers; they look as if they were made here."""
    places = [(drawing, place) for drawing in drawings for place in range(len(drawing.parts))]

    def work(job: int) -> dict[str, list[str]]:
        drawing, place = places[job]
        return drawing.parts[place]()

    found = dict(run_all(work, range(len(places)), n_workers))
    for drawing in drawings:
        drawing.pictures = _together(found[job] for job, (of, _) in enumerate(places) if of is drawing)


def _together(drawn: Iterable[Mapping[str, list[str]]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in drawn:
        for name, svgs in part.items():
            found.setdefault(name, []).extend(svg for svg in svgs if svg)
    return {name: svgs for name, svgs in found.items() if svgs}


def parts(
    cells: pd.DataFrame,
    verdicts: pd.DataFrame,
    runs: pd.DataFrame,
    epochs: pd.DataFrame,
    flows: pd.DataFrame,
    baselines: Mapping[str, Any],
    artifacts: Artifacts,
    *,
    most: Drawn,
) -> list[Part]:
    """What draws a task: score, forest, pareto, gap, gradient, curves, layers, and what networks make.

    The parts need nothing of each other, and are small, so that they may be called side by side.

    Args:
        cells: the rows of `summary` that belong to the task.
        verdicts: the rows of `verdicts` that do.
        runs, epochs, flows: whole tables.
        most: how many lines are drawn.
    """
    shown = [rows for _, _, rows in wording.series(cells)][: most.together]
    drawn, lines = pd.concat(shown), shown[: most.alone]
    runs = select(runs, task=cells["task"].iloc[0])
    # Groups once: looking each line up in tables of ten thousand rows would take longer than drawing it.
    of_runs, of_epochs, of_flows = (_by_line(table) for table in (runs, epochs, flows))
    data = [select(drawn, data=name) for name in sorted(set(drawn["data"]))]
    few = [
        pd.concat(of[at : at + MOST_LINES])
        for rows in data
        for matching in MATCHINGS
        if (of := [line for _, _, line in wording.series(select(rows, matching=matching))])
        for at in range(0, len(of), MOST_LINES)
    ]

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

    return [
        *(partial(one, "score", plots.score, rows, its_runs(rows), baselines) for rows in few),
        *(
            partial(one, "forest", plots.forest, rows, select(verdicts, data=rows["data"].iloc[0]))
            for rows in data
        ),
        *(partial(one, "pareto", plots.pareto, rows) for rows in few),
        *(partial(one, "gap", plots.gap, rows, its_runs(rows)) for rows in few),
        *(partial(one, "gradient", plots.gradient, rows, its_runs(rows)) for rows in few),
        *(partial(one, "curves", plots.curves, rows, its_epochs(rows)) for rows in lines),
        *(partial(one, "layers", heatmaps.layers, rows, its_flows(rows)) for rows in lines),
        *(partial(_made, rows, its_runs(rows), artifacts) for rows in lines),
    ]


def one(kind: str, draw: Callable[..., str], *args: Any) -> dict[str, list[str]]:
    """A part of a single picture, once it is called."""
    return {kind: [draw(*args)]}


def _made(cells: pd.DataFrame, runs: pd.DataFrame, artifacts: Artifacts) -> dict[str, list[str]]:
    """What the networks of a line make."""
    return {
        name: [picture]
        for line in galleries.shown(cells, runs, artifacts)
        for name, picture in galleries.drawn([line]).items()
    }


def _by_line(table: pd.DataFrame) -> dict[Any, pd.DataFrame]:
    return dict(list(table.groupby(SERIES)))


def _keys(rows: pd.DataFrame) -> list[tuple]:
    return list(rows[SERIES].itertuples(index=False, name=None))
