"""The tables of a study over epochs: a row an epoch of a cell, a row an epoch of a hidden layer of a cell."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from howdeep.results.scores import CELL

LAYER = [*CELL, "part", "epoch", "layer"]


def curves(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row an epoch of a cell: means over its finished runs that came so far, and their number `runs`.

    `train_loss` is the running training loss, measured while the weights moved. A score that was not measured
    in an epoch is a missing value there.
    """
    rows = [
        {name: record[name] for name in CELL}
        | {"epoch": row["epoch"], "train_loss": row["train/loss"], "val_loss": row["val/loss"]}
        | {"val_score": row.get(f"val/{record['score']['name']}")}
        for record in records
        if record["state"] == "finished"
        for row in record["epochs"]
    ]
    means = ["train_loss", "val_loss", "val_score"]
    frame = pd.DataFrame(rows, columns=[*CELL, "epoch", *means]).astype({name: float for name in means})
    found = {name: (name, "mean") for name in means} | {"runs": ("epoch", "size")}
    return frame.groupby([*CELL, "epoch"], as_index=False).agg(**found)


def gradients(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row an epoch of a hidden layer: the norm of the loss gradient at its activations, ||dL/da||.

    Geometric means over the finished runs of a cell. `part` tells networks that are trained against each other
    apart; it is empty where there is one. `layer` counts from 1, the layer next to the input.
    """
    rows = [
        {name: record[name] for name in CELL}
        | {"part": row.get("part", ""), "epoch": row["epoch"], "layer": row["layer"]}
        | {"activation_gradient": row["activation_gradient"]}
        for record in records
        if record["state"] == "finished"
        for row in record["gradient_flow"]
    ]
    frame = pd.DataFrame(rows, columns=[*LAYER, "activation_gradient"]).astype({"activation_gradient": float})
    with np.errstate(divide="ignore"):  # a norm of zero makes the mean zero
        logarithms = frame.assign(activation_gradient=np.log(frame["activation_gradient"].to_numpy()))
    means = logarithms.groupby(LAYER, as_index=False).agg(activation_gradient=("activation_gradient", "mean"))
    return means.assign(activation_gradient=np.exp(means["activation_gradient"].to_numpy()))
