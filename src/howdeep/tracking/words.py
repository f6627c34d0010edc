"""How a record is told to MLflow: names, tags, parameters, metrics."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from howdeep.records.cell import Cell

KEY, ENTRY, PROCESS, KIND = "howdeep.key", "howdeep.entry", "howdeep.process", "howdeep.kind"
MODEL, STUDY, TRIAL = "howdeep.model", "howdeep.study", "howdeep.trial"
CELL, DEPTH = "howdeep.cell", "howdeep.depth"  # 'digits-cnn depth 8', 'depth 8'
FOLDER = "howdeep.folder"  # of a run, within that of its entry: 'depth=8-seed=0'
PARENT, NAME, NOTE = "mlflow.parentRunId", "mlflow.runName", "mlflow.note.content"
CLAIM, VERDICT = "howdeep.claim", "howdeep.verdict"
COMPARISON, RESULTS = "comparison", "howdeep.compared"  # the kind of its run, and of which results it is
SCORE, GAP, TEST_SCORE = "best/score", "best/gap", "test/score"  # the same names in all tasks
Value = tuple[str, float | None, int]  # a metric's name, its value, its epoch
HELD = {"width": "", "parameters": ", equal parameters", "flops": ", equal training FLOPs"}
LONGEST = 6000  # characters of a parameter that MLflow takes
# What is the same in all runs, told elsewhere, or no setting: all of it stands in record.json.
UNTOLD = (
    "_target_", "_partial_", "data.sources", "data.licence", "data.homepage", "data.in_shape", "data.out_features",
    "data.vocabulary", "data.every_step", "data.context", "model.in_shape", "model.out_features", "model.vocabulary",
    "model.every_step", "reference", "diagnostics", "optimizer.fused", "trainer.accelerator", "trainer.devices",
    "trainer.deterministic", "trainer.limit_train_batches", "trainer.profiler",
)  # fmt: skip


@dataclass(frozen=True)
class TrialOf:
    """Where in a sweep a run belongs: its study, its number, and the interrupted trials whose place it takes."""

    study: str
    number: int
    replaces: tuple[int, ...] = ()


def cell_of(record: Mapping[str, Any]) -> str:
    """What the cell of a run is called: 'digits-cnn depth 8', or 'digits-cnn depth 8, equal parameters'."""
    of = record["entry"] or f"{record['data']}-{record['model']}"
    return f"{of} {at_depth(record['depth'], record['matching'])}"


def at_depth(depth: int, matching: str) -> str:
    """What tells the cells of an entry apart: 'depth 8', or 'depth 8, equal parameters'."""
    return f"depth {depth}{HELD[matching]}"


def run_name(record: Mapping[str, Any], trial: TrialOf | None) -> str:
    """What a run is called: 'digits-cnn depth 8 seed 0'."""
    comma = "," if HELD[record["matching"]] else ""
    name = f"{cell_of(record)}{comma} seed {record['seed']}"
    return f"{trial.number:04d} {name}" if trial else name


def tags_of(record: Mapping[str, Any], parent: str | None, trial: TrialOf | None) -> dict[str, str]:
    """What a run is found by: its record's key, its place in a study or a sweep."""
    tags = {KIND: "trial" if trial else "run", KEY: record["key"]}
    tags |= {"howdeep.data_checksum": record["data_checksum"]}
    tags |= {name: str(record[name]) for name in ("data", "model", "task")} | named(record)
    tags |= ({ENTRY: record["entry"]} if record["entry"] else {}) | ({PARENT: parent} if parent else {})
    return tags | ({STUDY: trial.study, TRIAL: str(trial.number)} if trial else {})


def named(record: Mapping[str, Any]) -> dict[str, str]:
    """The tags by which views group runs, and by which a run is known among the folders of its entry."""
    cell = Cell(record["data"], record["model"], record["depth"], record["matching"])
    return {
        CELL: cell_of(record),
        DEPTH: at_depth(record["depth"], record["matching"]),
        FOLDER: cell.run_name(record["seed"]),
        "score": record["score"]["name"],  # what best/score and test/score are
    }


def params_of(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings in which runs may differ, of a record's config; those that are null are left out."""
    config = record["config"]
    kinds = {
        part: config[part]["_target_"].rpartition(".")[2]
        for part in ("model", "optimizer", "schedule")
        if "_target_" in config.get(part, {})
    }
    told = kinds | {name: value for name, value in flat(config) if value is not None and not _untold(name)}
    return [(name, str(value)[:LONGEST]) for name, value in told.items()]


def _untold(name: str) -> bool:
    parts = name.split(".")
    return any(".".join(parts[:n]) in UNTOLD for n in range(1, len(parts) + 1)) or parts[-1] in UNTOLD


def flat(node: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """The leaves of a nested config: `[('model.depth', 4), ...]`."""
    if not isinstance(node, dict):
        return [(prefix, node)]
    return [
        leaf
        for name, child in node.items()
        for leaf in flat(child, f"{prefix}.{name}" if prefix else str(name))
    ]


def is_summary(name: str) -> bool:
    """Whether a metric is of a run as a whole, as `summary` and `of_test` name them, and no curve over its epochs."""
    kind, _, of = name.partition("/")
    return not of or kind in ("best", "test")


def summary(record: Mapping[str, Any], provenance: Mapping[str, Any] | None) -> list[Value]:
    """What is known only when a run has ended: what it cost, and what it reached in its best epoch.

    `best/score` and `best/gap` have one name in all tasks. The gap is that of the score, validation minus training,
    with the sign turned where more is better: positive always means that the network does worse on what it has not
    seen.
    """
    found: dict[str, float | None] = dict(record["cost"])
    if record["best_epoch"] is not None:
        score = record["score"]["name"]
        best = next(row for row in record["epochs"] if row["epoch"] == record["best_epoch"])
        found |= {
            "best_epoch": best["epoch"],
            "best/loss": best.get("val/loss"),
            SCORE: best.get(f"val/{score}"),
        }
        if (gap := ((record["gap"] or {}).get("best") or {}).get(score)) is not None:
            found[GAP] = 0.0 - gap if record["score"]["higher_is_better"] else gap
    if provenance:
        found |= {"seconds": provenance["seconds"], "memory_mb": provenance["memory_mb"]}
    return [(name, value, 0) for name, value in found.items()]


def of_test(score: str, measured: Mapping[str, float]) -> list[Value]:
    """What a run reached on the test examples.

    Args:
        score: the name of its task's.
        measured: loss and scores, as results/test.json has them.
    """
    found = {"test/loss": measured.get("loss"), TEST_SCORE: measured.get(score)}
    return [(name, value, 0) for name, value in found.items() if value is not None and math.isfinite(value)]
