"""The notebook runs from its first cell to its last, on whatever results there are, and holds no outputs itself."""

import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

from howdeep.report.analysis import analyse
from howdeep.report.report import write_comparison

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "results.ipynb"
DEPTHS, SEEDS, EPOCHS = (1, 2), (0, 1), 3
TEST = {"runs": {}, "baselines": {}}


def record(entry: str, task: str, score: str, depth: int, seed: int, matching: str = "width") -> dict:
    """A small record whose scores are 0.9 at depth 1 and 0.8 at depth 2."""
    level = 1 - 0.1 * depth
    epochs = [
        {"epoch": epoch, "train/loss": 0.5, "val/loss": 0.6 - 0.1 * epoch, f"val/{score}": level}
        for epoch in range(EPOCHS)
    ]
    gap = {"loss": 0.1, score: 0.0, "train_loss": 0.5}
    return {
        **{
            "key": f"{entry}{depth}{seed}{matching}",
            "entry": entry,
            "data": "digits",
            "model": entry,
            "task": task,
        },
        **{
            "depth": depth,
            "matching": matching,
            "seed": seed,
            "config": {},
            "state": "finished",
            "reason": None,
        },
        **{"score": {"name": score, "higher_is_better": score == "accuracy"}, "best_epoch": EPOCHS - 1},
        **{"epochs": epochs, "gap": {"best": gap, "last": gap}, "gradient_flow": []},
        "cost": {"parameters": 10 * depth, "training_flops": 60 * depth},
    }


def executed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """All that the notebook printed and showed, run in a checkout with the results in `folder`."""
    (folder / "notebooks").mkdir()
    copied = shutil.copy(NOTEBOOK, folder / "notebooks")
    monkeypatch.setenv("IPYTHONDIR", str(folder / "ipython"))  # nobody's own settings, and none left behind
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")  # the coming default, whose absence is warned of
    notebook = nbformat.read(copied, as_version=4)
    NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(folder / "notebooks")}}
    ).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    return "\n".join(str(output.get("text", "")) + str(output.get("data", "")) for output in outputs)


@pytest.fixture
def study() -> list[dict]:
    kinds = [("mlp", "classification", "accuracy"), ("gan", "generation", "kid")]
    return [record(*kind, depth, seed) for kind in kinds for depth in DEPTHS for seed in SEEDS]


@pytest.mark.slow
def test_the_notebook_shows_scores_curves_and_a_gallery(study, tmp_path, monkeypatch):
    samples = {row["key"]: {"samples": np.eye(8)[None, None]} for row in study if row["model"] == "gan"}
    write_comparison(analyse(study, TEST, artifacts=samples), folder=tmp_path / "results")
    said = executed(tmp_path, monkeypatch)
    assert "8 runs, 0 of them diverged" in said
    assert "0.9" in said
    assert "inconclusive" in said
    assert "gap_loss_normalised" in said
    assert said.count("'image/png'") == 3  # the scores of two tasks, the curves
    assert "bokeh" in said.lower()
    assert "Samples, a row of images for each depth" in said


@pytest.mark.slow
def test_a_study_that_makes_nothing_to_look_at_can_be_read_as_well(study, tmp_path, monkeypatch):
    write_comparison(analyse(study[:4], TEST), folder=tmp_path / "results")
    assert "this study has no generation" in executed(tmp_path, monkeypatch)


@pytest.mark.slow
def test_networks_of_two_matchings_are_two_lines_in_two_pictures(study, tmp_path, monkeypatch):
    both = [
        *study[:4],
        *(record("mlp", "classification", "accuracy", d, s, "parameters") for d in DEPTHS for s in SEEDS),
    ]
    write_comparison(analyse(both, TEST), folder=tmp_path / "results")
    said = executed(tmp_path, monkeypatch)
    assert said.count("'image/png'") == 3  # the scores at equal width and at equal parameters, the curves
    assert "parameters" in said


def test_the_notebook_is_committed_without_outputs():
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


def test_the_notebook_reads_results_only():
    assert not [name for name in ("howdeep", "torch", "runs/", "data/") if name in NOTEBOOK.read_text()]
