"""What a claim measures of each of its runs: of the test examples, of an epoch, of its cost, or inside the network."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from howdeep.errors import UserError, near
from howdeep.files.project import Project
from howdeep.processes.workers import cores, run_all
from howdeep.records.cell import run_name
from howdeep.records.record import config_of
from howdeep.study.claim import Claim
from howdeep.study.claim_parts import Estimand, known_metrics

if TYPE_CHECKING:  # a claim is planned without torch
    from howdeep.data.examples import Examples

Cell = tuple[str, int]  # arm, depth
ATTRIBUTIONS = "inside/attribution_agreement", "inside/attribution_without_training"
Records = Mapping[tuple[str, int, int], dict[str, Any]]  # by arm, depth and seed


def metrics_of(task: str, metric: str) -> list[str]:
    """The metrics of the same kind that runs of a task have.

    Args:
        task: where its class is.
        metric: KIND/NAME.
    """
    from howdeep.inspection.measures import MEASURES

    kind, of = metric.partition("/")[0], get_class(task)
    inside = tuple(function.__name__ for function in MEASURES)
    return [f"{kind}/{name}" for name in known_metrics(of.score_name, of.more_score_names, inside)[kind]]


def lacks(metric: str, cfg: DictConfig) -> str | None:
    """What a network would have to be for a measure inside of it, where this one is not; None where it is."""
    task, model = (str(of._target_).rpartition(".")[2] for of in (cfg.task, cfg.model))
    if metric == "inside/attention_on_marks" and (model, cfg.data.name) != ("Transformer", "adding"):
        return f"a transformer on the adding problem, got {model} on {cfg.data.name}"
    attributed = metric in ("inside/completeness_error", *ATTRIBUTIONS)
    if attributed and (task != "Classification" or cfg.data.vocabulary is not None):
        return f"a classifier of numbers, got {task} of {cfg.data.name}"
    return None


def measured(claim: Claim, records: Records, own: Project) -> list[dict[str, Any]]:
    """A row a run and metric: metric, arm, depth, seed, key, state, value; None where there is no value."""
    tests = cache(lambda: _scored(own))
    rows = []
    for estimand, cells in wanted(claim, {(arm, depth) for arm, depth, _ in records}):
        here = {
            place: record
            for place, record in records.items()
            if place[:2] in cells and estimand.metric in metrics_of(_task(record), estimand.metric)
        }
        values = _values(claim, estimand, here, own, tests)
        rows += [
            {
                "metric": estimand.label,
                "arm": arm,
                "depth": depth,
                "seed": seed,
                "key": record["key"],
                "state": record["state"],
                "value": _scaled(values.get((arm, depth, seed)), estimand.scale),
            }
            for (arm, depth, seed), record in here.items()
        ]
    return rows


def wanted(claim: Claim, cells: Iterable[Cell]) -> list[tuple[Estimand, set[Cell]]]:
    """Each measure and the cells of it: all for the verdict's and those of a scatter, else those of its contrasts."""
    all_, scatter = set(cells), claim.scatter
    found = {
        of.label: (of, set(all_)) for of in (claim.estimand, *((scatter.x, scatter.y) if scatter else ()))
    }
    for of in claim.further:
        named, estimand = {(place.arm, place.depth) for place in of.places()}, claim.estimand_of(of)
        if named <= all_:  # a quick run has the cells of the verdict alone
            found.setdefault(estimand.label, (estimand, set()))[1].update(named)
    return list(found.values())


def _task(record: dict) -> str:
    return config_of(record).task._target_


def _scored(own: Project) -> Mapping[str, Mapping[str, float]]:
    from howdeep.stages.evaluate import evaluate

    return evaluate(own)["runs"]


def _values(
    claim: Claim, estimand: Estimand, records: Records, own: Project, tests: Callable
) -> Mapping[tuple[str, int, int], float | None]:
    """The estimand of each run, before it is scaled."""
    kind, _, metric = estimand.metric.partition("/")
    if kind == "inside":
        return _inside(claim, metric, records, own)
    if kind != "test":
        return {place: _of_record(record, estimand, kind, metric) for place, record in records.items()}
    found = {place: tests().get(record["key"], {}).get(metric) for place, record in records.items()}
    if (method := estimand.against) is None:
        return found
    first: dict[str, dict] = {}
    for (arm, _, _), record in records.items():
        first.setdefault(arm, record)
    known = {arm: _baseline(record, method, metric, own) for arm, record in first.items()}
    return {place: None if value is None else value - known[place[0]] for place, value in found.items()}


