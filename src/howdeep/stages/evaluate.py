"""The `evaluate` stage: the only reader of the test examples, once, after everything is chosen."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import get_class
from omegaconf import DictConfig
from torch import Tensor

from howdeep.data.batches import Batches
from howdeep.data.examples import Examples
from howdeep.files import seals
from howdeep.files.folders import file_aside
from howdeep.files.project import Project
from howdeep.files.writing import write_sealed
from howdeep.processes.workers import cores, run_all
from howdeep.records.record import config_of, load_weights, read_record
from howdeep.runs.examples import load_split, prepared_card
from howdeep.study import params
from howdeep.tasks.classification import Classification
from howdeep.tasks.task import SINGLE, Task
from howdeep.training.run import EVALUATION_BATCH, build

ANSWERS = "answers.safetensors"


def evaluate(project: Project) -> dict:
    """Test loss and score of every finished run of the study, and of each task's baselines.

    Writes results/test.json: `{"runs": {key: {...}}, "baselines": {data: {name: {"val": ..., "test": ...}}},
    "examples": {entry: n}, "train_examples": {entry: n}, "classes": {entry: [name, ...]}}`, n the number of test and
    of training examples, classes those of classifiers; and results/answers.safetensors, what each classifier answered
    to each test example, see `answers`: `<run key>/predicted` and `<run key>/confidence`, and of each entry the right
    answers, `<entry>/label`; of other tasks `<run key>/score`, see `single_scores`, and `in_time` says of which entries
    the test examples follow one another. Of baselines `<data>/<task>/<name>/score`.
    """
    plan = params.read(project.params)
    compared = {(entry.data, entry.task): entry.name for entry in reversed(plan.entries.values())}

    def score(entry: params.Entry) -> Scored:
        return _score(plan, entry, project, baselines=entry.name in compared.values())

    found = {entry.name: scored for entry, scored in run_all(score, plan.entries.values(), cores())}
    baselines: dict[str, dict[str, dict]] = {}
    for name, entry in plan.entries.items():
        baselines.setdefault(entry.data, {}).update(found[name].baselines)
    content = {
        "runs": dict(sorted(run for scored in found.values() for run in scored.runs.items())),
        "baselines": dict(sorted(baselines.items())),
        "examples": {name: found[name].examples for name in sorted(found)},
        "train_examples": {name: found[name].train_examples for name in sorted(found)},
        "in_time": sorted(name for name in found if found[name].in_time),
        "classes": {name: found[name].classes for name in sorted(found) if found[name].classes},
    }
    _write(
        project.results / ANSWERS,
        dict(sorted(answer for scored in found.values() for answer in scored.answers.items())),
    )
    content["files"] = {ANSWERS: seals.checksum(project.results / ANSWERS)}
    write_sealed(project.results / "test.json", content)
    print(f"evaluate: {len(content['runs'])} runs on the test examples", file=sys.stderr)
    return content


@dataclass
class Scored:
    """What `evaluate` finds of one entry, see there."""

    examples: int
    train_examples: int
    in_time: bool = False
    runs: dict[str, dict[str, float]] = field(default_factory=dict)
    baselines: dict[str, dict] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    answers: dict[str, np.ndarray] = field(default_factory=dict)


def _score(plan: params.Study, entry: params.Entry, project: Project, *, baselines: bool) -> Scored:
    torch.set_num_threads(1)  # the rounding depends on it
    scored = None
    for cell, seed in plan.runs(entry):
        folder = project.runs / entry.name / cell.run_name(seed)
        record = read_record(folder)
        cfg = config_of(record)
        split = load_split(cfg, project, test=True)
        assert split.test is not None
        if scored is None:
            in_time = get_class(cfg.task._target_).in_time
            scored = Scored(len(split.test[0]), cfg.train_examples or len(split.train[0]), in_time)
            if baselines:
                of, model = get_class(cfg.task._target_).baselines, record["config"]["model"]
                val, test = (of(split.train, held_out, model) for held_out in (split.validation, split.test))
                for name, of_test in test.items():
                    if (single := of_test.pop(SINGLE, None)) is not None:
                        key = "/".join((entry.data, entry.task, name))
                        scored.answers[f"{key}/score"] = single.float().numpy()
                    val[name].pop(SINGLE, None)
                    scored.baselines[name] = {"val": val[name], "test": of_test}
        if record["state"] != "finished":
            continue
        task = trained_task(cfg, folder, record)
        task.prepare(split)
        scored.runs[record["key"]] = task.measure(Batches(split.test, batch_size=EVALUATION_BATCH))
        if isinstance(task, Classification):
            scored.classes = prepared_card(cfg, project)["classes"]
            scored.answers[f"{entry.name}/label"] = split.test[1].short().numpy()
            for name, values in answers(task, split.test).items():
                scored.answers[f"{record['key']}/{name}"] = values.numpy()
        elif (single := single_scores(task, split.test)) is not None:
            scored.answers[f"{record['key']}/score"] = single.numpy()
    assert scored is not None  # an entry has runs
    return scored


@torch.no_grad()
def answers(task: Task, examples: Examples) -> dict[str, Tensor]:
    """What a classifier says of each example: `predicted` (n,) int16, the class of the largest logit, and
    `confidence` (n,) float32, the probability that softmax gives it.
    """
    task.eval()
    logits = torch.cat([task.net(x) for x, _ in Batches(examples, batch_size=EVALUATION_BATCH)])
    confidence, predicted = logits.softmax(1).max(1)
    return {"predicted": predicted.short(), "confidence": confidence}


@torch.no_grad()
def single_scores(task: Task, examples: Examples) -> Tensor | None:
    """The score of each example, (n,) float32; None where a score is none's alone."""
    task.eval()
    batches = list(Batches(examples, batch_size=EVALUATION_BATCH))
    output = torch.cat([task.net(x) for x, _ in batches])
    found = task.single_scores(output, torch.cat([task.target(x, y) for x, y in batches]))
    return None if found is None else found.float()


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays aside and renames the file."""
    from safetensors.numpy import save

    with file_aside(path) as aside:
        aside.write_bytes(save(arrays))


def trained_task(cfg: DictConfig, folder: Path, record: Mapping[str, Any]) -> Task:
    """The task of a run with the weights of its best epoch."""
    net = build(cfg.model)
    load_weights(net, folder, record)
    return build(cfg.task)(net=net, optimizer=None, schedule=None)
