"""benchmarks.scale: what is made up looks like what is real, and the table has its rows."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import measure, scale
from howdeep.records.record import read_record, run_folders
from howdeep.runs.run import execute, job_of
from howdeep.study import params
from tests.amount import only_in_full

EPOCHS = 11  # the first, an ordinary and the tenth, in which diagnostics look


@pytest.mark.parametrize("overrides", [["model=mlp"], ["model=gan"], ["model=lstm", "data=sunspots"]])
def test_a_made_up_record_has_the_keys_of_a_real_one(overrides, project, compose, tmp_path, monkeypatch):
    cfg = compose(*overrides, "model.depth=3", f"trainer.max_epochs={EPOCHS}", "train_examples=100")
    monkeypatch.setattr(type(project), "provenance", tmp_path)
    monkeypatch.setattr(type(project), "scratch", tmp_path)
    real = execute(job_of(cfg, tmp_path / "run", project), project, None)
    fake = scale.made_up(cfg, "an-entry", 3, 0, np.random.default_rng(0))
    assert fake.keys() | {"files", "seal"} == real.keys()  # which `write_record` adds
    assert fake["config"].keys() == real["config"].keys()
    assert {*fake["epochs"][1]} == {*real["epochs"][1]}
    assert {*fake["epochs"][10]} <= {*real["epochs"][10]}  # a gan has more gaps than its loss and score
    assert fake["gap"].keys() == real["gap"].keys()
    looked = [row for row in fake["gradient_flow"] if row["epoch"] == 10]
    assert [row.keys() for row in looked] == [
        row.keys() for row in real["gradient_flow"] if row["epoch"] == 10
    ]
    assert fake["cost"].keys() == real["cost"].keys()


def test_a_generated_study_has_every_run_that_its_params_name():
    with measure.project() as here:
        assert scale.generate(here, 200) == 200
        plan = params.read(here.params)
        folders = {
            here.runs / entry.name / cell.run_name(seed)
            for entry in plan.entries.values()
            for cell, seed in plan.runs(entry)
        }
        assert {*run_folders(here.runs)} == folders
        lengths = [len(read_record(folder)["epochs"]) for folder in folders]
        assert (min(lengths) >= 20, max(lengths) <= 60) == (True, True)


@pytest.mark.slow
def test_a_multiplied_store_holds_copies_that_mlflow_reads_like_the_original():
    with measure.project() as here:
        tracked = scale.Tracked(here)
        tracked.write()
        scale.multiply(here.root / "mlflow.db", 5)
        found = tracked.store.find(howdeep__kind="run")
        assert len(found) == len({run.info.run_id for run in found}) == len(tracked.store.keys()) == 5
        original = found[0].data
        assert all(
            run.data.metrics == original.metrics and run.data.params == original.params for run in found
        )
        histories = [tracked.store.client.get_metric_history(run.info.run_id, "val/loss") for run in found]
        assert len({tuple((m.step, m.value) for m in history) for history in histories}) == 1
        assert len(found[0].inputs.dataset_inputs) == 1


@only_in_full
@pytest.mark.slow
def test_the_tables_have_a_row_a_size_and_a_row_a_question_to_the_store(tmp_path):
    folder = str(tmp_path)
    command = ["--sizes", "200", "--store-runs", "3", "--repeats", "1", "--results", folder]
    subprocess.run([sys.executable, "-m", "benchmarks.scale", *command], check=True, cwd=scale.ROOT)
    (row,) = read(tmp_path / "scale-compare.csv")
    assert (row["runs"], float(row["peak MB"]) > 100) == ("200", True)
    assert read(tmp_path / "scale-store.csv")[0]["what"] == "a run's writes"
    assert [row["runs"] for row in read(tmp_path / "scale-fill.csv")] == ["3"]


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))
