"""`howdeep compare --replicate`: the study once more with new seeds, in a project of its own below this one.

Everything that a seed decides is drawn anew: initial weights, the order of examples, splits that are drawn by seed, and
the tuning. What repeats does not hang on luck.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from howdeep.errors import UserError
from howdeep.files import reading
from howdeep.files.folders import file_aside
from howdeep.files.project import Project
from howdeep.files.writing import yaml_text
from howdeep.names import LONGEST
from howdeep.processes.locks import only_writer
from howdeep.results.replication import repeats, told
from howdeep.stages.compare import compare
from howdeep.stages.evaluate import evaluate
from howdeep.stages.plan import plan
from howdeep.stages.train import train_entry
from howdeep.stages.tune import tune_entry
from howdeep.study import params

FOLDER, MARK = (
    "replication",
    "# Made by `howdeep compare --replicate`: the study of params.yaml with new seeds.\n",
)
VERDICTS = "tables/verdicts.csv"


def replicate(project: Project) -> str:
    """Runs the study with new seeds, or goes on where that was stopped, and tells which verdicts repeat, as Markdown.

    Raises:
        UserError: the study has no verdicts yet, or somebody's own files lie where the second one goes.
    """
    first = project.results / VERDICTS
    if not first.exists():
        raise UserError(f"expected the verdicts of this study in {first}, found none: run `dvc repro`")
    again = Project(project.root / FOLDER)
    with only_writer(project.lock("study", FOLDER), f"{FOLDER}/"):
        _prepare(project, again)
        plan(again)
        study = params.read(again.params)
        for name, entry in study.entries.items():
            if entry.tuning is not None:
                tune_entry(name, again)
            train_entry(name, again)
        evaluate(again)
        compare(again)
    return told(repeats(*(pd.read_csv(of) for of in (first, again.results / VERDICTS))))


def _prepare(project: Project, again: Project) -> None:
    """A project with this one's configs and data, and a params.yaml of its own."""
    there = again.root.is_symlink() or again.root.exists()
    if there and not (again.params.is_file() and again.params.read_text().startswith(MARK)):
        raise UserError(
            f"expected the replication of this study in {again.root}, or nothing, found what howdeep did not make: "
            "move it away, then try again"
        )
    again.root.mkdir(exist_ok=True)
    text = MARK + yaml_text(with_new_seeds(reading.yaml_of(project.params)))
    with file_aside(again.params) as aside:
        aside.write_text(text)
    for name in ("conf", "data"):
        if not (again.root / name).is_symlink():
            (again.root / name).symlink_to(Path("..", name))


def with_new_seeds(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a params.yaml in which no seed is one that it had."""
    nodes = [content, *content["entries"].values()]
    beyond = 1 + max(seed for node in nodes for seed in node.get("seeds") or ())

    def moved(node: dict[str, Any]) -> dict[str, Any]:
        return (
            node | {"seeds": [beyond + seed for seed in node["seeds"]]} if node.get("seeds") else dict(node)
        )

    name = f"{content['study'][: LONGEST - 6]}-again"
    entries = {of: moved(entry) for of, entry in content["entries"].items()}
    return moved(content) | {"study": name, "entries": entries}
