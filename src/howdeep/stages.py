"""The stages after training, and the commands that show what there is: which files they read, and what they say."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from howdeep import records, study
from howdeep.errors import UserError
from howdeep.project import Project


def evaluate(project: Project) -> None:
    """Scores every finished run on the test examples."""
    from howdeep.evaluate import evaluate as evaluate_runs

    content = evaluate_runs(project)
    print(f"evaluate: {len(content['runs'])} runs on the test examples", file=sys.stderr)


def compare(project: Project) -> None:
    """Writes results/, and the report beside it."""
    from howdeep.results.report import compare as write_results

    found = _records(project)
    write_results(found, _test(project), folder=project.results, artifacts=_artifacts(found, project))
    report(project)


def report(project: Project) -> None:
    """Rebuilds reports/index.html, with what provenance has."""
    from howdeep.results.report import build_report

    plan, found = study.read(project.params), _records(project)
    traces = {record["key"]: project.provenance / f"{record['key']}.json" for record in found}
    path = project.reports / "index.html"
    build_report(
        found,
        _test(project),
        study=plan.name,
        cards={
            data: _json(card) for data in plan.data if (card := project.prepared(data) / "card.json").exists()
        },
        provenance={key: _json(trace) for key, trace in traces.items() if trace.exists()},
        artifacts=_artifacts(found, project),
        path=path,
    )
    print(f"report: {os.path.relpath(path)}", file=sys.stderr)


def sync(project: Project) -> None:
    """Rebuilds in MLflow what the records have and it lacks."""
    from howdeep import synchronise
    from howdeep.composition import compose_train
    from howdeep.tracking import Store, locate

    plan = study.read(project.params)
    uri = compose_train(project.conf, []).tracking.uri
    store = Store(locate(uri, project.root), plan.name, project.root)
    runs, models = synchronise.sync(project.runs, project, store)
    print(
        f"sync: {runs} runs and {models} models added to MLflow's experiment '{plan.name}'", file=sys.stderr
    )


def _records(project: Project) -> list[dict]:
    """The record of every run of the study; one that is missing is an error."""
    plan = study.read(project.params)
    return [
        records.read(project.runs / entry.name / cell.run_name(seed))
        for entry in plan.entries.values()
        for cell in plan.cells(entry)
        for seed in plan.seeds
    ]


def _artifacts(found: list[dict], project: Project) -> dict[str, dict[str, Any]]:
    """What each run left for galleries, by run key."""
    from howdeep.results.artifacts import read

    artifacts = {}
    for record in found:
        cell = records.Cell(record["data"], record["model"], record["depth"], record["matching"])
        folder = project.runs / record["entry"] / cell.run_name(record["seed"])
        artifacts[record["key"]] = read(folder)
    return artifacts


def _test(project: Project) -> dict:
    path = project.results / "test.json"
    if not path.exists():
        raise UserError(f"expected test scores at {path}, found none: run `dvc repro evaluate`")
    return _json(path)


def _json(path: Path) -> dict:
    return json.loads(path.read_text())
