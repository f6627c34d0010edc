"""What changed in scores and verdicts between two states of the results: a git revision, and the files as they are."""

import io
import subprocess
from pathlib import Path

import pandas as pd

from howdeep.errors import UserError
from howdeep.results.changes import changes

FILE = "results/summary.csv"  # small enough for git, which keeps it at every revision


def against(revision: str, root: Path) -> str:
    """What changed since a revision, as Markdown: cells that came, went, or have another score or verdict.

    Args:
        revision: whatever git understands: a commit, a tag, a branch, HEAD~1.
        root: the folder of the project.

    Raises:
        UserError: no results here or there, no git repository, no such revision.
    """
    path = root / FILE
    if not path.exists():
        raise UserError(f"expected results at {path}, found none: run `dvc repro`")
    commit = _git(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"
    ).strip()
    if not commit:
        raise UserError(f"expected a git revision of this project, got '{revision}': `git log` lists them")
    before = _git(root, "show", f"{commit}:./{FILE}")
    if not before:
        raise UserError(f"revision '{revision}' has no {FILE}: choose one whose study was run and committed")
    told = changes(pd.read_csv(io.StringIO(before)), pd.read_csv(path))
    return f"Since {revision} ({commit[:9]}): {told}"


def _git(root: Path, *args: str) -> str:
    """What git prints; nothing where it fails, which its callers explain."""
    try:
        done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, encoding="utf-8")
    except FileNotFoundError:
        raise UserError("expected git to read another revision, found no such program: install it") from None
    if "not a git repository" in done.stderr:
        raise UserError(f"expected a git repository at {root}, found none: revisions are git's")
    return done.stdout if done.returncode == 0 else ""
