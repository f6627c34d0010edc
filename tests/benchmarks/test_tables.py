"""benchmarks.tables: the table that is made, and what is told of it."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import measure, tables
from howdeep.intake.reading import read


def test_the_table_has_thirty_columns_and_as_many_rows_as_it_shall(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "CHUNK", 40)
    tables.make(tmp_path / "of.csv", 100)
    sheet = read(tmp_path / "of.csv", "utf-8", ",")
    assert (len(sheet.names), len(sheet.rows)) == (30, 100)
    assert set(sheet.column("class")) == set(tables.CLASSES)
    assert "" in sheet.column("number_0")
    assert "" not in sheet.column("number_9")
    assert sheet.column("code") == [f"c{place}" for place in range(100)]


def test_a_step_has_its_middle_time_and_its_most_memory():
    taken = {
        step: [{"seconds": s, "peak MB": 100 * s, "own MB": 10 * s} for s in (1, 5, 2)]
        for step in tables.STEPS
    }
    taken["epoch"] = [{"seconds": 3, "peak MB": 1, "own MB": 1, "examples": 60}]
    found = {row["step"]: row for row in tables.rows_of(taken, 100)}
    assert found["prepare"] == {
        "step": "prepare", "rows": 100, "seconds": 2, "rows a second": 50, "peak MB": 500, "own MB": 50,
    }  # fmt: skip
    assert found["epoch"]["rows a second"] == 20


def test_memory_is_that_of_this_process():
    before = tables.memory("VmHWM")
    held = np.ones(30_000_000 // 8)
    assert tables.memory("VmHWM") >= max(before, held.nbytes / 1e6)
    assert tables.memory("RssAnon") > held.nbytes / 1e6


@pytest.mark.slow
def test_it_runs_from_the_table_to_the_epoch(tmp_path):
    command = [sys.executable, "-m", "benchmarks.tables", "--rows", "2000", "--folder", tmp_path]
    done = subprocess.run(
        [*command, "--results", tmp_path / "results"], cwd=measure.ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with (tmp_path / "results/tables.csv").open() as file:
        found = {row["step"]: row for row in csv.DictReader(file)}
    assert list(found) == list(tables.STEPS)
    assert found["epoch"]["rows"] == "1200"
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
