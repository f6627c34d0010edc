"""`howdeep sync`: MLflow brought in line with the records of the study, of claims, and of what was typed."""

import sys
from collections.abc import Mapping
from dataclasses import replace

from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.stages import ledger
from howdeep.stages.claim import read_judged
from howdeep.stages.described import describe_claims
from howdeep.stages.synchronise import bring_in_line, show_studies, study_store, tested, tracking
from howdeep.study import claim as declared
from howdeep.tracking.store import Store


def sync(project: Project, gone: str | None = None) -> None:
    """Brings MLflow in line with the records: rebuilds what it lacks, deletes what left.

    Args:
        gone: a host that is gone, whose runs are still RUNNING.
    """
    if not (store := study_store(project)):
        raise UserError("expected an MLflow store to bring in line, got tracking.uri=null in conf/train.yaml")
    store.strict = True
    elsewhere = replace(store, experiment=tracking(project).experiment)
    of_claims = replace(store, experiment=declared.STUDY)
    planned = _planned(project)
    for each in (store, elsewhere, *([of_claims] if planned else [])):
        if gone and (closed := each.close_abandoned(gone)):
            print(f"sync: {closed} runs of {gone} in '{each.experiment}' ended as KILLED", file=sys.stderr)
        for line in each.open_elsewhere():
            print(f"sync: {line}", file=sys.stderr)
    runs, models, others = bring_in_line(project, store, elsewhere)
    also = f", {others} single runs and trials to '{elsewhere.experiment}'" if others else ""
    print(f"{_added(runs, models, store)}{also}", file=sys.stderr)
    if planned:
        print(_added(*show_claims(planned, project, of_claims), of_claims), file=sys.stderr)


def _added(runs: int, models: int, store: Store) -> str:
    return f"sync: {runs} runs and {models} models added to MLflow's experiment '{store.experiment}'"


def _planned(project: Project) -> dict[str, Project]:
    """The studies of the claims that have a plan; none in a project without claims."""
    if not (project.claims / "params.yaml").exists():
        return {}
    homes = {name: project.claim(name) for name in declared.ledger(project.claims).names}
    return {name: home for name, home in homes.items() if home.params.exists()}


def show_claims(planned: Mapping[str, Project], project: Project, store: Store) -> tuple[int, int]:
    """Makes MLflow show the claims as `make claims` does: a run for each, below it its arms, below them their runs.

    Args:
        planned: the studies of claims, by the name of the claim.

    Returns:
        How many runs and how many models were added.
    """
    store.close_abandoned()
    found = ledger.lines(project)
    spared = {
        line.claim.entry(arm) for line in found if line.claim.name not in planned for arm in line.claim.arms
    }
    test: dict[str, dict[str, float]] = {}
    for name, home in planned.items():
        # A clone that has pulled what DVC keeps has no results/ of a claim.
        test |= tested(home) or (read_judged(name, project) or {}).get("test", {})
    added, scores = show_studies(list(planned.values()), store, test, spared)
    describe_claims(scores, planned.values(), store, whole=not spared)
    ledger.log(found, store)
    return added
