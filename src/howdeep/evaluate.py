"""The `evaluate` stage: the only reader of the test examples, once, after everything is chosen."""

import os
from pathlib import Path

import torch
from hydra.utils import get_class
from omegaconf import DictConfig
from torch import Tensor

from howdeep import records, stored, study
from howdeep.data.batches import Batches
from howdeep.data.examples import Examples
from howdeep.prepare import load_split, prepared_card
from howdeep.project import Project
from howdeep.tasks.classification import Classification
from howdeep.tasks.task import Task
from howdeep.training.run import EVALUATION_BATCH, build


def evaluate(project: Project) -> dict:
    """Test loss and score of every finished run of the study, and of each task's baselines.

    Writes results/test.json: `{"runs": {key: {...}}, "baselines": {data: {name: {"val": ..., "test": ...}}},
    "examples": {entry: n}, "train_examples": {entry: n}, "classes": {entry: [name, ...]}}`, n the number of test and
    of training examples, classes those of classifiers; and results/answers.safetensors, what each classifier answered
    to each test example, see `answers`: `<run key>/predicted` and `<run key>/confidence`, and of each entry the right
    answers, `<entry>/label`.
    """
    plan = study.read(project.params)
    runs: dict[str, dict[str, float]] = {}
    baselines: dict[str, dict[str, dict]] = {}
    examples: dict[str, int] = {}
    train_examples: dict[str, int] = {}
    classes: dict[str, list[str]] = {}
    answered: dict[str, Tensor] = {}
    compared: set[tuple[str, str]] = set()  # (data, task)
    for entry in plan.entries.values():
        for cell, seed in plan.runs(entry):
            folder = project.runs / entry.name / cell.run_name(seed)
            record = records.read(folder)
            cfg = records.config_of(record)
            split = load_split(cfg, project, test=True)
            assert split.test is not None
            examples[entry.name] = len(split.test[0])
            train_examples[entry.name] = cfg.train_examples or len(split.train[0])
            if record["state"] == "finished":
                task = trained_task(cfg, folder)
                task.prepare(split)
                runs[record["key"]] = task.measure(Batches(split.test, batch_size=EVALUATION_BATCH))
                if isinstance(task, Classification):
                    classes[entry.name] = prepared_card(cfg, project)["classes"]
                    answered[f"{entry.name}/label"] = split.test[1].short()
                    found = answers(task, split.test)
                    answered |= {f"{record['key']}/{name}": values for name, values in found.items()}
            if (entry.data, entry.task) not in compared:
                compared.add((entry.data, entry.task))
                of, model = get_class(cfg.task._target_).baselines, record["config"]["model"]
                val, test = (of(split.train, held_out, model) for held_out in (split.validation, split.test))
                baselines.setdefault(entry.data, {}).update(
                    {name: {"val": val[name], "test": test[name]} for name in val}
                )
    content = {
        "runs": dict(sorted(runs.items())),
        "baselines": dict(sorted(baselines.items())),
        "examples": dict(sorted(examples.items())),
        "train_examples": dict(sorted(train_examples.items())),
        "classes": dict(sorted(classes.items())),
    }
    _write(project.results / "answers.safetensors", answered)
    records.write_json(project.results / "test.json", content)
    return content


@torch.no_grad()
def answers(task: Task, examples: Examples) -> dict[str, Tensor]:
    """What a classifier says of each example: `predicted` (n,) int16, the class of the largest logit, and
    `confidence` (n,) float32, the probability that softmax gives it.
    """
    task.eval()
    logits = torch.cat([task.net(x) for x, _ in Batches(examples, batch_size=EVALUATION_BATCH)])
    confidence, predicted = logits.softmax(1).max(1)
    return {"predicted": predicted.short(), "confidence": confidence}


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    """Writes tensors aside and renames the file."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(dict(sorted(tensors.items())), aside)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def trained_task(cfg: DictConfig, folder: Path) -> Task:
    """The task of a run with the weights of its best epoch."""
    net = build(cfg.model)
    stored.load_weights(net, folder / "weights.safetensors")
    return build(cfg.task)(net=net, optimizer=None, schedule=None)
