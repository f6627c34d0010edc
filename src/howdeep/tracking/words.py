"""How a record is told to MLflow: tags, names, metrics."""

from dataclasses import dataclass
from typing import Any

from howdeep.records.cell import Cell

KEY, ENTRY, PROCESS, KIND = "howdeep.key", "howdeep.entry", "howdeep.process", "howdeep.kind"
MODEL, STUDY, TRIAL = "howdeep.model", "howdeep.study", "howdeep.trial"
PARENT = "mlflow.parentRunId"
COMPARISON, RESULTS = "comparison", "howdeep.results"  # the kind of its run, and of which results it is
Value = tuple[str, float | None, int]  # a metric's name, its value, its epoch
LONGEST = 6000  # characters of a parameter that MLflow takes


@dataclass(frozen=True)
class TrialOf:
    """Where in a sweep a run belongs: its study, its number, and the interrupted trials whose place it takes."""

    study: str
    number: int
    replaces: tuple[int, ...] = ()


def tags_of(record: dict, parent: str | None, trial: TrialOf | None) -> dict[str, str]:
    """What a run is found by: its record's key, its place in a study or a sweep."""
    tags = {KIND: "trial" if trial else "run", KEY: record["key"]}
    tags |= {"howdeep.data_checksum": record["data_checksum"]}
    tags |= {name: str(record[name]) for name in ("data", "model", "task")}
    tags |= ({ENTRY: record["entry"]} if record["entry"] else {}) | ({PARENT: parent} if parent else {})
    return tags | ({STUDY: trial.study, TRIAL: str(trial.number)} if trial else {})


def params_of(record: dict) -> list[tuple[str, str]]:
    """The leaves of the config as MLflow takes them."""
    return [(name, str(value)[:LONGEST]) for name, value in flat(record["config"])]


def run_name(record: dict, trial: TrialOf | None) -> str:
    """What the run is called in MLflow's tables."""
    cell = Cell(record["data"], record["model"], record["depth"], record["matching"])
    name = cell.run_name(record["seed"])
    if trial:
        return f"{trial.number:04d}-{name}"
    return name if record["entry"] else f"{cell.data}-{cell.model}-{name}"


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
    """Whether a metric is one of a run as a whole, as `summary` names them, and no curve over its epochs."""
    kind, _, of = name.partition("/")
    return not of or kind == "best" or kind.startswith("gap_")


def summary(record: dict, provenance: dict | None) -> list[Value]:
    """What is known only when a run has ended: cost, gaps, what it measured in its best epoch."""
    summary: dict[str, float | None] = dict(record["cost"])
    for when, gap in (record["gap"] or {}).items():
        summary |= {f"gap_{when}/{name}": value for name, value in gap.items()}
    if record["best_epoch"] is not None:
        best = next(row for row in record["epochs"] if row["epoch"] == record["best_epoch"])
        measured = {name.removeprefix("val/"): v for name, v in best.items() if name.startswith("val/")}
        summary |= {"best_epoch": best["epoch"]} | {f"best/{name}": v for name, v in measured.items()}
    if provenance:
        summary |= {"seconds": provenance["seconds"], "memory_mb": provenance["memory_mb"]}
    return [(name, value, 0) for name, value in summary.items()]
