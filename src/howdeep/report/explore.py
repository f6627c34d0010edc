"""The interactive plot of the report: every run a point, whose axes the reader chooses, drawn by Bokeh.

Everything else on the page is static: a picture prints, needs no script and is read out. Here a reader asks which run
a point is, and that takes a library. It lies packed in the page and is unpacked when the plot is first opened, so that
nobody waits for it who only reads.
"""

import json
from collections.abc import Mapping
from functools import cache

from markupsafe import Markup

from howdeep.figures.figure import DARK, SERIES
from howdeep.report.analysis import Analysis
from howdeep.report.packing import pack
from howdeep.results.scores import judged, select

# Column of the table of runs -> what the axis is called.
AXES = {
    "test_score": "test score",
    "val_score": "validation score",
    "gap_loss": "overfitting gap (loss)",
    "gap_score": "overfitting gap (score)",
    "train_loss": "training loss",
    "val_loss": "validation loss",
    "depth": "depth",
    "parameters": "parameters",
    "training_flops": "training FLOPs of an example",
    "seconds": "seconds of training",
}
LOGARITHMIC = ("depth", "parameters", "training_flops", "seconds")


@cache
def library() -> list[Markup]:
    """Bokeh's scripts, packed: half a megabyte instead of two, and the same bytes each time."""
    from bokeh.resources import Resources

    files = Resources(mode="inline", minified=True, components=["bokeh", "bokeh-api"]).js_raw
    return [Markup(pack(script)) for script in files]


def points(analysis: Analysis, seconds: Mapping[str, float]) -> Markup:
    """The finished runs as packed JSON: `{"axes": ..., "tasks": {task: {line: {column: [...]}}}}`.

    Args:
        seconds: of the training of each run, by run key; runs without any leave that axis out.
    """
    columns = [name for name in AXES if name != "seconds"]
    runs = select(analysis.runs, state="finished")
    runs = runs.assign(seconds=[seconds.get(key) for key in runs["key"]])
    tasks: dict[str, dict] = {}
    for (task, data, entry, matching), of in runs.groupby(["task", "data", "entry", "matching"]):  # type: ignore[misc]
        line = {name: _rounded(of[name]) for name in [*columns, *(["seconds"] if seconds else [])]}
        line |= {"key": of["key"].tolist(), "seed": of["seed"].tolist()}
        tasks.setdefault(task, {})[f"{data}, {analysis.names[entry, matching]}"] = line
    content = {
        "axes": {name: label for name, label in AXES.items() if seconds or name != "seconds"},
        "logarithmic": LOGARITHMIC,
        "start": {"x": "depth", "y": judged(analysis.runs)},
        "colours": [[light, DARK[light]] for light in SERIES],
        "tasks": tasks,
    }
    return Markup(pack(json.dumps(content, allow_nan=False, separators=(",", ":"))))


def _rounded(values) -> list[float | None]:
    return [None if value is None or value != value else float(f"{value:.5g}") for value in values]
