"""The `plan` stage: what each entry of params.yaml computes, each in a file of its own.

DVC compares these files where it would else compare dozens of sources and YAML files for each entry: it reruns an entry
if its plan is another one, whatever was edited.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

import howdeep.training
from howdeep.cluster import address
from howdeep.cluster.elsewhere import Elsewhere
from howdeep.cluster.pool import run_all
from howdeep.errors import UserError
from howdeep.files.folders import PLANS, written_aside
from howdeep.files.project import Project
from howdeep.processes.workers import cores
from howdeep.records.cell import Cell
from howdeep.records.fingerprint import checksum, code_checksum, settings
from howdeep.results.measures import margin_of, measure
from howdeep.runs.examples import recipe
from howdeep.stages import outlook
from howdeep.study import params, tuning
from howdeep.study.composition import Compositions
from howdeep.study.seeds import draws_test, of_seed

Setting = tuple[Cell, str]  # with the name of an optimizer, none where nothing is tuned


def plan(project: Project) -> params.Study:
    """Composes every cell of the study and writes plans/, whole or not at all.

    Returns:
        The study.

    Raises:
        UserError: an entry that cannot be composed, or trained.
    """
    found = params.read(project.params)
    entries = found.entries.values()
    scheduler = address.found(found.cluster)
    elsewhere = scheduler and Elsewhere(
        scheduler, project.root, lambda _: sorted(project.conf.rglob("*.yaml"))
    )
    work = partial(of_entry, found, project=project)
    plans = {e.name: plan for e, plan in run_all(work, entries, cores(), elsewhere)}
    with written_aside(project.plans, PLANS) as aside:
        (aside / "seeds").mkdir()  # apart: no tuning depends on them
        for name, content in plans.items():
            (aside / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
            seeds = _seeds(found, found.entry(name), project)
            (aside / "seeds" / f"{name}.json").write_text(json.dumps(seeds, indent=1) + "\n")
    runs = [(entry.name, cell, seed) for entry in entries for cell, seed in found.runs(entry)]
    cells = {(name, cell) for name, cell, _ in runs}
    print(
        f"plan: {len(entries)} entries, {len(cells)} cells, {len(runs)} runs{outlook.changed(found, project)}",
        file=sys.stderr,
    )
    if found.split == "all" and (kept := _with_one_test(found, project)):
        print(
            f"plan: split: all leaves the test examples of {', '.join(kept)} as they are, official or the last in time",
            file=sys.stderr,
        )
    return found


def _seeds(plan: params.Study, entry: params.Entry, project: Project) -> dict[str, Any]:
    """The seeds of an entry and, where each has a test part of its own, what its split is made of."""
    content: dict[str, Any] = {"split": plan.split, "seeds": entry.seeds}
    cfg = _any_config(plan, entry, project)
    if plan.split == "all" and draws_test(cfg):
        content["prepared"] = {seed: recipe(of_seed(cfg, seed, plan.split).data) for seed in entry.seeds}
    return content


def _with_one_test(plan: params.Study, project: Project) -> list[str]:
    """The data sets whose test examples no seed draws."""
    entries = {entry.data: entry for entry in plan.entries.values()}
    return [data for data in sorted(entries) if not draws_test(_any_config(plan, entries[data], project))]


def _any_config(plan: params.Study, entry: params.Entry, project: Project) -> DictConfig:
    compositions = Compositions(project.conf, project.compositions)
    return compositions.of(plan.overrides(entry, next(plan.cells(entry))))


def of_entry(plan: params.Study, entry: params.Entry, project: Project) -> dict[str, Any]:
    """How an entry is tuned, and its configs, each with a checksum of the sources that it uses."""
    cells: dict[str, list[dict]] = {}
    for (cell, _), cfg in configs(plan, entry, project).items():
        _check(entry, cfg, plan.margins, build=cell.name not in cells)
        cells.setdefault(cell.name, []).append({"config": settings(cfg), "code": code_checksum(cfg)})
    tune = (
        asdict(entry.tuning)
        | {"code": checksum([Path(tuning.__file__), Path(howdeep.training.__file__).with_name("trial.py")])}
        if entry.tuning
        else None
    )
    return {"tune": tune, "cells": cells}


def _check(entry: params.Entry, cfg: DictConfig, margins: Mapping[str, float], *, build: bool) -> None:
    """Refuses what the training or the comparison would refuse hours later.

    A network is built without memory, and nothing is drawn.

    Raises:
        UserError: a setting that cannot be trained or a score that cannot be judged, with the entry that has it.
    """
    import torch

    from howdeep.training.run import prepare_task
    from howdeep.training.settings import check_settings

    try:
        if build:
            with torch.device("meta"):
                score = prepare_task(cfg).score_name
            measure(score)
            margin_of(score, margins)
        else:
            check_settings(cfg)
    except UserError as error:
        raise UserError(f"{error} (in entries.{entry.name} of params.yaml)") from None


def configs(plan: params.Study, entry: params.Entry, project: Project) -> dict[Setting, DictConfig]:
    """The config of each cell with each optimizer that its tuning tries.

    Deepest first: the longest trainings must not come last.
    """
    compositions = Compositions(project.conf, project.compositions)
    chosen = {name: [f"optimizer={name}"] for name in entry.tuning.optimizers} if entry.tuning else {"": []}
    return {
        (cell, name): compositions.of(plan.overrides(entry, cell, overrides))
        for cell in plan.cells(entry)
        for name, overrides in chosen.items()
    }
