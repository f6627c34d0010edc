"""The tables of a study: a row a run, a row a cell, a row an epoch of a cell. Pure functions of records."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from howdeep.errors import UserError
from howdeep.results.statistics import geometric_mean, mean_interval

# The entry belongs to a cell's name: a study may hold an mlp on digits twice, with different overrides.
SERIES = ["task", "data", "entry", "model", "matching"]
CELL = [*SERIES, "depth"]

_MEASURED = [
    *("train_loss", "val_loss", "val_score", "test_loss", "test_score"),
    *("gap_loss", "gap_score", "gap_loss_last", "gap_score_last", "gradient_ratio"),
]


def scores(records: Sequence[Mapping[str, Any]], test: Mapping[str, Any]) -> pd.DataFrame:
    """A row a run, sorted by cell and seed. A diverged run keeps its row, its scores are missing values.

    `val_*` are those of the best epoch. `train_loss`, `gap_loss` and `gap_score` were measured in evaluation mode
    with the weights of that epoch, `*_last` with those of the last one. `gradient_ratio` is the last measured:
    the loss gradient's norm at the first hidden layer over that at the last hidden layer.

    Args:
        records: the content of each record.json.
        test: the content of results/test.json; with no runs in it, the test scores are missing values.

    Raises:
        UserError: there is no record, or the test scores lack a finished run.
    """
    if not records:
        raise UserError(
            "expected the record of at least one run in runs/, found none: train with `dvc repro`"
        )
    frame = pd.DataFrame([_row(record, _tested(record, test["runs"])) for record in records])
    types = {name: float for name in _MEASURED} | {"best_epoch": "Int64"}
    return frame.astype(types).sort_values([*CELL, "seed"], ignore_index=True)


def _tested(record: Mapping[str, Any], runs: Mapping[str, Any]) -> Mapping[str, float]:
    if record["state"] == "finished" and runs:
        if record["key"] not in runs:
            raise UserError(
                f"results/test.json lacks the run {record['entry']}, depth {record['depth']}, seed {record['seed']} "
                f"({record['key']}): score it with `howdeep evaluate`"
            )
        return runs[record["key"]]
    return {}


def _row(record: Mapping[str, Any], tested: Mapping[str, float]) -> dict[str, Any]:
    score, finished = record["score"]["name"], record["state"] == "finished"
    # A run that diverged may have had good epochs, but no score of it may enter a mean.
    best = _best(record) if finished else {}
    gaps = record["gap"] if finished else {"best": {}, "last": {}}
    return {
        **{
            name: record[name]
            for name in ("key", "entry", "data", "model", "task", "depth", "matching", "seed")
        },
        "state": record["state"],
        "epochs": len(record["epochs"]),
        "best_epoch": record["best_epoch"],
        "train_loss": gaps["best"].get("train_loss"),
        "val_loss": best.get("val/loss"),
        "score": score,
        "higher_is_better": record["score"]["higher_is_better"],
        "val_score": best.get(f"val/{score}"),
        "test_loss": tested.get("loss"),
        "test_score": tested.get(score),
        "gap_loss": gaps["best"].get("loss"),
        "gap_score": gaps["best"].get(score),
        "gap_loss_last": gaps["last"].get("loss"),
        "gap_score_last": gaps["last"].get(score),
        "gradient_ratio": _last(record, "gradient/ratio"),
        **{name: record["cost"][name] for name in ("parameters", "training_flops")},
    }


def _best(record: Mapping[str, Any]) -> Mapping[str, float]:
    return next(row for row in record["epochs"] if row["epoch"] == record["best_epoch"])


def _last(record: Mapping[str, Any], name: str) -> float | None:
    measured = [row[name] for row in record["epochs"] if row.get(name) is not None]
    return measured[-1] if measured else None


def summary(scores: pd.DataFrame) -> pd.DataFrame:
    """A row a cell: how many runs, how many diverged, and the estimates from those that finished.

    Scores come as mean, `_low` and `_high` (95 % interval), gaps as mean, the gradient ratio as geometric
    mean. `name` is what to call the cell's line within its data set.
    """
    rows = [_cell(runs) for _, runs in scores.groupby(CELL)]
    return pd.DataFrame(rows).assign(name=_names)


def _cell(runs: pd.DataFrame) -> dict[str, Any]:
    finished = select(runs, state="finished")
    row: dict[str, Any] = {name: runs[name].iloc[0] for name in (*CELL, "score", "higher_is_better")}
    row |= {"runs": len(runs), "diverged": len(runs) - len(finished)}
    for name in ("val_score", "test_score"):
        estimate = mean_interval(known(finished, name))
        row |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    row |= {
        name: finished[name].mean() for name in ("gap_loss", "gap_score", "gap_loss_last", "gap_score_last")
    }
    row["gradient_ratio"] = geometric_mean(known(finished, "gradient_ratio"))
    return row | {name: runs[name].iloc[0] for name in ("parameters", "training_flops")}


def _names(cells: pd.DataFrame) -> list[str]:
    """What to call a line: its architecture, or its entry where the data set has several of that architecture."""
    entries: dict[tuple[str, str], set[str]] = {}
    for cell in rows_of(cells):
        entries.setdefault((cell["data"], cell["model"]), set()).add(cell["entry"])
    return [
        (cell["model"] if len(entries[cell["data"], cell["model"]]) == 1 else cell["entry"])
        + ("" if cell["matching"] == "width" else f", equal {cell['matching']}")
        for cell in rows_of(cells)
    ]


def curves(records: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row an epoch of a cell: means over its finished runs that came so far, and their number `runs`.

    `train_loss` is the running training loss, measured while the weights moved.
    """
    rows = [
        {name: record[name] for name in CELL}
        | {"epoch": row["epoch"], "train_loss": row["train/loss"], "val_loss": row["val/loss"]}
        | {"val_score": row[f"val/{record['score']['name']}"]}
        for record in records
        if record["state"] == "finished"
        for row in record["epochs"]
    ]
    means = ["train_loss", "val_loss", "val_score"]
    frame = pd.DataFrame(rows, columns=[*CELL, "epoch", *means]).astype({name: float for name in means})
    found = {name: (name, "mean") for name in means} | {"runs": ("epoch", "size")}
    return frame.groupby([*CELL, "epoch"], as_index=False).agg(**found)


