"""The `ledger` stage: all claims together, with Holm over them, controls, and whether predictions came first."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML, YAMLError

from howdeep.errors import UserError
from howdeep.files import reading
from howdeep.files.folders import file_aside
from howdeep.files.project import Project
from howdeep.records.trials import TrialRow
from howdeep.report.ledger import Line, as_csv, as_further, as_markdown, as_text, as_values, page
from howdeep.results.claims import FAILED, STALE, Judged, judge, over_the_ledger, permuted
from howdeep.results.statistics import Interval
from howdeep.stages.claim import PILOT, further_of, read_judged, verdict_of
from howdeep.stages.synchronise import study_store
from howdeep.study import claim as declared
from howdeep.study.claim import Claim
from howdeep.tracking.store import Store
from howdeep.tracking.words import CLAIM, ENTRY, NOTE, PARENT, VERDICT

NOT_RUN = "NOT RUN"
SEED = 0  # of the permutation


def ledger(project: Project) -> list[Line]:
    """Writes ledger.csv, ledger.md, further.csv and values.csv into results/claims/, and reports/claims.html; tells
    MLflow.
    """
    found, mode = lines(project), declared.ledger(project.claims).claims
    for path, text in (
        (project.results / "claims" / "ledger.csv", as_csv(found)),
        (project.results / "claims" / "ledger.md", as_markdown(found)),
        (project.results / "claims" / "further.csv", as_further(found)),
        (project.results / "claims" / "values.csv", as_values(found)),
        (project.reports / "claims.html", page(found, mode)),
    ):
        with file_aside(path) as aside:
            aside.write_text(text, encoding="utf-8")
    if store := study_store(project):
        log(found, replace(store, experiment=declared.STUDY))
    for line in found:
        late = ", its declaration did not stand in the commit of its runs" if line.registered is False else ""
        print(f"ledger: {line.name}: {line.verdict}{late}", file=sys.stderr)
    print(f"ledger: {os.path.relpath(project.reports / 'claims.html')}", file=sys.stderr)
    return found


def show(name: str, project: Project) -> str:
    """The section of one claim, for a terminal."""
    claim = declared.read(name, project.claims)
    return as_text(_line(claim, project))


def lines(project: Project) -> list[Line]:
    """Every claim, and the controls made of their runs, with the verdict in the whole ledger."""
    told = declared.ledger(project.claims)
    found = [_line(declared.read(name, project.claims), project) for name in told.names]
    by_name = {line.name: line for line in found}
    found += [_permuted(by_name[name]) for name in told.permuted]
    together = over_the_ledger({line.name: line.judged for line in found if line.judged})
    return [
        line._replace(
            together=line.verdict if line.verdict in (STALE, FAILED) else together[line.name][0],
            adjusted=together[line.name][1],
        )
        if line.judged
        else line
        for line in found
    ]


def _line(claim: Claim, project: Project) -> Line:
    content = read_judged(claim.name, project)
    if content is None:
        return Line(claim.name, claim, NOT_RUN, NOT_RUN, np.nan, None, None, [])
    rows = content["values"]
    if content["declaration"] != claim.digest:
        return Line(claim.name, claim, STALE, STALE, np.nan, _as_it_was(content), None, rows)
    judged, _, _ = verdict_of(claim, rows)
    registered = is_registered(claim, {row["key"] for row in rows}, project)
    trials = [TrialRow(**{**row, "optimizer": arm}) for arm, own in content["trials"].items() for row in own]
    return Line(
        *(claim.name, claim, judged.verdict, judged.verdict, np.nan, judged, registered, rows),
        reason=content["reason"],
        further=further_of(claim, rows),
        trials=trials,
    )


def _as_it_was(content: dict[str, Any]) -> Judged:
    """What judged.json says, where the declaration is another one by now."""
    interval = Interval(*map(_known, content["interval"]))
    p_supports, p_refutes, smallest = (
        _known(content[name]) for name in ("p_supports", "p_refutes", "detectable")
    )
    return Judged(content["verdict"], interval, content["n"], p_supports, p_refutes, smallest)


def _known(value: float | None) -> float:
    """As it was before JSON, which has no NaN."""
    return np.nan if value is None else value


def _permuted(line: Line) -> Line:
    """The control made of a claim's runs: the two sides of its contrast exchanged in half of the seeds."""
    control = line._replace(name=f"{line.name}-permuted", permuted=True, rows=[], further=(), trials=())
    if line.judged is None or line.verdict in (STALE, FAILED, PILOT):
        return control._replace(judged=None, verdict=NOT_RUN, together=NOT_RUN)
    claim = line.claim
    _, _, values = verdict_of(claim, line.rows)
    power = claim.power
    judged = judge(
        permuted(values.tolist(), SEED).tolist(),
        claim.supports.ends,
        claim.refutes.ends,
        spread=power.standard_deviation,
        effect=power.effect,
    )
    return control._replace(judged=judged, verdict=judged.verdict, together=judged.verdict)


def is_registered(claim: Claim, keys: Iterable[str], project: Project) -> bool | None:
    """Whether the declaration stood as it is in each commit that a run was started from, and in the history of now.

    None where the traces of no run are here, as in a clone that has pulled the runs.
    """
    traces = [project.provenance / f"{key}.json" for key in keys]
    commits = {reading.json_map(trace, "delete it")["commit"] for trace in traces if trace.exists()}
    if not commits or "unknown" in commits:
        return None
    return all(_stood_in(commit, claim, project.root) for commit in commits)


def _stood_in(commit: str, claim: Claim, root: Path) -> bool:
    if _git(root, "merge-base", "--is-ancestor", commit, "HEAD") is None:
        return False
    text = _git(root, "show", f"{commit}:./claims/{claim.name}.yaml")
    if text is None:
        return False
    try:
        return declared.parse(YAML(typ="safe").load(text), claim.name).digest == claim.digest
    except (YAMLError, UserError):
        return False


@cache
def _git(root: Path, *args: str) -> str | None:
    """What git says; None where it fails."""
    try:
        return subprocess.run(
            ["git", "-C", str(root), *args], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


def log(found: Sequence[Line], store: Store) -> None:
    """Gives each claim a run in MLflow with its verdict, around its arms; deletes those of claims that left."""
    there = {run.data.tags[CLAIM]: run for run in store.find(howdeep__kind="claim")}
    told = {line.name: line for line in found if not line.permuted and (line.judged or line.name in there)}
    arms = store.find(howdeep__kind="entry")
    for name, line in told.items():
        about = {CLAIM: name, VERDICT: line.verdict}
        if (parent := store.open_parent(name, {**about, NOTE: as_text(line)}, "claim")) is None:
            return
        entries = {line.claim.entry(arm) for arm in line.claim.arms}
        for run in arms:
            if run.data.tags[ENTRY] in entries:
                store.set_tags(run.info.run_id, {PARENT: parent, **about})
        store.close(parent, "FINISHED")
    store.delete([run for name, run in there.items() if name not in told])
