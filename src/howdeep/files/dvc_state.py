"""What DVC writes in place, so that a kill at that moment cuts it short, and DVC does not start again.

That is dvc.lock, written after every stage, and `.dvc/tmp/rwlock`, written before and after. The warm processes keep a
copy of dvc.lock when a stage begins, outlive their dvc for a moment, and put it back where they find less than that.
Where they were killed too, `howdeep repair` does it.
"""

import json
import sys
from pathlib import Path

from howdeep.errors import UserError
from howdeep.files.folders import file_aside
from howdeep.files.project import Project

TOLD = "dvc.lock.put_back"


def locks(project: Project) -> dict[Path, Path]:
    """The lock file of each pipeline, and where in scratch/ its copy is; the copy is empty where there was none yet."""
    return {
        project.root / "dvc.lock": project.scratch / "dvc.lock",
        project.claims / "dvc.lock": project.scratch / "claims.dvc.lock",
    }


def keep(project: Project) -> None:
    """Copies each dvc.lock, which must not be in writing; notes, too, that there is none yet."""
    for lock, copy in locks(project).items():
        content = lock.read_bytes() if lock.exists() else b""
        if not copy.exists() or copy.read_bytes() != content:
            with file_aside(copy) as aside:
                aside.write_bytes(content)


def mend(project: Project) -> None:
    """Puts the copy in the place of a dvc.lock that was cut short, and removes a list of locks that was."""
    for lock, copy in locks(project).items():
        if copy.exists() and not is_whole(lock):
            if content := copy.read_bytes():
                with file_aside(lock) as aside:
                    aside.write_bytes(content)
            else:
                lock.unlink()
            (project.scratch / TOLD).write_text(str(lock.relative_to(project.root)))
    for home in (project.root, project.claims):
        held = home / ".dvc" / "tmp" / "rwlock"
        try:
            json.loads(held.read_bytes())
        except FileNotFoundError:
            pass
        except ValueError:
            held.unlink()  # of processes that have ended


def tell(project: Project) -> None:
    """Says in one line, once, that a dvc.lock was mended."""
    told = project.scratch / TOLD
    if told.exists():
        name = told.read_text()
        told.unlink(missing_ok=True)
        print(
            f"howdeep: a kill or a full disk had cut {name} short: it is again as it was before that write",
            file=sys.stderr,
        )


def repair(project: Project) -> None:
    """What `howdeep repair` does, while no dvc runs.

    Raises:
        UserError: dvc.lock was cut short, and there is no copy; there is no git repository, so that DVC will not start.
    """
    mend(project)
    tell(project)
    for lock in locks(project):
        if not is_whole(lock):
            name = lock.relative_to(project.root)
            raise UserError(
                f"{name} was cut short and there is no copy of it: `git checkout {name}`, or delete it and "
                "`dvc repro`, which keeps what is finished"
            )
    _check_git(project)


def _check_git(project: Project) -> None:
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        with Repo(str(project.root)) as repo:
            repo.scm  # noqa: B018  what DVC asks for first
    except NotDvcRepoError:  # a project of configs alone
        return
    except SCMError:
        raise UserError(
            f"expected a git repository at {project.root}, without which DVC does not start, found none, as in a "
            "downloaded ZIP: make one by `git init`"
        ) from None


def is_whole(lock: Path) -> bool:
    """Whether a lock file is what DVC wrote; one that is not there is none that was cut short."""
    from ruamel.yaml import YAML, YAMLError

    try:
        content = lock.read_bytes()
        found = YAML(typ="safe").load(content)  # as DVC itself
    except FileNotFoundError:
        return True
    except (YAMLError, ValueError):
        return False
    stages = found.get("stages") if isinstance(found, dict) else None
    return content.endswith(b"\n") and isinstance(stages, dict) and all(map(_is_stage, stages.values()))


def _is_stage(stage: object) -> bool:
    """Whether each output of a stage has more than its path: the last one has not where a line was lost."""
    if not isinstance(stage, dict) or "cmd" not in stage:
        return False
    outs = stage.get("outs", [])
    return isinstance(outs, list) and all(isinstance(out, dict) and len(out) > 1 for out in outs)
