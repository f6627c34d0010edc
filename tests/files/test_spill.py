"""Rows that are spilled into a file without a name."""

import numpy as np
import pytest

from howdeep.files.spill import Spill

ROWS = np.random.default_rng(0).normal(size=(50, 3))
ROWS[3, 1] = np.nan


def test_rows_are_taken_in_any_order_as_often_as_they_are_wanted(tmp_path):
    spilled = Spill((ROWS[first : first + 7] for first in range(0, 50, 7)), 3, tmp_path)
    assert len(spilled) == 50
    for rows in (np.arange(50), np.array([49, 0, 3, 3]), np.array([], dtype=np.int64)):
        np.testing.assert_array_equal(spilled.take(rows), ROWS[rows])


def test_nobody_finds_the_file_and_what_was_taken_outlives_it(tmp_path):
    spilled = Spill([ROWS], 3, tmp_path)
    found = spilled.take(np.arange(5))
    assert list(tmp_path.iterdir()) == []
    del spilled
    np.testing.assert_array_equal(found, ROWS[:5])


def test_a_failure_while_rows_come_leaves_nothing(tmp_path):
    def rows():
        yield ROWS
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Spill(rows(), 3, tmp_path)
    assert list(tmp_path.iterdir()) == []
