"""The stages after training, and the commands that show what there is: which files they read, and what they say."""

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from howdeep import records, stored, study
from howdeep.errors import UserError
from howdeep.project import Project
from howdeep.stored import trials_of

if TYPE_CHECKING:  # the other stages do not wait for pandas and matplotlib
    from omegaconf import DictConfig

    from howdeep.results.analysis import Analysis
    from howdeep.tracking import Store


def plan(project: Project) -> None:
    """Composes every cell of the study."""
    from howdeep.plan import plan as write_plans

    found = write_plans(project)
    runs = [(entry.name, cell, seed) for entry in found.entries.values() for cell, seed in found.runs(entry)]
    cells = {(name, cell) for name, cell, _ in runs}
    print(f"plan: {len(found.entries)} entries, {len(cells)} cells, {len(runs)} runs", file=sys.stderr)


def evaluate(project: Project) -> None:
    """Scores every finished run on the test examples."""
    from howdeep.evaluate import evaluate as evaluate_runs

    content = evaluate_runs(project)
    print(f"evaluate: {len(content['runs'])} runs on the test examples", file=sys.stderr)


def inspect(project: Project) -> None:
    """Looks inside the networks, on validation examples."""
    from howdeep.inspect_runs import inspect as inspect_runs

    found = inspect_runs(project)
    print(f"inspect: {found['networks']} networks on validation examples", file=sys.stderr)


def compare(project: Project) -> None:
    """Writes results/, and the report beside it."""
    from howdeep.results.report import compare as write_results

    analysis = _analysis(project)
    write_results(analysis, folder=project.results)
    _report(project, analysis)
    if store := _store(project):
        from howdeep.synchronise import log_comparison

        log_comparison(project, store)


def report(project: Project) -> None:
    """Rebuilds reports/index.html, with what provenance has."""
    _report(project, _analysis(project))


def _analysis(project: Project) -> "Analysis":
    from howdeep.results import inside
    from howdeep.results.analysis import analyse
    from howdeep.workers import cores

    found = _records(project)
    plan = study.read(project.params)
    analysis = analyse(
        found,
        _test(project),
        margins=plan.margins,
        artifacts=_artifacts(found, project),
        learning_curves=study.learning_curves(plan.entries.values()),
        answers=_answers(project),
        inspection=inside.read(project.results / "inspection"),
        trials={name: trials_of(name, project) for name, entry in plan.entries.items() if entry.tuning},
    )
    if (n_workers := cores()) > 1:
        analysis.draw(n_workers)
    return analysis


def _report(project: Project, analysis: "Analysis") -> None:
    from howdeep.results.report import build_report

    plan = study.read(project.params)
    traces = {record["key"]: project.provenance / f"{record['key']}.json" for record in analysis.records}
    path = project.reports / "index.html"
    build_report(
        analysis,
        study=plan.name,
        cards={
            data: stored.json_map(card, f"delete it, then `howdeep prepare data={data}`")
            for data in plan.data
            if (card := project.prepared(data) / "card.json").exists()
        },
        provenance={
            key: stored.json_map(trace, "delete it; the report does without")
            for key, trace in traces.items()
            if trace.exists()
        },
        path=path,
    )
    print(f"report: {os.path.relpath(path)}", file=sys.stderr)


def sync(project: Project) -> None:
    """Rebuilds in MLflow what the records have and it lacks."""
    from howdeep import synchronise

    if not (store := _store(project)):
        raise UserError("expected an MLflow store to bring in line, got tracking.uri=null in conf/train.yaml")
    store.strict = True
    elsewhere = replace(store, experiment=_tracking(project).experiment)
    runs, models, others = synchronise.sync(project, store, elsewhere)
    also = f", {others} single runs and trials to '{elsewhere.experiment}'" if others else ""
    print(
        f"sync: {runs} runs and {models} models added to MLflow's experiment '{store.experiment}'{also}",
        file=sys.stderr,
    )


def _store(project: Project) -> "Store | None":
    """The MLflow store of the study; None where conf/train.yaml wants none."""
    from howdeep.tracking import Store, locate

    uri = _tracking(project).uri
    return Store(locate(uri, project.root), study.read(project.params).name, project.root) if uri else None


def _tracking(project: Project) -> "DictConfig":
    from howdeep.composition import compose_train

    return compose_train(project.conf, []).tracking


def _records(project: Project) -> list[dict]:
    """The record of every run of the study; one that is missing is an error."""
    plan = study.read(project.params)
    return [
        records.read(project.runs / entry.name / cell.run_name(seed))
        for entry in plan.entries.values()
        for cell, seed in plan.runs(entry)
    ]


def _artifacts(found: list[dict], project: Project) -> Mapping[str, Mapping[str, Any]]:
    """What each run left for galleries, by run key; read when it is asked for, since galleries show a seed a cell."""
    from howdeep.results.artifacts import Folders

    folders = {}
    for record in found:
        cell = records.Cell(record["data"], record["model"], record["depth"], record["matching"])
        folder = project.runs / record["entry"] / cell.run_name(record["seed"])
        folders[record["key"]] = folder, record.get("files", {})
    return Folders(folders)


def _test(project: Project) -> dict:
    return stored.json_map(project.results / "test.json", "run `dvc repro evaluate`")


def _answers(project: Project) -> Mapping[str, Any]:
    """What classifiers answered to each test example."""
    from howdeep.results.answers import check

    path, again = project.results / "answers.safetensors", "run `dvc repro evaluate`"
    found = check(stored.arrays(path, again), path, again)
    stored.check_file(path, _test(project), again)
    return found
