"""An experiment of DVC in the workspace and out of it again, or in a folder of its own: real ones, in a git clone."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

from howdeep.report.packing import unpacked
from tests.amount import times
from tests.clones import STUDY, Clone

pytestmark = pytest.mark.slow


def page(clone: Clone) -> str:
    return (clone.folder / "reports/index.html").read_text()


def shown_runs(clone: Clone) -> list[tuple[str, str]]:
    """Entry and folder of each active run in MLflow, each below the one parent of its entry."""
    store = clone.store()
    parents = {run.info.run_id: run.data.tags["howdeep.entry"] for run in store.find(howdeep__kind="entry")}
    assert len(set(parents.values())) == len(parents)
    runs = store.find(howdeep__kind="run")
    assert all(parents[run.data.tags["mlflow.parentRunId"]] == run.data.tags["howdeep.entry"] for run in runs)
    assert {run.info.status for run in runs} == {"FINISHED"}
    return sorted((run.data.tags["howdeep.entry"], run.data.tags["howdeep.folder"]) for run in runs)


def trained(clone: Clone) -> list[tuple[str, str]]:
    return sorted(tuple(path.split("/")[1:3]) for path in clone.stamps())  # type: ignore[misc]


def check_views(clone: Clone, *depths: int) -> None:
    """Report and MLflow show what results/ and runs/ hold, and nothing else."""
    cells = pd.read_csv(clone.folder / "results/summary.csv")
    assert set(cells["depth"]) == set(depths)
    (run,) = clone.store().find(howdeep__kind="comparison")
    assert run.info.status == "FINISHED"
    metrics = json.loads((clone.folder / "results/metrics.json").read_text())
    assert run.data.metrics == metrics
    for parent in clone.store().find(howdeep__kind="entry"):
        rows = re.findall(r"^\| [\w-]+ \| (\d+) \|", parent.data.tags["mlflow.note.content"], re.MULTILINE)
        assert [int(depth) for depth in rows] == list(depths)
    artifact = clone.store().client.download_artifacts(run.info.run_id, "index.html")
    assert Path(artifact).read_text() == page(clone)
    keys = {json.loads((clone.folder / path).read_text())["key"] for path in clone.stamps()}
    shown = unpacked(page(clone))
    assert all(key in shown for key in keys)
    assert shown_runs(clone) == trained(clone)


def test_report_and_mlflow_follow_an_experiment_and_the_way_back(clone):
    before = page(clone)
    for _ in range(times(1, 2)):  # the second time DVC has results of both in its cache
        clone.run("dvc", "exp", "run", "-S", "depths=[1,3]")
        check_views(clone, 1, 3)
        clone.run("git", "checkout", ".")
        clone.run("dvc", "checkout")
        stale = clone.run("howdeep", "sync").stderr
        assert "4 runs and 2 models added" in stale
        out = clone.repro()
        assert re.findall("Running stage '(.*)'", out) == ["compare"]
        check_views(clone, 1, 2)
        assert "Running stage" not in clone.repro()
    assert clone.run("git", "status", "--porcelain").stdout == ""
    assert page(clone) == before


def test_an_experiment_in_a_folder_of_its_own_runs_its_own_source_and_leaves_the_workspace(clone):
    lock, before, results = clone.lock, page(clone), (clone.folder / "results/summary.csv").read_bytes()
    mlp = clone.folder / "src/howdeep/nets/mlp.py"
    text = mlp.read_text()
    edited = text.replace("return self.head(", "return 0.5 * self.head(")
    assert edited != text
    mlp.write_text(edited)
    clone.run("dvc", "exp", "run", "--temp", "--name", "half")
    assert mlp.read_text() == edited
    assert (clone.lock, page(clone)) == (lock, before)
    clone.run("git", "checkout", ".")
    clone.run("dvc", "exp", "apply", "half")
    assert mlp.read_text() == edited
    assert (clone.folder / "results/summary.csv").read_bytes() != results
    record = clone.folder / "runs/digits-mlp/depth=2-seed=0/record.json"
    applied = json.loads(record.read_text())
    clone.run("dvc", "repro", "--force", "train@digits-mlp", "--single-item")
    assert json.loads(record.read_text()) == applied  # what the edited source gives
    clone.repro()
    check_views(clone, 1, 2)


def test_an_entry_that_left_leaves_report_and_mlflow_and_sync_does_not_bring_it_back(clone):
    kept = {"digits-mlp": STUDY["entries"]["digits-mlp"]}
    clone.write_params({**STUDY, "data": ["digits"], "entries": kept})
    clone.repro()
    store = clone.store()
    assert {entry for entry, _ in shown_runs(clone)} == {"digits-mlp"}
    assert [run.data.tags["howdeep.entry"] for run in store.find(howdeep__kind="entry")] == ["digits-mlp"]
    assert (clone.folder / "runs/sunspots-lstm").exists()
    assert "0 runs and 0 models added" in clone.run("howdeep", "sync").stderr
    assert {entry for entry, _ in shown_runs(clone)} == {"digits-mlp"}
    (comparison,) = store.find(howdeep__kind="comparison")
    assert "sunspots" not in comparison.data.tags["mlflow.note.content"]
    views = store.client.get_experiment(store.experiment_id).tags
    assert not [name for name in views if "sunspots" in name or "forecasting" in name]


def test_a_stage_deletes_in_mlflow_the_runs_that_it_removes(clone):
    clone.write_params({**STUDY, "depths": [2]})
    clone.repro("train")
    assert shown_runs(clone) == trained(clone)
    entry = STUDY["entries"]["digits-mlp"]
    changed = {**entry, "overrides": {**entry["overrides"], "batch_size": 16}}
    clone.write_params({**STUDY, "depths": [2], "entries": {**STUDY["entries"], "digits-mlp": changed}})
    clone.repro("train")
    assert shown_runs(clone) == trained(clone)


def test_runs_whose_parent_was_deleted_are_nested_again_by_sync_and_by_the_next_comparison(clone):
    for command in (("howdeep", "sync"), ("howdeep", "compare")):
        store = clone.store()
        for parent in store.find(howdeep__kind="entry"):
            store.client.delete_run(parent.info.run_id)
        clone.run(*command)
        assert shown_runs(clone) == trained(clone)


def test_sync_leaves_a_comparison_of_other_results_to_dvc(clone):
    metrics = clone.folder / "results/metrics.json"
    metrics.write_text(metrics.read_text().replace('"n_runs": 8', '"n_runs": 9'))
    for run in (store := clone.store()).find(howdeep__kind="comparison"):
        store.client.delete_run(run.info.run_id)
    clone.run("howdeep", "sync")
    assert not store.find(howdeep__kind="comparison")
    clone.repro()
    check_views(clone, 1, 2)


def test_a_clone_whose_results_dvc_restored_gets_report_and_mlflow_by_repro(clone):
    for path in (*clone.folder.glob("mlflow.db*"), *clone.folder.glob("reports/*")):
        path.unlink()
    assert re.findall("Running stage '(.*)'", clone.repro()) == ["compare"]
    check_views(clone, 1, 2)
