"""The `evaluate` stage: the only reader of the test examples, once, after everything is chosen."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import numpy as np
import torch
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from howdeep.cluster import address
from howdeep.cluster.elsewhere import Elsewhere
from howdeep.cluster.pool import run_all
from howdeep.data.batches import Batches
from howdeep.data.examples import Examples, Split
from howdeep.files import seals, tensors
from howdeep.files.folders import file_aside
from howdeep.files.project import Project
from howdeep.files.writing import write_sealed
from howdeep.processes.workers import cores
from howdeep.records.record import config_of, load_weights, read_record
from howdeep.results.sample_error import at_moments
from howdeep.runs.examples import data_files, prepared_card, split_of, test_moments
from howdeep.stages.synchronise import study_store
from howdeep.study import params
from howdeep.study.seeds import draws_test
from howdeep.tasks.classification import Classification
from howdeep.tasks.task import SINGLE, Task
from howdeep.tracking.words import ENTRY, KEY, of_test
from howdeep.training.run import EVALUATION_BATCH, build

ANSWERS = "answers.safetensors"


def evaluate(project: Project) -> dict:
    """Test loss and score of every finished run of the study, and of each task's baselines.

    Writes results/test.json: `{"runs": {key: {...}}, "baselines": {data: {name: {"val": ..., "test": ...}}},
    "examples": {entry: n}, "train_examples": {entry: n}, "classes": {entry: [name, ...]}}`, n the number of test and
    of training examples, classes those of classifiers; and results/answers.safetensors, what each classifier answered
    to each test example, see `answers`: `<run key>/predicted` and `<run key>/confidence`, and of each entry the right
    answers, `<entry>/label`; of other tasks `<run key>/score`, see `single_scores`, and `in_time` says of which entries
    the test examples follow one another; those of several series have one score for each moment. Of baselines
    `<data>/<task>/<name>/score`.

    Where each seed drew test examples of its own (`split: all`), a run is scored on those of its seed: then the right
    answers are `<run key>/label`, a baseline has the means over all splits and, in `splits`, the scores on each, by
    seed, and `resampled` says of these entries the number of test examples over that of training examples, by
    which splits overlap; of points of learning curves as of the whole training set. `drawn` says of data sets from how
    many training examples, drawn at random, simple methods learned: of those where it was not all of them.
    """
    plan = params.read(project.params)
    scheduler = address.found(plan.cluster)
    elsewhere = scheduler and Elsewhere(scheduler, project.root, partial(runs_read, plan, project, test=True))
    work, entries = partial(_score, plan, project=project), plan.entries.values()
    found = {entry.name: scored for entry, scored in run_all(work, entries, cores(), elsewhere)}
    of_splits: dict[str, dict[str, dict[int, dict]]] = {}
    for name, entry in plan.entries.items():
        for method, splits in found[name].baselines.items():
            of_splits.setdefault(entry.data, {}).setdefault(method, {}).update(splits)
    baselines = {
        data: {method: _over_splits(splits) for method, splits in methods.items()}
        for data, methods in of_splits.items()
    }
    content = {
        "runs": _by_name(scored.runs for scored in found.values()),
        "baselines": dict(sorted(baselines.items())),
        "examples": {name: found[name].examples for name in sorted(found)},
        "train_examples": {name: found[name].train_examples for name in sorted(found)},
        "in_time": sorted(name for name in found if found[name].in_time),
        "resampled": {name: found[name].resampled for name in sorted(found) if found[name].resampled},
        "classes": {name: found[name].classes for name in sorted(found) if found[name].classes},
    }
    if drawn := {plan.entry(name).data: found[name].drawn for name in sorted(found) if found[name].drawn}:
        content["drawn"] = drawn
    _write(
        project.results / ANSWERS,
        _by_name(scored.answers for scored in found.values()),
    )
    content["files"] = {ANSWERS: seals.checksum(project.results / ANSWERS)}
    write_sealed(project.results / "test.json", content)
    _log(found, project)
    print(f"evaluate: {len(content['runs'])} runs on the test examples", file=sys.stderr)
    return content


def runs_read(plan: params.Study, project: Project, entry: params.Entry, *, test: bool) -> Iterator[Path]:
    """The files of the runs of an entry, and of their examples."""
    seeds = set()
    for cell, seed in plan.runs(entry):
        folder = project.runs / entry.name / cell.run_name(seed)
        record = read_record(folder)
        yield from (folder / name for name in ("record.json", *record["files"]))
        if seed not in seeds:
            seeds.add(seed)
            yield from data_files(config_of(record), project, test=test)


def _by_name(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """All of them in the order of their names; two entries may hold the same run."""
    whole = {name: of for part in parts for name, of in part.items()}
    return {name: whole[name] for name in sorted(whole)}


def _log(found: Mapping[str, "Scored"], project: Project) -> None:
    """Gives the runs in MLflow, and their models, what they reached on the test examples."""
    if not (store := study_store(project)):
        return
    for run in store.find(howdeep__kind="run"):
        of_entry = found.get(run.data.tags.get(ENTRY, ""))
        if of_entry and (measured := of_entry.runs.get(run.data.tags[KEY])):
            store.add(run, of_test(of_entry.score, measured))


@dataclass
class Scored:
    """What `evaluate` finds of one entry, see there; baselines by method and by the seed of the split, and `drawn`,
    from how many training examples they learned, where not from all.
    """

    examples: int
    train_examples: int
    score: str
    in_time: bool = False
    resampled: float = 0.0
    moments: np.ndarray | None = None
    drawn: int = 0
    runs: dict[str, dict[str, float]] = field(default_factory=dict)
    baselines: dict[str, dict[int, dict]] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    answers: dict[str, np.ndarray] = field(default_factory=dict)

    def at_moments(self, single: Tensor) -> np.ndarray:
        """Scores of single examples, (n,), as they are kept."""
        values = single.numpy()
        return (values if self.moments is None else at_moments(values, self.moments)).astype(np.float32)


def _score(plan: params.Study, entry: params.Entry, project: Project) -> Scored:
    torch.set_num_threads(1)  # the rounding depends on it
    scored, ours = None, set()
    for cell, seed in sorted(plan.runs(entry), key=lambda run: entry.seeds.index(run[1])):  # split by split
        folder = project.runs / entry.name / cell.run_name(seed)
        record = read_record(folder)
        cfg = config_of(record)
        split = split_of(record, project, test=True)
        assert split.test is not None
        drawn = plan.split == "all" and draws_test(cfg)
        if scored is None:
            kind, n = get_class(cfg.task._target_), len(split.test[0])
            scored = Scored(n, cfg.train_examples or len(split.train[0]), kind.score_name, kind.in_time)
            scored.moments = test_moments(cfg, project)
            if drawn:
                scored.resampled = n / len(split.train[0])
            ours = _own_baselines(plan, entry, drawn=drawn)
        if seed in ours:
            ours.remove(seed)
            _score_baselines(scored, entry, seed, split, cfg, alone=not drawn)
        if record["state"] != "finished":
            continue
        task = trained_task(cfg, folder, record)
        task.prepare(split)
        scored.runs[record["key"]] = task.measure(Batches(split.test, batch_size=EVALUATION_BATCH))
        if isinstance(task, Classification):
            scored.classes = prepared_card(cfg, project)["classes"]
            whose = record["key"] if drawn else entry.name
            scored.answers[f"{whose}/label"] = split.test[1].short().numpy()
            for name, values in answers(task, split.test).items():
                scored.answers[f"{record['key']}/{name}"] = values.numpy()
        elif (single := single_scores(task, split.test)) is not None:
            scored.answers[f"{record['key']}/score"] = scored.at_moments(single)
    assert scored is not None  # an entry has runs
    return scored


def _own_baselines(plan: params.Study, entry: params.Entry, *, drawn: bool) -> set[int]:
    """The seeds on whose split this entry scores the simple methods: those that no entry before it, with the same data
    and task, has. Where all seeds share the test examples, the first seed of the first entry stands for all.
    """
    alike = [other for other in plan.entries.values() if (other.data, other.task) == (entry.data, entry.task)]
    before = alike[: alike.index(entry)]
    if drawn:
        return set(entry.seeds).difference(*(other.seeds for other in before))
    return set() if before else {entry.seeds[0]}


def _score_baselines(
    scored: Scored, entry: params.Entry, seed: int, split: Split, cfg: DictConfig, *, alone: bool
) -> None:
    """Both scores of each simple method on a split.

    Args:
        alone: whether this is the one split of all runs, whose test examples are scored one by one.
    """
    assert split.test is not None
    kind, model = get_class(cfg.task._target_), cast(dict, OmegaConf.to_container(cfg.model))
    train = kind.learned_from(split.train)
    if len(train[0]) < len(split.train[0]):
        scored.drawn = len(train[0])
    val, test = (kind.baselines(train, held_out, model) for held_out in (split.validation, split.test))
    for name in (name for name in test if name in val):
        scores = test[name]
        single = scores.pop(SINGLE, None)
        if single is not None and alone:
            key = "/".join((entry.data, entry.task, name))
            scored.answers[f"{key}/score"] = scored.at_moments(single)
        val[name].pop(SINGLE, None)
        scored.baselines.setdefault(name, {})[seed] = {"val": val[name], "test": scores}


def _over_splits(splits: Mapping[int, dict[str, dict[str, float]]]) -> dict[str, dict]:
    """The scores of a method: its means over several splits, and those on each by seed."""
    first = next(iter(splits.values()))
    if len(splits) == 1:
        return first
    means = {
        part: {score: fmean(of[part][score] for of in splits.values()) for score in scores}
        for part, scores in first.items()
    }
    return means | {"splits": {str(seed): splits[seed] for seed in sorted(splits)}}


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
    batches = Batches(examples, batch_size=EVALUATION_BATCH)
    pairs = [(task.net(x), task.target(x, y)) for x, y in batches]
    output, target = (torch.cat(part) for part in zip(*pairs, strict=True))
    found = task.single_scores(output, target)
    return None if found is None else found.float()


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays aside and renames the file."""
    with file_aside(path) as aside:
        tensors.write(aside, arrays)


def trained_task(cfg: DictConfig, folder: Path, record: Mapping[str, Any]) -> Task:
    """The task of a run with the weights of its best epoch."""
    net = build(cfg.model)
    load_weights(net, folder, record)
    return build(cfg.task)(net=net, optimizer=None, schedule=None)
