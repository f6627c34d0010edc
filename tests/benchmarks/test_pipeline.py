"""benchmarks.pipeline, as it is typed: the table has its rows, and the parts of a whole add up to it."""

import csv
import subprocess
import sys

import pytest
import yaml

from benchmarks import measure, pipeline
from tests.amount import only_in_full

pytestmark = pytest.mark.slow


def rows_of(folder, *args: str) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.pipeline", *args, "--results", str(folder)]
    subprocess.run(command, check=True, cwd=pipeline.ROOT, timeout=300)
    rows = csv.DictReader((folder / "pipeline.csv").read_text().splitlines())
    return {row["what"]: float(row["median"]) for row in rows}


def test_a_run_and_a_job_cost_more_than_their_training_and_the_parts_add_up(tmp_path):
    rows = rows_of(tmp_path, "--only", "run", "multirun", "--runs", "2", "--repeats", "1")
    whole, *parts = (value for name, value in rows.items() if "multirun" not in name)
    assert whole == pytest.approx(sum(parts), rel=1e-6)
    assert rows["a Hydra multirun job, beyond its training"] > 0
    assert "<svg" in (tmp_path / "pipeline.svg").read_text()


@only_in_full
def test_of_the_wall_time_of_a_study_all_of_it_is_told(tmp_path):
    entry = {
        "data": "digits",
        "model": "mlp",
        "task": "classification",
        "overrides": {"trainer": {"max_epochs": 2}},
    }
    tiny = yaml.safe_load((pipeline.ROOT / "params.yaml").read_text())
    tiny |= {
        "data": ["digits"],
        "depths": [1, 2],
        "matching": ["width"],
        "seeds": [0, 1],
        "entries": {"digits-mlp": entry},
    }
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(tiny))
    rows = rows_of(tmp_path, "--only", "study", "--study", str(tmp_path / "tiny.yaml"), "--repeats", "1")
    parts = {name: value for name, value in rows.items() if name.startswith("- ")}
    assert sum(parts.values()) == pytest.approx(100)
    share = next(value for name, value in rows.items() if "neither" in name)
    spent = ("- training", "- tune stages", "- evaluation")
    assert share == pytest.approx(100 - sum(parts[name] for name in spent))
    assert all(parts[name] > 0 for name in spent[:2])


@pytest.mark.parametrize("n_workers", [1, 2, 3])
def test_the_rate_of_workers_counts_neither_their_start_nor_an_uneven_end(n_workers):
    """Each worker needs two seconds for a run, and more for its first; one of them has a long last run."""
    ended = sorted(5 + 0.1 * worker + 2 * run for worker in range(n_workers) for run in range(20))
    assert pipeline.rate(ended, n_workers) == pytest.approx(n_workers / 2)
    assert pipeline.rate([*ended[:-1], 99], n_workers) == pytest.approx(n_workers / 2)


def test_what_is_clocked_is_what_was_spent_inside_and_nothing_stays_behind():
    class Place:
        def half(self) -> None:
            ticks.append(ticks[-1] + 0.5)

    own, ticks = Place.half, [0.0]
    with measure.clocked([(Place, "half")], lambda: ticks[-1]) as spent:
        Place().half()
        ticks.append(ticks[-1] + 10)
        Place().half()
    assert (spent.seconds, Place.half) == (1.0, own)
