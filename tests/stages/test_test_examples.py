"""Nothing but `evaluate` opens the test examples: the other stages are run with the file away."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from safetensors.numpy import load_file

from howdeep.files.project import Project

pytestmark = pytest.mark.slow
NO_THREADS = {"OMP_NUM_THREADS": "1"}


@pytest.fixture
def without_test_examples(project, tmp_path) -> Project:
    """A project of one small entry, prepared, whose file of test examples is then put away."""
    shutil.copytree(project.conf, tmp_path / "conf")
    study = yaml.safe_load(project.params.read_text())
    entry = {
        "data": "digits", "model": "mlp", "task": "classification",
        "overrides": {"trainer": {"max_epochs": 1}, "tracking": {"uri": None}},
    }  # fmt: skip
    study |= {"data": ["digits"], "depths": [1, 2], "seeds": [0, 1], "entries": {"digits-mlp": entry}}
    study["tune"] |= {"trials": 2, "epochs": 1.0, "optimizers": {"adam": [1e-3, 1e-2]}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    here = Project(tmp_path)
    shutil.copytree(project.prepared("digits"), here.prepared("digits"))
    (here.prepared("digits") / "test.safetensors").rename(tmp_path / "away.safetensors")
    return here


def howdeep(here: Project, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "howdeep", *args], cwd=here.root, env=os.environ | NO_THREADS,
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_tuning_training_comparing_and_reporting_never_open_the_test_examples_and_evaluate_does(
    without_test_examples,
):
    here = without_test_examples
    for stage in ("tune-entry", "train-entry"):
        done = howdeep(here, stage, "digits-mlp")
        assert done.returncode == 0, done.stderr
    assert len(list(here.runs.glob("**/record.json"))) == 4
    refused = howdeep(here, "evaluate")
    assert refused.returncode == 1
    assert "test.safetensors" in refused.stderr
    assert not (here.results / "test.json").exists()

    test = here.prepared("digits") / "test.safetensors"
    (here.root / "away.safetensors").rename(test)
    assert howdeep(here, "evaluate").returncode == 0
    scored = json.loads((here.results / "test.json").read_text())
    assert len(scored["runs"]) == 4
    assert scored["examples"] == {"digits-mlp": 359}
    assert scored["classes"] == {"digits-mlp": [str(digit) for digit in range(10)]}
    answered = load_file(here.results / "answers.safetensors")
    for key, measured in scored["runs"].items():
        right = answered[f"{key}/predicted"] == answered["digits-mlp/label"]
        assert right.mean() == pytest.approx(measured["accuracy"], abs=1e-6)
        confidence = answered[f"{key}/confidence"]
        assert 0.1 <= confidence.min() < confidence.max() <= 1

    test.unlink()
    for stage in ("compare", "report"):
        done = howdeep(here, stage)
        assert done.returncode == 0, done.stderr
    assert (here.reports / "index.html").stat().st_size > 0
