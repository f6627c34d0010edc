"""Samples of large tables: the first rows and evenly spaced ones, always the same."""

from itertools import pairwise

import pytest

from howdeep.intake import sampling
from howdeep.intake.reading import Sheet
from howdeep.intake.sampling import sample


def sheets(rows: int, size: int):
    for first in range(0, rows, size):
        places = range(first, min(rows, first + size))
        yield Sheet(["a", "b"], [[str(place), "x"] for place in places], [place + 2 for place in places])


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("rows", [1, 10, 19, 20])
def test_a_table_that_is_small_enough_is_its_sample(monkeypatch, rows, size):
    monkeypatch.setattr(sampling, "CELLS", 40)  # 20 rows
    found = sample(sheets(rows, size))
    assert found.is_whole
    assert found.sheet.column("a") == [str(place) for place in range(rows)]
    assert found.sheet.lines == list(range(2, rows + 2))


@pytest.mark.parametrize("rows", [21, 100, 1003])
def test_of_a_larger_one_the_rows_are_the_first_and_evenly_spaced_ones_whatever_the_chunks(monkeypatch, rows):
    monkeypatch.setattr(sampling, "CELLS", 40)
    found = sample(sheets(rows, 7))
    assert found == sample(sheets(rows, 1)) == sample(sheets(rows, 5000))
    assert (found.first, found.rows, found.is_whole) == (10, rows, False)
    places = [int(text) for text in found.sheet.column("a")]
    assert places[:10] == list(range(10))
    spaced = places[10:]
    assert len({later - earlier for earlier, later in pairwise(spaced)}) == 1
    assert 5 <= len(spaced) <= 10
    assert spaced[0] >= 10
    assert spaced[-1] > 0.85 * rows
    assert found.sheet.lines == [place + 2 for place in places]
