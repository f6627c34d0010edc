"""The `compare` stage: tables, figures and report, from what the other stages wrote; also `howdeep report`."""

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from howdeep.errors import UserError
from howdeep.files import reading
from howdeep.files.project import Project
from howdeep.files.writing import write_json
from howdeep.processes.workers import cores
from howdeep.records.artifacts import Folders
from howdeep.records.cell import Cell
from howdeep.records.record import read_record
from howdeep.records.trials import trials_of
from howdeep.report.analysis import Analysis, analyse
from howdeep.report.page import page
from howdeep.report.report import build_report, write_comparison
from howdeep.results.answers import Answers, check
from howdeep.results.headline import headline
from howdeep.results.inspection import NAMES, NOTHING, TABLES, Inspection
from howdeep.results.scores import rows_of
from howdeep.stages import outlook
from howdeep.stages.described import SHOWN, log_comparison, results_checksum
from howdeep.stages.synchronise import show_study, study_store
from howdeep.study import params
from howdeep.study.recipes import recipes

WIDTH = 100  # characters of a line in a terminal


def compare(project: Project) -> None:
    """Writes results/, the report beside it, and what MLflow shows of the study.

    At its end reports/shown.json says what these show. It is an output of the stage that neither git nor DVC restores,
    so that the stage runs again wherever they have restored other results.
    """
    analysis = _analysis(project)
    write_comparison(analysis, folder=project.results)
    about = _about(project)
    _report(project, analysis, about)
    if store := study_store(project):
        store.close_abandoned()
        show_study(project, store)
        log_comparison(project, store)
    text = page(analysis, **about, provenance={})  # the same on every machine
    shown = {"results": results_checksum(project), "page": hashlib.sha256(text.encode()).hexdigest()}
    write_json(project.reports / SHOWN, shown)
    answer = " ".join(headline(analysis.cells, analysis.verdicts, analysis.against_baselines))
    print(
        f"\n{fill(answer, WIDTH)}\nruns: `howdeep ui` (MLflow), tables: results/tables{outlook.took()}",
        file=sys.stderr,
    )


def report(project: Project) -> None:
    """Rebuilds reports/index.html, with what provenance has."""
    _report(project, _analysis(project), _about(project))


def _analysis(project: Project) -> Analysis:
    found = _records(project)
    plan = params.read(project.params)
    analysis = analyse(
        found,
        _test(project),
        margins=plan.margins,
        artifacts=_artifacts(found, project),
        learning_curves=params.learning_curves(plan.entries.values()),
        recipes=recipes(plan.entries.values()),
        answers=_answers(project),
        inspection=read_inspection(project.results / "inspection"),
        trials={name: trials_of(name, project) for name, entry in plan.entries.items() if entry.tuning},
    )
    if (n_workers := cores()) > 1:
        analysis.draw(n_workers)
    return analysis


def _about(project: Project) -> dict[str, Any]:
    """What the page says beside the results: the name of the study, data cards, the reasons of margins."""
    plan = params.read(project.params)
    cards = {data: project.prepared(data) / "card.json" for data in plan.data}
    return {
        "study": plan.name,
        "cards": {
            data: reading.json_map(card, f"delete it, then `howdeep prepare data={data}`")
            for data, card in cards.items()
            if card.exists()
        },
        "reasons": plan.reasons,
        "claims": _claims(project.results / "claims" / "ledger.csv"),
    }


def _claims(ledger: Path) -> dict[str, tuple[str, str]]:
    """The sentence and the verdict of each claim that was judged, by its name; none where there is no ledger."""
    if not ledger.exists():
        return {}
    try:
        rows = rows_of(pd.read_csv(ledger))
        return {row["claim"]: (row["sentence"], row["verdict"]) for row in rows if not row["control"]}
    except (ValueError, KeyError):
        raise UserError(
            f"expected the ledger of claims in {os.path.relpath(ledger)}, got what cannot be read: take it "
            "from git, or run `make claims`"
        ) from None


def _report(project: Project, analysis: Analysis, about: Mapping[str, Any]) -> None:
    traces = {record["key"]: project.provenance / f"{record['key']}.json" for record in analysis.records}
    path = project.reports / "index.html"
    provenance = {
        key: reading.json_map(trace, "delete it; the report does without")
        for key, trace in traces.items()
        if trace.exists()
    }
    build_report(analysis, **about, provenance=provenance, path=path)
    print(f"report: {os.path.relpath(path)}", file=sys.stderr)


def _records(project: Project) -> list[dict]:
    """The record of every run of the study; one that is missing is an error."""
    plan = params.read(project.params)
    return [
        read_record(project.runs / entry.name / cell.run_name(seed))
        for entry in plan.entries.values()
        for cell, seed in plan.runs(entry)
    ]


def _artifacts(found: list[dict], project: Project) -> Mapping[str, Mapping[str, Any]]:
    """What each run left for galleries, by run key; read when it is asked for, since galleries show a seed a cell."""
    folders = {}
    for record in found:
        cell = Cell(record["data"], record["model"], record["depth"], record["matching"])
        folder = project.runs / record["entry"] / cell.run_name(record["seed"])
        folders[record["key"]] = folder, record.get("files", {})
    return Folders(folders)


def _test(project: Project) -> dict:
    return reading.json_map(project.results / "test.json", "run `dvc repro evaluate`")


def _answers(project: Project) -> Answers:
    """What classifiers answered to each test example."""
    path, again = project.results / "answers.safetensors", "run `dvc repro evaluate`"
    found = check(reading.arrays(path, again), path, again)
    reading.check_file(path, _test(project), again)
    return found


def read_inspection(folder: Path) -> Inspection:
    """What results/inspection holds; nothing if it is not there.

    Raises:
        UserError: a file of it is missing or cannot be read.
    """
    if not folder.exists():
        return NOTHING
    try:
        tables = {name: _inside(folder / f"{name}.csv", {**NAMES, **TABLES[name]}) for name in TABLES}
        return Inspection(tables, _shown_inside(folder / "pictures.safetensors"))
    except (OSError, ValueError, SafetensorError, KeyError, TypeError) as error:
        raise UserError(
            f"expected what `howdeep inspect` writes in {folder}, got a file that cannot be read ({error}): "
            "delete the folder, then `dvc repro inspect`"
        ) from None


def _inside(path: Path, columns: Mapping[str, type]) -> pd.DataFrame:
    """Raises `ValueError` where a column is missing, or holds something else."""
    table = pd.read_csv(path, dtype={name: str for name, kind in columns.items() if kind is str})
    for name, kind in columns.items():
        if name not in table:
            raise ValueError(f"{path.name} lacks the column {name}")
        if len(table) and kind is float and not pd.api.types.is_numeric_dtype(table[name]):
            raise ValueError(f"{name} in {path.name} must hold numbers")
    return table


def _shown_inside(path: Path) -> dict[str, np.ndarray]:
    """Raises `ValueError` where an array has another shape than pictures, or labels, have."""
    found = load_file(path)
    for name, array in found.items():
        if name.count("/") != 3 or array.ndim != (1 if name.endswith("/labels") else 4):
            raise ValueError(f"{path.name} holds {name} of the shape {array.shape}")
    return found
