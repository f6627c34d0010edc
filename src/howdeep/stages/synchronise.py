"""Bringing MLflow in line with the records: while an entry trains, and later by `howdeep sync`."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from howdeep.errors import UserError
from howdeep.files import reading
from howdeep.files.project import Project
from howdeep.processes.workers import cores, run_all
from howdeep.records.provenance import commit
from howdeep.records.record import config_of, load_weights, read_record, run_folders
from howdeep.study import params
from howdeep.study.composition import compose_train
from howdeep.tracking.client import locate
from howdeep.tracking.store import Store, tracked_parent
from howdeep.tracking.words import ENTRY, MODEL, PARENT, STUDY, TrialOf, flat

FIGURES_AND_TABLES = ("figures", "tables")
SMALL = ("scores.csv", "summary.csv", "trials.csv", "best_so_far.csv", "metrics.json")


def sync(project: Project) -> None:
    """Rebuilds in MLflow what the records have and it lacks."""
    if not (store := study_store(project)):
        raise UserError("expected an MLflow store to bring in line, got tracking.uri=null in conf/train.yaml")
    store.strict = True
    elsewhere = replace(store, experiment=_tracking(project).experiment)
    runs, models, others = bring_in_line(project, store, elsewhere)
    also = f", {others} single runs and trials to '{elsewhere.experiment}'" if others else ""
    print(
        f"sync: {runs} runs and {models} models added to MLflow's experiment '{store.experiment}'{also}",
        file=sys.stderr,
    )


def study_store(project: Project) -> Store | None:
    """The MLflow store of the study; None where conf/train.yaml wants none."""
    uri = _tracking(project).uri
    return Store(locate(uri, project.root), params.read(project.params).name, project.root) if uri else None


def _tracking(project: Project) -> DictConfig:
    return compose_train(project.conf, []).tracking


def log_comparison(project: Project, store: Store) -> None:
    """Puts what `compare` wrote into one MLflow run: metrics and verdicts, tables and figures, the report."""
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
        record = read_record(folder)
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
    from howdeep.runs.examples import load_split
    from howdeep.training.run import build

    cfg = config_of(record)
    net = build(cfg.model)
    load_weights(net, folder, record)
    return net.eval(), load_split(cfg, project).validation[0][:4].numpy()


def bring_in_line(project: Project, store: Store, elsewhere: Store) -> tuple[int, int, int]:
    """Rebuilds in MLflow what the records have and it lacks.

    Args:
        store: of the study.
        elsewhere: of runs and sweeps that were typed on the command line.

    Returns:
        How many runs and how many models of the study, and how many other runs and trials were added; the second time
        none.

    Raises:
        UserError: MLflow cannot be used, where the stores are strict; a record cannot be read.
    """
    store.close_abandoned()
    runs, models = _sync_study(project, store)
    typed = [*run_folders(project.root / "outputs"), *run_folders(project.root / "multirun")]
    others = _sync_typed(typed, project, elsewhere) if typed else 0
    return runs, models, others


def _sync_study(project: Project, store: Store) -> tuple[int, int]:
    folders = list(run_folders(project.runs))
    lacking = lacking_in_mlflow(folders, store)
    with _parents(store) as parent_of:
        for record in lacking:
            rebuild(record, project, store, parent_of(record["entry"], "entry"))
        _nest_orphans(store, parent_of)
        for tuned in sorted(project.tuned.glob("*/trials.csv")):
            parent = parent_of(tuned.parent.name, "entry")
            if not store.client.list_artifacts(parent, "tuning"):
                store.log_path(parent, tuned.parent, "tuning")
    models = log_best_models(folders, project, store)
    compared = [run.info.status for run in store.find(howdeep__kind="comparison")]
    if "FINISHED" not in compared and (project.results / "metrics.json").exists():
        log_comparison(project, store)
    return len(lacking), models


def _sync_typed(folders: Iterable[Path], project: Project, store: Store) -> int:
    """Single runs, and trials of sweeps, whose folders are named by study and number."""
    store.close_abandoned()
    known, trials, added = store.keys(), {}, 0
    with _parents(store) as parent_of:
        for folder in folders:
            trial = _trial_of(folder, project)
            if trial is None:
                record = read_record(folder)
                if record["key"] in known:
                    continue
                known.add(record["key"])
                rebuild(record, project, store, None)
            else:
                there = trials.setdefault(trial.study, store.trials(trial.study))
                if trial.number in there:
                    continue
                rebuild(read_record(folder), project, store, parent_of(trial.study, "sweep"), trial)
            added += 1
        _nest_orphans(store, parent_of)
    return added


def _trial_of(folder: Path, project: Project) -> TrialOf | None:
    """Of multirun/STUDY/NUMBER/run; it takes the place of its own run, if that was not written to its end."""
    place = folder.relative_to(project.root).parts
    if len(place) != 4 or place[0] != "multirun" or not place[2].isdecimal():
        return None
    hydra = folder.parent / ".hydra" / "hydra.yaml"
    if hydra.exists() and "howdeep_optuna" not in hydra.read_text():  # a multirun that was given this folder
        return None
    return TrialOf(place[1], int(place[2]), replaces=(int(place[2]),))


def lacking_in_mlflow(folders: Iterable[Path], store: Store | None, entry: str | None = None) -> list[dict]:
    """The records of runs that MLflow does not have as ended, as where a kill came between the record and MLflow.

    Args:
        entry: to which all of them belong, if they do.
    """
    if store is None:
        return []
    known = store.keys(entry)
    return (
        [] if store.lost else [record for record in map(read_record, folders) if record["key"] not in known]
    )


def rebuild(
    record: dict, project: Project, store: Store, parent: str | None, trial: TrialOf | None = None
) -> None:
    """Logs a run from its record and provenance."""
    trace_file = project.provenance / f"{record['key']}.json"
    trace = reading.json_map(trace_file, "delete it") if trace_file.exists() else None
    about = {name: trace[name] for name in ("commit", "dirty")} if trace else {}
    run = store.start(
        record,
        parent=parent,
        about={**about, "howdeep.rebuilt": "true"},
        dataset=_card(record, project),
        trial=trial,
    )
    run.end(record, trace)


def _card(record: dict, project: Project) -> dict:
    """The data card; what the record knows of it, where the data is not prepared any more."""
    from howdeep.runs.examples import prepared_card

    try:
        return prepared_card(config_of(record), project)
    except UserError:
        homepage = record["config"]["data"].get("homepage", "")
        return {"name": record["data"], "homepage": homepage, "digest": record["data_checksum"]}


@contextmanager
def _parents(store: Store) -> Iterator[Callable[[str, str], str]]:
    """Gives the run of an entry or a sweep, by its name and kind; opened when first asked for, closed at the end."""

    @cache
    def parent_of(name: str, kind: str) -> str:
        parent = store.open_parent(name, {}, kind)
        assert parent is not None  # the store is strict
        opened.append(parent)
        return parent

    opened: list[str] = []
    yield parent_of
    for parent in opened:
        store.close(parent, "FINISHED")


def _nest_orphans(store: Store, parent_of: Callable[[str, str], str]) -> None:
    """Gives a parent to runs whose parent was deleted."""
    found = store.find()
    there = {run.info.run_id for run in found}
    for run in found:
        tags = run.data.tags
        if PARENT in tags and tags[PARENT] not in there and (STUDY in tags or ENTRY in tags):
            name, kind = (tags[STUDY], "sweep") if STUDY in tags else (tags[ENTRY], "entry")
            store.set_tags(run.info.run_id, {PARENT: parent_of(name, kind)})
