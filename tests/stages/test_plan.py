"""What `howdeep plan` refuses, so that nothing is trained that could not be compared."""

import shutil

import pytest
import yaml

from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.results import measures
from howdeep.stages.plan import plan

ENTRIES = {
    "digits-mlp": {"data": "digits", "model": "mlp", "task": "classification"},
    "sunspots-lstm": {"data": "sunspots", "model": "lstm", "task": "forecasting"},
}
STUDY = {
    "study": "margins", "data": ["digits", "sunspots"], "depths": [1], "seeds": [0], "split": "seeds",
    "matching": ["width"], "margins": {"accuracy": 0.01, "mae": 0.02}, "optimizer": "adam",
    "schedule": "constant", "trainer": "cpu", "tune": None, "entries": ENTRIES,
}  # fmt: skip


@pytest.fixture
def home(project, tmp_path) -> Project:
    here = Project(tmp_path / "home")
    shutil.copytree(project.conf, here.conf)
    (here.root / "data").symlink_to(project.root / "data")
    return here


def planned(home: Project, **changes) -> None:
    home.params.write_text(yaml.safe_dump(STUDY | changes))
    plan(home)


def test_a_score_without_a_margin_is_refused_before_anything_is_trained(home):
    planned(home)
    shutil.rmtree(home.plans)
    with pytest.raises(
        UserError, match=r"^margins in params.yaml lacks 'mae'.*\(in entries.sunspots-lstm of params.yaml\)"
    ):
        planned(home, margins={"accuracy": 0.01})
    assert not home.plans.exists()
    planned(home, margins={"accuracy": 0.01}, entries={"digits-mlp": ENTRIES["digits-mlp"]})
    planned(home, margins={"accuracy": 0, "mae": 0})  # declared, so meant


def test_a_score_that_nobody_described_is_refused_before_anything_is_trained(home, monkeypatch):
    monkeypatch.delitem(measures.SCORES, "mae")
    with pytest.raises(UserError, match=r"got 'mae': add .* \(in entries.sunspots-lstm of params.yaml\)"):
        planned(home)
