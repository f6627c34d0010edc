"""The tables of a study over epochs: a row an epoch of a cell, a row an epoch of a hidden layer of a cell.

Runs have many epochs of many layers: they are grouped by numbers, and only the means are told by cell.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter, methodcaller
from typing import Any

import numpy as np
import pandas as pd

from howdeep.results.scores import CELL, plain

LAYER = [*CELL, "part", "epoch", "layer"]

Record = Mapping[str, Any]
Groups = Mapping[
    tuple, Sequence[np.ndarray]
]  # what a group is called -> of each run (rows, columns) measured
PART = methodcaller("get", "part")


def curves(records: Sequence[Record]) -> pd.DataFrame:
    """A row an epoch of a cell: means over its finished runs that came so far, and their number `runs`.

    `train_loss` is the running training loss, measured while the weights moved. A score that was not measured
    in an epoch is a missing value there.
    """
    groups: dict[tuple, list[np.ndarray]] = {}
    for cell, record in _finished(records):
        rows, score = record["epochs"], f"val/{record['score']['name']}"
        columns = [_column(rows, name) for name in ("epoch", "train/loss", "val/loss")]
        groups.setdefault(cell, []).append(_table([*columns, [row.get(score) for row in rows]]))
    means = ["train_loss", "val_loss", "val_score"]
    frame = _stacked(groups, ["epoch", *means])
    found = {name: (name, "mean") for name in means} | {"runs": ("epoch", "size")}
    return _called(frame.groupby(["group", "epoch"], as_index=False).agg(**found), groups, CELL)


def gradients(records: Sequence[Record]) -> pd.DataFrame:
    """A row an epoch of a hidden layer: the norm of the loss gradient at its activations, ||dL/da||.

    Geometric means over the finished runs of a cell. `part` tells networks that are trained against each other
    apart; it is empty where there is one. `layer` counts from 1, the layer next to the input.
    """
    groups: dict[tuple, list[np.ndarray]] = {}
    for cell, record in _finished(records):
        for part, rows in _parts(record["gradient_flow"]).items():
            columns = [_column(rows, name) for name in ("epoch", "layer", "activation_gradient")]
            groups.setdefault((*cell, part), []).append(_table(columns))
    frame = _stacked(groups, ["epoch", "layer", "activation_gradient"])
    with np.errstate(divide="ignore"):  # a norm of zero makes the mean zero
        logarithms = frame.assign(activation_gradient=np.log(frame["activation_gradient"].to_numpy()))
    by_layer = logarithms.groupby(["group", "epoch", "layer"], as_index=False)
    means = _called(by_layer.agg(activation_gradient=("activation_gradient", "mean")), groups, LAYER[:-2])
    return means.assign(activation_gradient=np.exp(means["activation_gradient"].to_numpy()))


def _finished(records: Sequence[Record]) -> Iterator[tuple[tuple, Record]]:
    """The finished runs, each with its cell."""
    return (
        (tuple(record[name] for name in CELL), record) for record in records if record["state"] == "finished"
    )


def _parts(rows: Sequence[Mapping[str, Any]]) -> dict[str, Sequence[Mapping[str, Any]]]:
    """The rows of each part of a network; of most there is one, and its rows, which are many, do not name it."""
    if not any(map(PART, rows)):
        return {"": rows} if rows else {}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row.get("part", ""), []).append(row)
    return dict(found)


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    return list(map(itemgetter(name), rows))


def _table(columns: Sequence[Sequence[Any]]) -> np.ndarray:
    """(rows, columns) numbers; what was not measured is NaN."""
    return np.array(columns, dtype=np.float64).T


def _stacked(groups: Groups, columns: Sequence[str]) -> pd.DataFrame:
    """All rows under each other; `group` is the number of their group when these are sorted."""
    ordered = [groups[group] for group in sorted(groups)]
    values = np.concatenate([np.empty((0, len(columns))), *(of for group in ordered for of in group)])
    lengths = [sum(map(len, group)) for group in ordered]
    frame = pd.DataFrame(values, columns=list(columns))
    return frame.assign(group=np.repeat(np.arange(len(groups)), lengths))


def _called(frame: pd.DataFrame, groups: Groups, names: Sequence[str]) -> pd.DataFrame:
    """The same with the names of the groups in place of their numbers."""
    known = plain(pd.DataFrame(sorted(groups), columns=list(names))).iloc[frame["group"].to_numpy()]
    counted = {name: frame[name].astype(np.int64) for name in ("epoch", "layer") if name in frame}
    rest = frame.assign(**counted).drop(columns="group")
    return pd.concat([known.reset_index(drop=True), rest], axis=1)
