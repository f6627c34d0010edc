"""Bringing MLflow in line with the records: while an entry trains, and later by `howdeep sync`."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from howdeep import records, stored
from howdeep.errors import Stopped
from howdeep.project import Project
from howdeep.provenance import commit
from howdeep.tracking import MODEL, Store, flat
from howdeep.workers import cores, run_all

FIGURES_AND_TABLES = ("figures", "tables")
SMALL = ("scores.csv", "summary.csv", "trials.csv", "best_so_far.csv", "metrics.json")


@contextmanager
def tracked_parent(
    store: Store | None, name: str, about: dict[str, str], kind: str = "entry"
) -> Iterator[str | None]:
    """The MLflow run of an entry or a sweep, open while it is trained; closes what a killed start left RUNNING."""
    if store is None:
        yield None
        return
    store.close_abandoned()
    parent = store.open_parent(name, about, kind)
    if parent is None:
        yield None
        return
    try:
        yield parent
    except BaseException as error:
        store.close_abandoned()
        store.close(parent, "KILLED" if isinstance(error, Stopped) else "FAILED")
        raise
    store.close(parent, "FINISHED")


def log_comparison(project: Project, store: Store) -> None:
    """Puts what `compare` wrote into one MLflow run: metrics and verdicts, tables and figures, the report."""
    import json

    found = {
        name.replace(".", "/").replace("=", " "): value  # of signs MLflow allows few
        for name, value in flat(json.loads((project.results / "metrics.json").read_text()))
    }
    words = {name: value for name, value in found.items() if isinstance(value, str)}
    with tracked_parent(store, "comparison", commit(project.root), kind="comparison") as run:
        if run is None:
            return
        store.log(run, [(name, value, 0) for name, value in found.items() if name not in words])
        store.set_tags(run, words)
        for path in (*FIGURES_AND_TABLES, *SMALL):
            place = project.results / path
            store.log_path(run, place, f"results/{path}" if place.is_dir() else "results")
        store.log_path(run, project.reports / "index.html")


def best_of_cells(folders: Iterable[Path]) -> list[tuple[Path, dict]]:
    """For each cell the finished run with the lowest validation loss: (folder, record)."""
    best: dict[tuple, tuple[float, Path, dict]] = {}
    for folder in folders:
        record = records.read(folder)
        if record["state"] != "finished":
            continue
        cell = (record["entry"], record["data"], record["model"], record["matching"], record["depth"])
        loss = record["epochs"][record["best_epoch"]]["val/loss"]
        if cell not in best or loss < best[cell][0]:
            best[cell] = (loss, folder, record)
    return [(folder, record) for _, folder, record in best.values()]


def log_best_models(folders: Iterable[Path], project: Project, store: Store) -> int:
    """Logs the best model of each cell that has none in MLflow, side by side; how many."""
    best = [folder for folder, _ in best_of_cells(folders)]
    return sum(n for _, n in run_all(lambda folder: log_best_model([folder], project, store), best, cores()))


def log_best_model(folders: Iterable[Path], project: Project, store: Store) -> int:
    """Logs the best of the runs of a cell as a model, unless it is one in MLflow already; how many, 1 or 0."""
    for folder, record in best_of_cells(folders):
        found = store.find(howdeep__kind="run", howdeep__key=record["key"])
        if found and MODEL not in found[0].data.tags:
            net, example = load_model(folder, record, project)
            store.log_model(found[0].info.run_id, net, record["config"]["model"], example)
            return 1
    return 0


def load_model(folder: Path, record: dict, project: Project) -> tuple[Any, Any]:
    """The trained net of a run and four validation examples, a numpy array (4, *in_shape)."""
    from howdeep.prepare import load_split
    from howdeep.training.run import build

    cfg = records.config_of(record)
    net = build(cfg.model)
    stored.load_weights(net, folder / "weights.safetensors")
    return net.eval(), load_split(cfg, project).validation[0][:4].numpy()


def sync(runs: Path, project: Project, store: Store) -> tuple[int, int]:
    """Rebuilds in MLflow the runs and models that the records have and it lacks.

    Returns:
        How many runs and how many models were added; (0, 0) the second time.
    """

    from howdeep.prepare import prepared_card

    store.close_abandoned()
    known, folders = store.keys(), list(records.run_folders(runs))
    parents: dict[str, str] = {}
    added = 0
    for folder in folders:
        record = records.read(folder)
        if record["key"] in known:
            continue
        entry = record["entry"]
        if entry not in parents:
            parents[entry] = store.open_parent(entry, {})
        trace_file = project.provenance / f"{record['key']}.json"
        trace = stored.json_map(trace_file, "delete it") if trace_file.exists() else None
        about = {name: trace[name] for name in ("commit", "dirty")} if trace else {}
        card = prepared_card(records.config_of(record), project)
        run = store.start(
            record, parent=parents[entry], about={**about, "howdeep.rebuilt": "true"}, dataset=card
        )
        run.end(record, trace)
        added += 1
    for parent in parents.values():
        store.close(parent, "FINISHED")
    return added, log_best_models(folders, project, store)