def metrics(summary: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """`{entry: {"depth=1": {"val_score": ..., "test_score": ..., "gap_loss": ...}}}`, without what is missing."""
    content: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows_of(summary):
        matching = "" if row["matching"] == "width" else f"matching={row['matching']}-"
        values = {name: row[name] for name in ("val_score", "test_score", "gap_loss")}
        known = {name: float(f"{value:.6g}") for name, value in values.items() if not np.isnan(value)}
        content.setdefault(row["entry"], {})[f"{matching}depth={row['depth']}"] = known | {
            "diverged": row["diverged"]
        }
    return content


def select(frame: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The rows in which each named column has the given value."""
    chosen = np.logical_and.reduce([frame[name] == value for name, value in values.items()])
    return frame.loc[chosen]


def baselines_of(baselines: Mapping[str, Any], data: str, score: str) -> dict[str, tuple[float, float]]:
    """Validation and test score of each method that was tried on a data set and knows this score."""
    methods = baselines.get(data, {})
    return {m: (of["val"][score], of["test"][score]) for m, of in methods.items() if score in of["val"]}


def known(frame: pd.DataFrame, name: str) -> np.ndarray:
    """The values of a column that are not missing."""
    values = np.asarray(frame[name], dtype=np.float64)
    return values[~np.isnan(values)]


def cells_of(frame: pd.DataFrame, line: pd.DataFrame) -> pd.DataFrame:
    """The rows of another table that belong to the line (architecture on a data set) of `line`."""
    return select(frame, **{name: line[name].iloc[0] for name in SERIES})


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Each row as a plain dict, in order."""
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def csv(frame: pd.DataFrame) -> str:
    """The table with six significant digits: more would be noise, and differ between processors."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
