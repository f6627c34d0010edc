"""Bringing MLflow in line with the records: while an entry trains, by `compare`, and by `howdeep sync`, see `sync`."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from howdeep.errors import UserError
from howdeep.files import reading
from howdeep.files.project import Project
from howdeep.processes.workers import cores, run_all
from howdeep.records.record import config_of, read_record, run_folders
from howdeep.stages.described import compared, describe, log_comparison, results_checksum
from howdeep.study import params
from howdeep.study.composition import compose_train
from howdeep.tracking.client import locate
from howdeep.tracking.store import Store
from howdeep.tracking.words import (
    COMPARISON,
    ENTRY,
    FOLDER,
    KEY,
    KIND,
    MODEL,
    PARENT,
    RESULTS,
    STUDY,
    TRIAL,
    TrialOf,
    Value,
    of_test,
)


def study_store(project: Project) -> Store | None:
    """The MLflow store of the study; None where conf/train.yaml wants none."""
    uri = tracking(project).uri
    return Store(locate(uri, project.root), params.read(project.params).name, project.root) if uri else None


def tracking(project: Project) -> DictConfig:
    return compose_train(project.conf, []).tracking


def best_of_cells(runs: Iterable[tuple[Path, dict]]) -> list[tuple[Path, dict]]:
    """For each cell the finished run with the lowest validation loss, of (folder, record) pairs."""
    best: dict[tuple, tuple[float, Path, dict]] = {}
    for folder, record in runs:
        if record["state"] != "finished":
            continue
        cell = (record["entry"], record["data"], record["model"], record["matching"], record["depth"])
        loss = record["epochs"][record["best_epoch"]]["val/loss"]
        if cell not in best or loss < best[cell][0]:
            best[cell] = (loss, folder, record)
    return [(folder, record) for _, folder, record in best.values()]


def log_best_models(runs: Iterable[tuple[Path, dict]], project: Project, store: Store) -> int:
    """Logs the best model of each cell that has none in MLflow, side by side; how many."""
    best = [folder for folder, _ in best_of_cells(runs)]
    return sum(n for _, n in run_all(lambda folder: log_best_model([folder], project, store), best, cores()))


def log_best_model(folders: Iterable[Path], project: Project, store: Store) -> int:
    """Logs the best of the runs of a cell as a model, unless it is one in MLflow already; how many, 1 or 0."""
    for folder, record in best_of_cells((folder, read_record(folder)) for folder in folders):
        of_entry = {"howdeep__entry": record["entry"]} if record["entry"] else {}
        found = store.find(howdeep__kind="run", howdeep__key=record["key"], **of_entry)
        if found and MODEL not in found[0].data.tags:
            from howdeep.deployment import models  # and with it torch

            of = models.of_run(folder, record, project)
            config = record["config"]["model"]
            store.log_model(found[0].info.run_id, of.net, config, of.noise(), of.encoding())
            return 1
    return 0


def bring_in_line(project: Project, store: Store, elsewhere: Store) -> tuple[int, int, int]:
    """Rebuilds in MLflow what the records have and it lacks, and deletes of the study what left it.

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
    runs, models = show_study(project, store)
    there = [(run.info.status, run.data.tags.get(RESULTS)) for run in store.find(howdeep__kind=COMPARISON)]
    if compared(project) and there != [("FINISHED", results_checksum(project))]:
        log_comparison(project, store)
    typed = [*run_folders(project.root / "outputs"), *run_folders(project.root / "multirun")]
    others = _sync_typed(typed, project, elsewhere) if typed else 0
    return runs, models, others


def show_study(project: Project, store: Store) -> tuple[int, int]:
    """Makes MLflow show the runs that the study of params.yaml has, see `show_studies`, with its views.

    Returns:
        How many runs and how many models were added.
    """
    added, scores = show_studies([project], store, tested(project))
    describe(params.read(project.params), scores, store)
    return added


def show_studies(
    homes: Sequence[Project],
    store: Store,
    test: Mapping[str, Mapping[str, float]],
    spared: Collection[str] = (),
) -> tuple[tuple[int, int], dict[str, str]]:
    """Makes an experiment of MLflow show the runs that these studies have: adds those that it lacks, deletes those that
    left, and gives those that it has what they lack, such as their score on the test examples.

    Args:
        homes: of the studies; no two have an entry of one name.
        test: what `evaluate` has found, by the key of a run.
        spared: more entries, of which nothing is known: their runs are left alone.

    Returns:
        How many runs and how many models were added, and the name of the score by entry.
    """
    plans = {home: params.read(home.params) for home in homes}
    home_of = {name: home for home, plan in plans.items() for name in plan.entries}
    # Before the records: a run may end meanwhile.
    there = [run for run in store.find() if run.data.tags.get(ENTRY) not in spared]
    places = [
        home.runs / entry.name / cell.run_name(seed)
        for home, plan in plans.items()
        for entry in plan.entries.values()
        for cell, seed in plan.runs(entry)
    ]
    records = {place: read_record(place) if (place / "record.json").exists() else None for place in places}
    found = [(place, record) for place, record in records.items() if record]
    scores = {record["entry"]: record["score"]["name"] for _, record in found}
    if store.lost:
        return (0, 0), scores
    gone = left(there, records)
    gone += [run for run in there if _is(run, "entry") and run.data.tags[ENTRY] not in home_of]
    store.delete(gone)
    deleted = {run.info.run_id for run in gone}
    there = [run for run in there if run.info.run_id not in deleted]
    ended = [run for run in there if _is(run, "run") and run.info.status not in ("RUNNING", "KILLED")]
    known, values = {_own(run): run for run in ended}, test_values(test, records.values())
    lacking = [record for _, record in found if (record["entry"], record["key"]) not in known]
    with _parents(store) as parent_of:
        for record in lacking:
            parent = parent_of(record["entry"], "entry")
            rebuild(record, home_of[record["entry"]], store, parent, test=values.get(record["key"], ()))
        for _, record in found:
            if run := known.get((record["entry"], record["key"])):
                store.complete(run, record, values.get(record["key"], ()))
        _nest_orphans(there, store, parent_of)
        for name, home in home_of.items():
            if plans[home].entry(name).tuning and (home.tuned / name / "trials.csv").exists():
                _log_tuning(home.tuned / name, there, store, parent_of)
    with_model = {_own(run) for run in ended if MODEL in run.data.tags}
    added = 0
    for home in homes:
        own = [(place, record) for place, record in best_of_cells(found) if home_of[record["entry"]] == home]
        lack = [pair for pair in own if (pair[1]["entry"], pair[1]["key"]) not in with_model]
        added += log_best_models(lack, home, store)
    return (len(lacking), added), scores


