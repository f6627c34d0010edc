"""The stages of a claim: `plan`, `tune`, `train` and `judge`, those of a study for the claim's arms."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import get_class

from howdeep.errors import UserError, near
from howdeep.files import reading
from howdeep.files.folders import file_aside
from howdeep.files.project import Project
from howdeep.files.writing import write_json, write_sealed, yaml_text
from howdeep.processes.workers import cores, run_all
from howdeep.records.cell import run_name
from howdeep.records.record import config_of, read_record
from howdeep.results.claims import FAILED, Judged, contrast, detectable, judge
from howdeep.results.statistics import Interval
from howdeep.runs.examples import recipe
from howdeep.study import claim as declared
from howdeep.study import params
from howdeep.study.claim import Claim, Estimand, Place
from howdeep.study.composition import Compositions
from howdeep.study.seeds import of_seed

JUDGED, MADE_OF = "judged.json", "data.json"
PILOT = "INCONCLUSIVE (pilot)"  # of seeds on which the claim was planned


def plan_claim(name: str, project: Project) -> None:
    """Writes the study of a claim, claims/NAME/params.yaml, and its plans.

    Raises:
        UserError: a declaration that is wrong, arms that cannot be composed, a metric that no run of them has, too few
            seeds for the effect that the claim is about.
    """
    claim, mode = declared.read(name, project.claims), declared.ledger(project.claims).claims
    own = project.claim(name)
    check_power(claim)
    with _of(name):
        with file_aside(own.params) as aside:
            aside.write_text(
                f"# Made of claims/{name}.yaml by `howdeep claim-plan`.\n{yaml_text(claim.study(mode))}"
            )
        plan = params.read(own.params)
        _check_metric(claim, plan, own)
        from howdeep.stages.plan import plan as plan_study

        plan_study(own)
        write_json(own.home / MADE_OF, _made_of(plan, own))


def check_power(claim: Claim) -> None:
    """Refuses a declaration whose seeds would miss the effect that it is about.

    Raises:
        UserError: they find a larger one only.
    """
    n = len(claim.seeds.confirmation)
    smallest = detectable(claim.power.standard_deviation, n)
    if smallest > claim.power.effect:
        raise UserError(
            f"claims/{claim.name}.yaml: expected seeds that find power.effect, {claim.power.effect:g}, in four of five "
            f"studies, but {n} of them find {smallest:.3g} only: declare more seeds, or a larger effect"
        )


@contextmanager
def _of(name: str) -> Iterator[None]:
    """Tells a mistake as one of the declaration, which people wrote, rather than of the params.yaml made of it."""
    try:
        yield
    except UserError as error:
        told = str(error).replace(f" (in entries.{name}-", " (in the arm ").replace(" of params.yaml)", ")")
        told = told.replace(f"entries.{name}-", "arms.").replace(" in params.yaml", "")
        raise UserError(f"claims/{name}.yaml: {told}") from None


def _check_metric(claim: Claim, plan: params.Study, own: Project) -> None:
    from howdeep.inspection.measures import MEASURES

    kind, _, metric = claim.estimand.metric.partition("/")
    for entry in plan.entries.values():
        cell = next(plan.cells(entry))
        cfg = Compositions(own.conf, own.compositions).of(plan.overrides(entry, cell))
        task = get_class(cfg.task._target_)
        inside = tuple(function.__name__ for function in MEASURES)
        known = declared.known_metrics(task.score_name, task.more_score_names, inside)[kind]
        if metric not in known:
            raise UserError(
                f"estimand.metric names the unknown metric '{claim.estimand.metric}'"
                f"{near(claim.estimand.metric, [f'{kind}/{name}' for name in known])}"
            )


def _made_of(plan: params.Study, own: Project) -> dict[str, dict[str, str]]:
    """Digests of what the data of each arm are prepared from, by seed: where they change, everything runs again."""
    found = {}
    for entry in plan.entries.values():
        cfg = Compositions(own.conf, own.compositions).of(plan.overrides(entry, next(plan.cells(entry))))
        found[entry.name] = {str(seed): recipe(of_seed(cfg, seed, plan.split).data) for seed in entry.seeds}
    return found


def tune_claim(name: str, project: Project, n_workers: int | None = None) -> None:
    """Tunes every arm, if the claim asks for it."""
    from howdeep.stages.tune import tune_entry

    own = _planned(name, project)
    with _of(name):
        for entry in params.read(own.params).entries:
            tune_entry(entry, own, n_workers)


def train_claim(name: str, project: Project, n_workers: int | None = None) -> None:
    """Trains the missing runs of every arm."""
    from howdeep.stages.train import train_entry

    own = _planned(name, project)
    with _of(name):
        for entry in params.read(own.params).entries:
            train_entry(entry, own, n_workers)


def _planned(name: str, project: Project) -> Project:
    own = project.claim(name)
    declared.read(name, project.claims)
    if not own.params.exists():
        raise UserError(
            f"expected the plan of the claim {name} in {own.home}, found none: run `howdeep claim-plan {name}`"
        )
    return own


def judge_claim(name: str, project: Project) -> dict[str, Any]:
    """Measures the runs of a claim and writes claims/NAME/judged.json: each value, the contrast, the verdict.

    Raises:
        UserError: a run is missing.
    """
    claim, own = declared.read(name, project.claims), _planned(name, project)
    plan = params.read(own.params)
    with _of(name):
        records = {
            (arm, depth, seed): read_record(
                own.runs / claim.entry(arm) / run_name(depth, claim.matching, seed)
            )
            for arm in claim.arms
            for depth in claim.depths
            for seed in plan.entries[claim.entry(arm)].seeds
        }
        values = _measured(claim, records, own)
    rows = [
        {
            "arm": arm,
            "depth": depth,
            "seed": seed,
            "key": record["key"],
            "state": record["state"],
            "value": value,
        }
        for ((arm, depth, seed), record), value in zip(records.items(), values, strict=True)
    ]
    judged, seeds, of_seeds = verdict_of(claim, rows)
    reason = _reason(claim, records) if judged.verdict == FAILED else None
    content = {
        "claim": name,
        "declaration": claim.digest,
        "mode": declared.ledger(project.claims).claims,
        "values": rows,
        "contrast": dict(zip(map(str, seeds), of_seeds.tolist(), strict=True)),
        **as_json(judged),
        "reason": reason,
    }
    write_sealed(own.home / JUDGED, content)
    spread = f", standard deviation {np.nanstd(of_seeds, ddof=1):.3g}" if judged.verdict == PILOT else ""
    print(f"{name}: {told(claim, judged)}{spread}", file=sys.stderr)
    return content


def as_json(judged: Judged) -> dict[str, Any]:
    """As judged.json has it."""
    return judged._asdict() | {"interval": list(judged.interval)}


def told(claim: Claim, judged: Judged) -> str:
    """'SUPPORTED, 0.21 [0.18, 0.24] of 10 seeds'."""
    mean, low, high = judged.interval
    return f"{judged.verdict}, {mean:.3g} [{low:.3g}, {high:.3g}] {claim.estimand.unit}, {judged.n} seeds"


def verdict_of(claim: Claim, rows: Iterable[Mapping[str, Any]]) -> tuple[Judged, list[int], np.ndarray]:
    """The verdict that the values of runs give, with the seeds and their contrasts; none on seeds of the exploration.

    Args:
        rows: arm, depth, seed and value of each run; a value is None where the run diverged.
    """
    found: dict[tuple[str, int], dict[int, float]] = {}
    for row in rows:
        value = np.nan if row["value"] is None else float(row["value"])
        found.setdefault((row["arm"], row["depth"]), {})[row["seed"]] = value
    seeds = sorted({seed for of in found.values() for seed in of})

    def cells(places: list[Place]) -> list[list[float]]:
        return [[found[place.arm, place.depth].get(seed, np.nan) for seed in seeds] for place in places]

    plus, minus = cells(claim.contrast.plus), cells(claim.contrast.minus)
    values = contrast(plus, minus)
    judged = judge(
        values.tolist(),
        claim.supports.ends,
        claim.refutes.ends,
        spread=claim.power.standard_deviation,
        effect=claim.power.effect,
    )
    if any(np.isnan(cell).all() for cell in (*plus, *minus)):
        judged = judged._replace(verdict=FAILED, interval=Interval(np.nan, np.nan, np.nan))
    elif not set(seeds) <= set(claim.seeds.confirmation):
        judged = judged._replace(verdict=PILOT)
    return judged, seeds, values


def _reason(claim: Claim, records: Mapping[tuple[str, int, int], dict]) -> str:
    """Why nothing is there of a cell of the contrast."""
    for place in claim.contrast.places():
        cell = [of for (arm, depth, _), of in records.items() if (arm, depth) == (place.arm, place.depth)]
        if all(record["state"] != "finished" for record in cell):
            return f"{place.arm} at depth {place.depth} diverged with every seed: {cell[0]['reason']}"
    return "a measure has no value with any seed"


def _measured(claim: Claim, records: Mapping[tuple[str, int, int], dict], own: Project) -> list[float | None]:
    """The estimand of each run, in the order of the records."""
    kind, _, metric = claim.estimand.metric.partition("/")
    if kind == "inside":
        found = _inside(claim, metric, records, own)
    elif kind == "test":
        from howdeep.stages.evaluate import evaluate

        scored = evaluate(own)
        found = {
            place: scored["runs"].get(record["key"], {}).get(metric) for place, record in records.items()
        }
        if method := claim.estimand.against:
            known = _baseline(scored["baselines"], method, metric, claim)
            found = {place: None if value is None else value - known for place, value in found.items()}
    else:
        found = {place: _of_record(record, claim.estimand, kind, metric) for place, record in records.items()}
    return [_scaled(found.get(place), claim.estimand.scale) for place in records]


def _baseline(baselines: Mapping[str, Any], method: str, metric: str, claim: Claim) -> float:
    """What a simple method reaches on the claim's test examples.

    Raises:
        UserError: the task has no such method.
    """
    methods = baselines[claim.data]
    if method not in methods:
        raise UserError(f"estimand.against names the unknown method '{method}'{near(method, methods)}")
    return methods[method]["test"][metric]


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


def _inside(
    claim: Claim, metric: str, records: Mapping[tuple[str, int, int], dict], own: Project
) -> dict[tuple[str, int, int], float]:
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


def read_judged(name: str, project: Project) -> dict[str, Any] | None:
    """What judged.json of a claim holds; None where it was not judged yet.

    Raises:
        UserError: it cannot be read.
    """
    path = project.claim(name).home / JUDGED
    return (
        reading.json_map(path, f"delete it, then `dvc --cd claims repro judge@{name}`")
        if path.exists()
        else None
    )
