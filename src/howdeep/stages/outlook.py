"""How long a `dvc repro` will still take: what is left to tune and train, at the pace that was measured so far."""

import hashlib
import json
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

from ruamel.yaml import YAML, YAMLError

from howdeep.errors import UserError
from howdeep.files import reading
from howdeep.files.folders import file_aside
from howdeep.files.project import Project
from howdeep.processes import dvc
from howdeep.study.params import Study

KINDS = ("tune", "train")  # the stages that take the time
PACES = "paces.json"  # in scratch/: of each stage the seconds a run, and the dvc in which it last ended


class Outlook:
    """What a stage that tunes or trains an entry says of the whole study while it works.

    Another stage counts as left if DVC's lock file does not have it as it is planned now. A run of it is taken to last
    as long as when its entry was last tuned or trained on this machine; where that is not known, as long as the mean
    run so far.

    Args:
        kind: tune or train.
        name: of the entry.
    """

    def __init__(self, kind: str, name: str, plan: Study, project: Project) -> None:
        self._stage, self._project = f"{kind}@{name}", project
        self._begun = time.perf_counter()
        self._owner = (
            dvc.of_whole_study() if project.study is None else None
        )  # of one of many claims nothing is told
        self._paces = _paces(project)
        others = left(plan, project, forced=dvc.forced()) if self._owner else []
        ended = {stage for stage, (_, owner) in self._paces.items() if owner == self._owner}
        self._others = {
            stage: sum(1 for _ in plan.runs(plan.entry(stage.partition("@")[2])))
            for stage in others
            if stage not in ended and stage != self._stage
        }

    def told(self, done: int, total: int) -> str:
        """Such as 'about 12 min of training left'; nothing where no `dvc repro` of the whole study runs.

        Args:
            done, total: how many runs of this stage are done, and how many it does.
        """
        if self._owner is None or not done:
            return ""
        here = (time.perf_counter() - self._begun) / done
        known = {stage: pace for stage, (pace, _) in self._paces.items()} | {self._stage: here}
        usual = sum(known.values()) / len(known)
        seconds = here * (total - done)
        for stage, runs in self._others.items():
            entry = stage.partition("@")[2]
            alike = [known[found] for kind in KINDS if (found := f"{kind}@{entry}") in known]
            seconds += runs * (known.get(stage) or (alike[0] if alike else usual))
        return f"about {duration(seconds)} of training left" if seconds else ""

    def end(self, done: int) -> str:
        """Notes how long a run took, for stages to come; what is left, as the end of a line."""
        if not done:
            return ""
        pace = (time.perf_counter() - self._begun) / done
        found = {**_paces(self._project), self._stage: (pace, self._owner)}
        with file_aside(self._project.scratch / PACES) as aside:
            aside.write_text(json.dumps(found))
        told = self.told(done, done)
        return f"; {told}" if told else ""


def changed(plan: Study, project: Project) -> str:
    """'; 2 of the entries are new or changed', as the end of a line."""
    if project.study is not None:
        return ""
    entries = {stage.partition("@")[2] for stage in left(plan, project, forced=dvc.forced())}
    if len(entries) == len(plan.entries):
        return ""
    return f"; {len(entries) or 'none'} of the entries {'is' if len(entries) == 1 else 'are'} new or changed"


def duration(seconds: float) -> str:
    """'40 s', '12 min' or '3.5 h'."""
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def took() -> str:
    """', after 21 min': since when the `dvc repro` of the whole study runs, as the end of a line."""
    owner = dvc.of_whole_study()
    return f", after {duration(time.time() - owner[1])}" if owner else ""


def left(plan: Study, project: Project, *, forced: bool = False) -> list[str]:
    """The stages that DVC will run to tune and train what is not as it is planned now.

    Args:
        forced: whether it runs all of them.
    """
    stages = _locked(project)
    found = []
    for name in plan.entries:
        tuned = not forced and _is_settled(stages.get(f"tune@{name}"), ("plans/",), project)
        trained = tuned and _is_settled(stages.get(f"train@{name}"), ("plans/", "tuned/"), project)
        found += [f"{kind}@{name}" for kind, done in zip(KINDS, (tuned, trained), strict=True) if not done]
    return found


def _locked(project: Project) -> Mapping[str, Any]:
    """The stages of dvc.lock; none where it cannot be read, which DVC itself will say."""
    try:
        found = YAML(typ="safe").load((project.root / "dvc.lock").read_bytes())  # as DVC itself
    except (OSError, ValueError, YAMLError):
        return {}
    stages = found.get("stages") if isinstance(found, dict) else None
    return stages if isinstance(stages, dict) else {}


def _is_settled(stage: Any, folders: Iterable[str], project: Project) -> bool:
    """Whether the files of these folders that a stage depends on are as they were when it last ended."""
    deps = stage.get("deps", []) if isinstance(stage, dict) else []
    of = [dep for dep in deps if str(dep.get("path", "")).startswith(tuple(folders))]
    return bool(of) and all(_md5(project, dep["path"]) == dep.get("md5") for dep in of)


def _md5(project: Project, path: str) -> str:
    """As DVC has it."""
    try:
        return hashlib.md5((project.root / path).read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return ""


def _paces(project: Project) -> dict[str, tuple[float, Any]]:
    try:
        found = reading.json_map(project.scratch / PACES, "")
        return {stage: (float(pace), owner) for stage, (pace, owner) in found.items()}
    except (UserError, OSError, ValueError, TypeError):
        return {}