def _own(run: Any) -> tuple[str | None, str]:
    """What tells a run from all others of a study: two entries may hold the same network, whose runs share a key."""
    return run.data.tags.get(ENTRY), run.data.tags[KEY]


def left(there: Iterable[Any], records: Mapping[Path, dict | None]) -> list[Any]:
    """The runs in MLflow of entries, depths or seeds that have left the study, or whose place another run has taken.

    Args:
        there: runs in MLflow, found before the records were read.
        records: by the folder of each run that the study has, within that of its entry; None where it is not trained,
            or was stopped.
    """
    own = {(record["entry"], record["key"]) for record in records.values() if record}
    trained = {(place.parent.name, place.name): record is not None for place, record in records.items()}

    def has_left(run: Any) -> bool:
        if not _is(run, "run") or ENTRY not in run.data.tags or run.info.status == "RUNNING":
            return False
        place = run.data.tags[ENTRY], run.data.tags.get(FOLDER, run.info.run_name)
        return _own(run) not in own and trained.get(place, True)

    return list(filter(has_left, there))


def tested(project: Project) -> dict[str, dict[str, float]]:
    """What `evaluate` has found of the runs of a study, by key; nothing before it has run."""
    path = project.results / "test.json"
    return reading.json_map(path, "run `dvc repro evaluate`")["runs"] if path.exists() else {}


def test_values(
    test: Mapping[str, Mapping[str, float]], records: Iterable[Mapping[str, Any] | None]
) -> dict[str, list[Value]]:
    """What `evaluate` has found of these runs, by key, as MLflow shows it."""
    return {
        record["key"]: of_test(record["score"]["name"], test[record["key"]])
        for record in records
        if record and record["key"] in test
    }


def _is(run: Any, kind: str) -> bool:
    return run.data.tags.get(KIND) == kind


def _log_tuning(
    folder: Path, there: Iterable[Any], store: Store, parent_of: Callable[[str, str], str]
) -> None:
    """Puts the tuning of an entry beside its runs, in the place of what another study may have left there."""
    name = folder.name
    parents = [run.info.run_id for run in there if _is(run, "entry") and run.data.tags[ENTRY] == name]
    store.log_path(parents[0] if parents else parent_of(name, "entry"), folder, "tuning")


def _sync_typed(folders: Iterable[Path], project: Project, store: Store) -> int:
    """Single runs, and trials of sweeps, whose folders are named by study and number."""
    store.close_abandoned()
    there: dict[str | tuple[str, int], Any] = {
        (run.data.tags[STUDY], int(run.data.tags[TRIAL])) if _is(run, "trial") else run.data.tags[KEY]: run
        for run in store.find()
        if run.info.status not in ("RUNNING", "KILLED") and (_is(run, "trial") or _is(run, "run"))
    }
    added = 0
    with _parents(store) as parent_of:
        for folder in folders:
            trial, record = _trial_of(folder, project), read_record(folder)
            place = (trial.study, trial.number) if trial else record["key"]
            if place in there:
                if run := there[place]:
                    store.complete(run, record, trial=trial)
                continue
            there[place] = None
            rebuild(record, project, store, parent_of(trial.study, "sweep") if trial else None, trial)
            added += 1
        _nest_orphans(store.find(), store, parent_of)
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
    record: dict,
    project: Project,
    store: Store,
    parent: str | None,
    trial: TrialOf | None = None,
    test: Iterable[Value] = (),
) -> None:
    """Logs a run from its record and provenance, with what `evaluate` has found of it."""
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
    run.end(record, trace, test)


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
        opened.append(
            store.open_parent(name, {}, kind) or ""
        )  # of a store that was lost, where nothing is written
        return opened[-1]

    opened: list[str] = []
    yield parent_of
    for parent in opened:
        store.close(parent, "FINISHED")


def _nest_orphans(found: list[Any], store: Store, parent_of: Callable[[str, str], str]) -> None:
    """Gives a parent to runs whose parent was deleted.

    Args:
        found: all runs of the experiment.
    """
    there = {run.info.run_id for run in found}
    for run in found:
        tags = run.data.tags
        nested = _is(run, "run") or _is(run, "trial")  # an arm belongs to its claim
        if nested and PARENT in tags and tags[PARENT] not in there and (STUDY in tags or ENTRY in tags):
            name, kind = (tags[STUDY], "sweep") if STUDY in tags else (tags[ENTRY], "entry")
            store.set_tags(run.info.run_id, {PARENT: parent_of(name, kind)})
