"""What flows through the layers at the end of training: gradients, activations, and the steps that weights take."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from howdeep.results.scores import CELL
from howdeep.results.statistics import geometric_mean
from howdeep.results.tables import Table, Text
from howdeep.results.wording import MISSING, joined

Record = Mapping[str, Any]
MEASURES = ("activation_gradient", "activation_rms", "update_ratio")
SETTINGS = ("activation", "initialisation", "normalisation")


class Ends(NamedTuple):
    """Of one measure, geometric means over runs at the first and at the last hidden layer."""

    first: float
    last: float


def ends(records: Sequence[Record], part: str, measure: str) -> Ends:
    """One measure of the runs of a cell at the last epoch in which it was taken; NaN without any.

    Args:
        part: of networks that are trained against each other; empty where there is one.
        measure: "activation_gradient", "activation_rms" or "update_ratio".
    """
    found = [_of_run(record, part, measure) for record in records if record["state"] == "finished"]
    known = [pair for pair in found if pair is not None]
    first, last = (geometric_mean([pair[at] for pair in known]) for at in (0, 1))
    return Ends(first, last)


def _of_run(record: Record, part: str, measure: str) -> tuple[float, float] | None:
    by_layer: dict[int, float] = {}
    newest = None
    for row in reversed(record["gradient_flow"]):  # they come in the order of training, and are many
        if newest is not None and row["epoch"] != newest:
            break
        if row.get("part", "") == part and _is_number(row.get(measure)):
            newest = row["epoch"]
            by_layer[row["layer"]] = float(row[measure])
    return (by_layer[min(by_layer)], by_layer[max(by_layer)]) if by_layer else None


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def table(records: Sequence[Record], *, names: Mapping[tuple[str, str], str], task: str) -> Table:
    """A row a cell of a task, and a part of its networks; the settings on which signals depend beside their sizes.

    Args:
        records: the content of each record.json of the study.
        names: what to call a line, by (entry, matching); what has no name is left out.
    """
    cells: dict[tuple, list[Record]] = {}
    for record in records:
        if record["task"] == task and (record["entry"], record["matching"]) in names:
            cells.setdefault(tuple(record[name] for name in CELL), []).append(record)
    headings = [
        *("data", "architecture", "depth", *SETTINGS, "residual"),
        *("gradient, first", "gradient, last", "activation, first", "activation, last"),
        *("update, first", "update, last"),
    ]
    rows = []
    for key in sorted(cells):
        own = cells[key]
        first = own[0]
        model, name = first["config"]["model"], names[first["entry"], first["matching"]]
        parts = sorted({row.get("part", "") for record in own for row in record["gradient_flow"]})
        for part in parts:
            sizes = [size for measure in MEASURES for size in ends(own, part, measure)]
            rows.append([
                Text(first["data"], first["data"]), Text(joined(name, part), joined(name, part)),
                Text(str(first["depth"]), first["depth"]),
                *(Text(str(model.get(setting, MISSING)), str(model.get(setting, ""))) for setting in SETTINGS),
                Text({True: "yes", False: "no"}.get(model.get("residual"), MISSING), str(model.get("residual", ""))),
                *(Text(_short(size), size) for size in sizes),
            ])  # fmt: skip
    return Table(headings, 2, rows)


def _short(size: float) -> str:
    """Two digits, since orders of magnitude are what is asked for: 0.0031, 1.2e-07."""
    if math.isnan(size):
        return MISSING
    if not 1e-4 <= size < 1e4:
        return f"{size:.1e}"
    return np.format_float_positional(size, 2, fractional=False, trim="-")
