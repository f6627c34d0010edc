"""The stages of a claim: `plan`, `tune`, `train` and `judge`, those of a study for the claim's arms."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from omegaconf import DictConfig

from howdeep.errors import UserError, near
from howdeep.files import reading
from howdeep.files.folders import file_aside
from howdeep.files.project import Project
from howdeep.files.writing import write_json, write_sealed, yaml_text
from howdeep.records.cell import run_name
from howdeep.records.record import read_record
from howdeep.records.trials import trials_of
from howdeep.results.claims import FAILED, Judged, contrast, detectable, judge
from howdeep.results.statistics import Interval, mean_interval
from howdeep.runs.examples import recipe
from howdeep.stages import estimands
from howdeep.stages.synchronise import tested
from howdeep.study import claim as declared
from howdeep.study import params
from howdeep.study.claim import Claim
from howdeep.study.claim_parts import Contrast, Estimand, Further, Place
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
        _check_metrics(claim, plan, own)
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


def _check_metrics(claim: Claim, plan: params.Study, own: Project) -> None:
    """Refuses a metric that an arm of its contrast does not have, or of a scatter no arm."""
    for where, estimand, arm, entry in _measured(claim, plan):
        metric, cfg = estimand.metric, _config_of(entry, plan, own)
        known = estimands.metrics_of(cfg.task._target_, metric)
        if metric not in known:
            raise UserError(f"{where}.metric names the unknown metric '{metric}'{near(metric, known)}")
        if wanted := estimands.lacks(metric, cfg):
            raise UserError(f"{where}.metric is {metric}, which expects {wanted} (in the arm {arm})")
    for axis in ("x", "y") if claim.scatter else ():
        metric = getattr(claim.scatter, axis).metric
        tasks = {_config_of(entry, plan, own).task._target_ for entry in plan.entries.values()}
        known = {name for task in tasks for name in estimands.metrics_of(task, metric)}
        if metric not in known:
            raise UserError(f"scatter.{axis}.metric names the unknown metric '{metric}'{near(metric, known)}")


def _measured(claim: Claim, plan: params.Study) -> Iterator[tuple[str, Estimand, str, params.Entry]]:
    """What each contrast measures of its arms, and where that is declared."""
    further = [(of, f"further '{of.text}': estimand") for of in claim.further]
    for of, where in [(claim.contrast, "estimand"), *further]:
        for arm in {place.arm: None for place in of.places()}:
            if entry := plan.entries.get(claim.entry(arm)):  # a quick run has the arms of the verdict alone
                yield where, claim.estimand_of(of), arm, entry


def _check_methods(claim: Claim, plan: params.Study, own: Project) -> None:
    """Refuses a simple method, to which a contrast compares its arms, that their tasks do not have."""
    for _, estimand, _, entry in _measured(claim, plan):
        if estimand.against is not None:
            cfg = of_seed(_config_of(entry, plan, own), entry.seeds[0], plan.split)
            estimands.check_method(estimand.against, cfg, own)


def _config_of(entry: params.Entry, plan: params.Study, own: Project) -> DictConfig:
    """Of the first cell of an arm."""
    overrides = plan.overrides(entry, next(plan.cells(entry)))
    return Compositions(own.conf, own.compositions).of(overrides)


def _made_of(plan: params.Study, own: Project) -> dict[str, dict[str, str]]:
    """Digests of what the data of each arm are prepared from, by seed: where they change, everything runs again."""
    found = {}
    for entry in plan.entries.values():
        cfg = Compositions(own.conf, own.compositions).of(plan.overrides(entry, next(plan.cells(entry))))
        found[entry.name] = {str(seed): recipe(of_seed(cfg, seed, plan.split).data) for seed in entry.seeds}
    return found


def tune_claim(name: str, project: Project, n_workers: int | None = None) -> None:
    """Tunes every arm, if the claim asks for it.

    Raises:
        UserError: also a simple method that the task does not have: it is known now that there are data.
    """
    from howdeep.stages.tune import tune_entry

    own = _planned(name, project)
    plan = params.read(own.params)
    with _of(name):
        _check_methods(declared.read(name, project.claims), plan, own)
        for entry in plan.entries:
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
            if claim.entry(arm) in plan.entries
            for depth in plan.depths
            for seed in plan.entries[claim.entry(arm)].seeds
        }
        rows = estimands.measured(claim, records, own)
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
        "trials": _trials(claim, plan, own),
        "test": tested(own),
    }
    write_sealed(own.home / JUDGED, content)
    spread = f", standard deviation {np.nanstd(of_seeds, ddof=1):.3g}" if judged.verdict == PILOT else ""
    print(f"{name}: {told(claim, judged)}{spread}", file=sys.stderr)
    return content


def _trials(claim: Claim, plan: params.Study, own: Project) -> dict[str, list[dict[str, Any]]]:
    """What was tried for each arm that was tuned."""
    tuned = [arm for arm in claim.arms if (entry := plan.entries.get(claim.entry(arm))) and entry.tuning]
    return {arm: [asdict(row) for row in trials_of(claim.entry(arm), own)] for arm in tuned}


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
        rows: metric, arm, depth, seed and value of each run; a value is None where the run diverged.
    """
    seeds, plus, minus = cells_of(claim, claim.contrast, rows)
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


def cells_of(
    claim: Claim, of: Contrast, rows: Iterable[Mapping[str, Any]]
) -> tuple[list[int], list[list[float]], list[list[float]]]:
    """The seeds that were run, and the values of each cell of a contrast by seed, of both its sides; NaN for none."""
    label, found = claim.estimand_of(of).label, {}
    for row in rows:
        if row["metric"] == label:
            value = np.nan if row["value"] is None else float(row["value"])
            found.setdefault((row["arm"], row["depth"]), {})[row["seed"]] = value
    seeds = sorted({seed for cell in found.values() for seed in cell})

    def values(places: list[Place]) -> list[list[float]]:
        return [
            [found.get((place.arm, place.depth), {}).get(seed, np.nan) for seed in seeds] for place in places
        ]

    return seeds, values(of.plus), values(of.minus)


def further_of(claim: Claim, rows: Sequence[Mapping[str, Any]]) -> list[tuple[Further, Interval, int]]:
    """Each further contrast with its interval and the seeds that it rests on; a quick run has none of other cells."""
    found = []
    for of in claim.further:
        _, plus, minus = cells_of(claim, of, rows)
        values = contrast(plus, minus)
        there = values[np.isfinite(values)]
        found.append((of, mean_interval(there), len(there)))
    return found


def _reason(claim: Claim, records: Mapping[tuple[str, int, int], dict]) -> str:
    """Why nothing is there of a cell of the contrast."""
    for place in claim.contrast.places():
        cell = [of for (arm, depth, _), of in records.items() if (arm, depth) == (place.arm, place.depth)]
        if all(record["state"] != "finished" for record in cell):
            return f"{place.arm} at depth {place.depth} diverged with every seed: {cell[0]['reason']}"
    return "a measure has no value with any seed"


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
