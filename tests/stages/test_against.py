"""What changed between two revisions, in a real git repository."""

import subprocess
from pathlib import Path

import pandas as pd
import pytest

from howdeep.errors import UserError
from howdeep.results.scores import csv
from howdeep.stages.against import FILE, against, changes


def cells(*rows) -> pd.DataFrame:
    """Rows of results/summary.csv: (entry, depth, test score, verdict)."""
    line = {
        "task": "classification",
        "data": "digits",
        "model": "mlp",
        "matching": "width",
        "score": "accuracy",
    }
    return pd.DataFrame(
        line
        | {
            "entry": entry,
            "depth": depth,
            "test_score": score,
            "val_score": 0.9,
            "diverged": 0,
            "verdict": verdict,
        }
        for entry, depth, score, verdict in rows
    )


BEFORE = cells(
    ("digits-mlp", 1, 0.9, None), ("digits-mlp", 2, 0.92, "inconclusive"), ("digits-cnn", 1, 0.8, None)
)
AFTER = cells(("digits-mlp", 1, 0.9, None), ("digits-mlp", 2, 0.95, "better"), ("digits-gan", 1, 0.8, None))


def git(folder: Path, *args: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path) -> Path:
    """A project whose results were committed, tagged `first`, and have changed since."""
    (tmp_path / "results").mkdir()
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "nothing yet")
    git(tmp_path, "tag", "empty")
    (tmp_path / FILE).write_text(csv(BEFORE))
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "results")
    git(tmp_path, "tag", "first")
    (tmp_path / FILE).write_text(csv(AFTER))
    return tmp_path


def test_changed_scores_and_verdicts_are_told_with_the_cells_that_came_and_went(repository):
    said = against("first", repository)
    assert said.startswith("Since first (")
    assert (
        "1 cell came (digits-gan); 1 cell went (digits-cnn); 1 cell of 2 changed, 1 of them in the verdict."
        in said
    )
    assert "| digits-mlp | width | 2 | accuracy | 0.920 | 0.950 | +0.030 | inconclusive -> better |" in said
    assert said.count("\n") == 5


def test_the_same_results_have_no_table(repository):
    git(repository, "commit", "-qam", "again")
    assert against("HEAD", repository).endswith("0 cells of 3 changed, 0 of them in the verdict.\n")


def test_a_project_in_a_folder_of_a_larger_repository_is_found(repository):
    inner = repository / "inner"
    (inner / "results").mkdir(parents=True)
    (inner / FILE).write_text(csv(BEFORE))
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "inner")
    assert "0 cells of 3 changed" in against("HEAD", inner)


def test_results_of_before_there_were_verdicts_can_be_compared():
    said = changes(BEFORE.drop(columns="verdict"), AFTER)
    assert "\N{EN DASH} -> better" in said


@pytest.mark.parametrize(
    ("revision", "words"),
    [
        ("secnod", "expected a git revision of this project, got 'secnod'"),
        ("--output=x", "expected a git revision of this project, got '--output=x'"),
        ("empty", "revision 'empty' has no results/summary.csv"),
    ],
)
def test_a_mistake_is_told_in_one_line(repository, revision, words):
    with pytest.raises(UserError, match=words) as caught:
        against(revision, repository)
    assert "\n" not in str(caught.value)


def test_without_results_or_a_repository_the_user_is_told_so(tmp_path):
    with pytest.raises(UserError, match=r"expected results at .*found none: run `dvc repro`"):
        against("HEAD", tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / FILE).write_text(csv(BEFORE))
    with pytest.raises(UserError, match="expected a git repository at"):
        against("HEAD", tmp_path)
