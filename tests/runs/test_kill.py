"""kill -9 in the middle of a training, and the same command again: the bits of an uninterrupted run."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from howdeep.files.project import Project
from howdeep.runs.run import execute, job_of
from tests.amount import first

pytestmark = pytest.mark.slow

ENV = {**os.environ, "OMP_NUM_THREADS": "1"}
SMALL = (
    "trainer.max_epochs=60", "train_examples=150", "model.depth=2", "model.dropout=0.1", "diagnostics.every=4",
    "checkpoint_seconds=0",
)  # fmt: skip
RUNS = {
    "gan": ("schedule=cosine", "optimizer.lr=1e-3"),
    "rnn": ("data=sunspots", "optimizer=rmsprop"),
    "transformer": ("data=torch_docs", "data.context=16", "model.width=16"),
}


@pytest.fixture
def here(project, tmp_path) -> Project:
    """A project of its own, to write into."""
    shutil.copytree(project.root, tmp_path / "project")
    return Project(tmp_path / "project")


def start(here: Project, overrides: tuple[str, ...]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "howdeep", "train", *overrides, "tracking.uri=null", "hydra.run.dir=out"],
        cwd=here.root, env=ENV, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def kill_in_the_middle(process: subprocess.Popen[str], here: Project) -> None:
    """As soon as there is something to go on from."""
    while not list(here.scratch.glob("*.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.kill()
    process.communicate()


def traces(here: Project) -> list[dict]:
    return [json.loads(path.read_text()) for path in here.provenance.glob("*.json")]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("model", first(RUNS, 2))
def test_a_killed_run_started_again_leaves_the_files_of_an_uninterrupted_one(
    here, project, compose, tmp_path, model
):
    overrides = (f"model={model}", *RUNS[model], *SMALL)
    kill_in_the_middle(start(here, overrides), here)
    assert not (here.root / "out/run").exists()
    again = start(here, overrides)
    out, _ = again.communicate(timeout=120)
    assert again.returncode == 0, out
    assert [trace["resumed"] for trace in traces(here)] == [True]
    assert not list(here.scratch.glob("*.ckpt"))

    shutil.rmtree(here.provenance)
    execute(job_of(compose(*overrides), tmp_path / "uninterrupted", here), here, None)
    assert [trace["resumed"] for trace in traces(here)] == [False]
    found, expected = files(here.root / "out/run"), files(tmp_path / "uninterrupted")
    assert found.keys() == expected.keys() >= {"record.json", "weights.safetensors"}
    assert found == expected
