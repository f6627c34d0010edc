"""`howdeep register`: the best networks of each entry in MLflow's registry, under names that servers ask for."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from howdeep.deployment.models import best_run
from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.records.record import config_of, read_record, run_folders
from howdeep.results.model_card import model_card, verdict_of
from howdeep.runs.examples import prepared_card
from howdeep.stages.synchronise import log_best_models, study_store
from howdeep.study import params
from howdeep.tracking import failures, registry
from howdeep.tracking.registry import Version
from howdeep.tracking.words import ENTRY, KEY

TABLES = ("summary.csv", "tables/verdicts.csv", "tables/baselines.csv")


def register(project: Project) -> None:
    """Registers networks of each entry under the name STUDY-ENTRY, each with a model card.

    `champion` is the best by validation, `shallow` the best of the least depth, `deep` that of the largest. What is
    there already is brought up to date.

    Raises:
        UserError: the study was not compared yet, MLflow is switched off or cannot be reached.
    """
    store = study_store(project)
    if store is None:
        raise UserError(
            "expected an address of MLflow in tracking.uri, got null: models are registered there"
        )
    if absent := [name for name in TABLES if not (project.results / name).exists()]:
        raise UserError(
            f"expected results/{absent[0]}, which says what each network is worth, found none: `dvc repro`"
        )
    cells, verdicts, baselines = (pd.read_csv(project.results / name) for name in TABLES)
    plan = params.read(project.params)
    points = {of for curve in params.learning_curves(plan.entries.values()).values() for of in curve}
    for entry in plan.entries.values():
        if entry.name not in set(cells["entry"]):
            if entry.name in points:
                continue  # trained on fewer examples, to draw a curve
            raise UserError(f"expected {entry.name} in results/{TABLES[0]}, found older results: `dvc repro`")
        versions, name = [], f"{plan.name}-{entry.name}"
        folders = list(run_folders(project.runs / entry.name))
        log_best_models([(folder, read_record(folder)) for folder in folders], project, store)
        for folder, aliases in _chosen(project.runs / entry.name, plan.depths).items():
            record = read_record(folder)
            found = store.find(howdeep__kind="run", howdeep__key=record["key"], howdeep__entry=entry.name)
            if not found:
                raise UserError(f"expected the run {record['key']} in MLflow, found none: `howdeep sync`")
            data = prepared_card(config_of(record), project)
            tags = {
                KEY: record["key"], ENTRY: entry.name, "data_digest": data["digest"],
                "verdict": verdict_of(record, verdicts), "depth": str(record["depth"]),
            }  # fmt: skip
            text = model_card(record, data, cells, verdicts, baselines)
            versions.append(Version(found[0].info.run_id, tags, text, aliases))
        try:
            new = registry.register(store.client, name, versions)
        except Exception as error:
            if not failures.is_mlflows(error):
                raise
            raise UserError(
                f"{failures.told(error, store.uri)}: {failures.remedy(error, store.uri)}"
            ) from error
        told = ", ".join(f"models:/{name}@{alias}" for version in versions for alias in version.aliases)
        print(f"{told} ({new} new)", file=sys.stderr)


def _chosen(runs: Path, depths: Sequence[int]) -> dict[Path, list[str]]:
    """The runs of an entry to be registered, each with its aliases."""
    chosen: dict[Path, list[str]] = {}
    wanted = {"champion": None, "shallow": min(depths), "deep": max(depths)}
    for alias, depth in wanted.items():
        chosen.setdefault(best_run(runs, depth), []).append(alias)
    return chosen