def _baseline(record: dict, method: str, metric: str, own: Project) -> float:
    """What a simple method reaches on the test examples of a run.

    Raises:
        UserError: the task has no such method.
    """
    from howdeep.runs.examples import split_of

    split = split_of(record, own, test=True)
    assert split.test is not None
    return float(_by_method(method, config_of(record), split.train, split.test)[metric])


def check_method(method: str, cfg: DictConfig, own: Project) -> None:
    """Refuses a simple method that a task does not have, before anything is trained; opens no test examples.

    Raises:
        UserError: it has others.
    """
    from howdeep.runs.examples import ensure_prepared, load_split

    ensure_prepared(cfg.data, own)
    split = load_split(cfg, own)
    _by_method(method, cfg, split.train, split.validation)


def _by_method(method: str, cfg: DictConfig, train: "Examples", held_out: "Examples") -> Mapping[str, float]:
    kind, model = get_class(cfg.task._target_), cast(dict, OmegaConf.to_container(cfg.model))
    methods = kind.baselines(kind.learned_from(train), held_out, model)
    if method not in methods:
        raise UserError(f"estimand.against names the unknown method '{method}'{near(method, methods)}")
    return methods[method]


def _of_record(record: Mapping[str, Any], estimand: Estimand, kind: str, metric: str) -> float | None:
    if kind == "cost":
        return record["cost"][metric]
    if record["state"] != "finished":
        return None
    if kind == "gap" and estimand.at != "first":  # gaps are looked at in some epochs only, but in these two
        return record["gap"][estimand.at].get(metric)
    epoch = {"best": record["best_epoch"], "last": -1, "first": 0}[estimand.at]
    return record["epochs"][epoch].get(f"{kind}/{metric}")


def _scaled(value: float | None, scale: str) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    if scale == "linear":
        return float(value)
    return float(np.log10(max(value, np.finfo(np.float32).tiny)))


def _inside(claim: Claim, metric: str, records: Records, own: Project) -> dict[tuple[str, int, int], float]:
    """What a function of `inspection.measures` says of each run that finished."""
    cells: dict[tuple[str, int], list[tuple[int, dict]]] = {}
    for (arm, depth, seed), record in records.items():
        if record["state"] == "finished":
            cells.setdefault((arm, depth), []).append((seed, record))

    def work(cell: tuple[str, int]) -> list[float]:
        import torch

        from howdeep.inspection import measures

        torch.set_num_threads(1)  # the rounding depends on it
        function = next(of for of in measures.MEASURES if of.__name__ == metric)
        arm, depth = cell
        folder = own.runs / claim.entry(arm)
        return function(
            [
                _trained(folder / run_name(depth, claim.matching, seed), record, own)
                for seed, record in cells[cell]
            ]
        )

    found = {}
    for (arm, depth), values in run_all(work, list(cells), cores()):
        for (seed, _), value in zip(cells[arm, depth], values, strict=True):
            found[arm, depth, seed] = value
    return found


def _trained(folder: Path, record: dict, own: Project) -> Any:
    import torch

    from howdeep.diagnostics.gradients import gradient_flow
    from howdeep.inspection.measures import Trained
    from howdeep.runs.examples import split_of
    from howdeep.stages.evaluate import trained_task
    from howdeep.stages.inspect import UNTRAINED, _reader
    from howdeep.training.seeding import seed_everything
    from howdeep.training.settings import build

    cfg, split = config_of(record), split_of(record, own)
    seed_everything(cfg.seed, 0)  # as `prepare_task` does
    start = build(cfg.task)(net=build(cfg.model), optimizer=None, schedule=None)
    start.prepare(split)
    n = cfg.diagnostics.gradient_examples
    flow = gradient_flow(start, (split.train[0][:n], split.train[1][:n]))
    seed_everything(UNTRAINED, record["seed"])
    other = build(cfg.model)
    norms = torch.tensor([float(row["activation_gradient"]) for row in flow], dtype=torch.float64)
    trained = trained_task(cfg, folder, record).net
    return Trained(_reader(trained).eval(), _reader(start.net).eval(), _reader(other).eval(), split, norms)
