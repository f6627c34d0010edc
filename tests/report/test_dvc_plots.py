"""The pictures that `dvc plots show` draws of the tuning, with the project's own templates."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

from howdeep.records.trials import TrialRow
from howdeep.report import best_so_far, tuning
from howdeep.results.scores import csv

OWN = [
    TrialRow(depth, name, rate, loss, last_loss=loss)
    for depth in (1, 4)
    for name in ("adam", "sgd")
    for rate in (0.01, 0.1, 1.0)
    for loss in [None if (depth, name, rate) == (4, "sgd", 1.0) else rate / depth]
]


@pytest.fixture(scope="module")
def study(root: Path, tmp_path_factory) -> Path:
    """A DVC project that has the plots of dvc.yaml, and no stage."""
    folder = tmp_path_factory.mktemp("plots")
    Repo.init(str(folder), no_scm=True).close()
    shutil.copytree(root / ".dvc/plots", folder / ".dvc/plots")
    plots = yaml.safe_load((root / "dvc.yaml").read_text())["plots"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"plots": plots}))
    (folder / "results").mkdir()
    return folder


def shown(study: Path, trials: tuning.Trials) -> list[dict[str, Any]]:
    """The Vega-Lite specifications in the page that `dvc plots show` writes."""
    for name, of in (("trials", tuning.frame), ("best_so_far", best_so_far.frame)):
        (study / f"results/{name}.csv").write_text(csv(of(trials)))
    subprocess.run([sys.executable, "-m", "dvc", "plots", "show"], cwd=study, check=True, capture_output=True)
    page = (study / "dvc_plots/index.html").read_text()
    return [json.loads(found) for found in re.findall(r"var spec = (\{.*?\});\n", page, flags=re.DOTALL)]


def fields(node: Any) -> Iterator[str]:
    """Every column that a specification reads."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "field" and isinstance(value, str):
                yield value
            elif key != "values":
                yield from fields(value)
    elif isinstance(node, list):
        for value in node:
            yield from fields(value)


def test_dvc_draws_every_trial_and_every_depth_from_columns_that_there_are(study):
    specs = shown(study, {"digits-mlp": OWN})
    assert len(specs) == 3
    rows = sorted(len(spec["data"]["values"]) for spec in specs)
    assert rows == [len(OWN), len(OWN), 2 * (6 + 3 + 3)]
    for spec in specs:
        made = {step["as"] for step in spec["transform"] if "calculate" in step}
        assert set(fields(spec)) <= set(spec["data"]["values"][0]) | made
        assert "<DVC_METRIC" not in json.dumps(spec)


def test_a_study_that_tunes_nothing_has_empty_pictures_and_no_error(study):
    assert shown(study, {}) == [{}, {}, {}]
