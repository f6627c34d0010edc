"""A run whose first setting diverges is trained with the next one, and its record says so."""

from dataclasses import replace

import pytest

from howdeep.files.project import Project
from howdeep.records.record import read_record
from howdeep.runs.run import execute, in_turn, job_of
from howdeep.stages.train import _is_done


@pytest.fixture
def home(project, tmp_path) -> Project:
    """A project to write into, with the data of the shared one."""
    here = Project(tmp_path / "home")
    here.root.mkdir()
    (here.root / "data").symlink_to(project.root / "data")
    return here


def test_the_next_setting_takes_the_place_of_one_that_diverges(compose, home, tmp_path):
    def jobs(*rates):
        small = ("model=mlp", "train_examples=64", "trainer.max_epochs=2", "optimizer=sgd")
        return [
            job_of(compose(*small, f"optimizer.lr={rate}"), tmp_path / "run", home, entry="e")
            for rate in rates
        ]

    first, second, third = jobs(1e30, 1e29, 0.01)
    job = in_turn([first, second, third])
    assert not _is_done(job)
    record = execute(job, home, None)
    assert record == read_record(tmp_path / "run")
    assert (record["state"], record["key"]) == ("finished", third.key)
    assert record["diverged_before"] == [first.key, second.key]
    assert _is_done(job)
    assert not _is_done(in_turn([second, first, third]))  # in this order others would have diverged before
    assert not _is_done(in_turn([third]))
    assert not _is_done(in_turn([first]))


def test_a_run_of_which_every_setting_diverges_has_diverged(compose, home, tmp_path):
    cfg = compose("model=mlp", "train_examples=64", "optimizer=sgd", "optimizer.lr=1e30")
    only = job_of(cfg, tmp_path / "run", home, entry="e")
    other = replace(only, key="0123456789abcdef")
    record = execute(in_turn([only]), home, None)
    assert record["state"] == "diverged"
    assert "diverged_before" not in record
    assert _is_done(in_turn([only]))
    assert not _is_done(in_turn([only, other]))  # there is something to fall back upon now
