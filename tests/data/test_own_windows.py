"""Windows of several series: those of each alone, in the order of time, and never across a border."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from howdeep.data.examples import windows as of_one
from howdeep.data.own_windows import windows
from howdeep.errors import UserError
from howdeep.tasks.forecasting import Forecasting

LENGTHS, TRAIN = (20, 35), (14, 25)
OPTIONS = {"context": 3, "in_shape": [3, 2], "validation_fraction": 0.3}


def values(index: int) -> np.ndarray:
    """(steps, 2): every value says its series and its step."""
    steps = 1000 * index + np.arange(LENGTHS[index])
    return np.stack([steps, -steps], axis=1).astype(np.float32)


@pytest.fixture
def alone(tmp_path) -> list[tuple[Path, Path]]:
    """Each series in files of its own."""
    found = []
    for index, past in enumerate(TRAIN):
        (folder := tmp_path / f"alone{index}").mkdir()
        files = folder / "train.safetensors", folder / "test.safetensors"
        for path, part in zip(files, (slice(past), slice(past, None)), strict=True):
            save_file({"series": np.ascontiguousarray(values(index)[part])}, path)
        found.append(files)
    return found


@pytest.fixture
def together(tmp_path) -> tuple[Path, Path]:
    """Both series in the files of one data set, in the order of time; the second begins five moments later."""
    (folder := tmp_path / "both").mkdir()
    files = folder / "train.safetensors", folder / "test.safetensors"
    for path, test in zip(files, (False, True), strict=True):
        rows = [
            (step + 5 * index, index, own)
            for index, past in enumerate(TRAIN) for step, own in enumerate(values(index)) if (step >= past) == test
        ]  # fmt: skip
        moments, of, series = zip(*sorted(rows, key=lambda row: row[:2]), strict=True)
        save_file({"series": np.array(series), "of": np.array(of), "moment": np.array(moments)}, path)
    return files


@pytest.mark.parametrize("horizon", [1, 4])
def test_windows_of_several_series_are_those_of_each_alone(alone, together, horizon):
    split = windows(*together, **OPTIONS, horizon=horizon)
    each = [of_one(*files, **OPTIONS, horizon=horizon) for files in alone]
    for part in ("train", "validation", "test"):
        x, y = getattr(split, part)
        for index in (0, 1):
            mine = y[:, 0] // 1000 == index
            torch.testing.assert_close((x[mine], y[mine]), getattr(each[index], part))
        assert len(y) == sum(len(getattr(own, part)[1]) for own in each)


@pytest.mark.parametrize("horizon", [1, 3])
def test_the_last_step_of_a_window_shows_what_is_known_of_the_one_that_is_told(tmp_path, horizon):
    """Every value says its step, and its tens which array it is of."""
    steps = np.arange(20, dtype=np.float32)[:, None]
    arrays = {"series": steps, "inputs": steps + 100, "known": np.hstack([steps + 200, steps + 300])}
    for name, part in (("train", slice(14)), ("test", slice(14, None))):
        own = {role: np.ascontiguousarray(array[part]) for role, array in arrays.items()}
        save_file(
            own | {"of": np.zeros(len(own["series"]), dtype=np.int64)}, tmp_path / f"{name}.safetensors"
        )
    files = tmp_path / "train.safetensors", tmp_path / "test.safetensors"
    split = windows(*files, context=3, in_shape=[3, 4], validation_fraction=0.3, horizon=horizon)
    spans = (2 + horizon, 10), (10, 14), (14, 20)
    for (x, y), (start, stop) in zip(filter(None, split), spans, strict=True):
        told = range(start, stop)
        assert y.tolist() == [[t] for t in told]
        for window, t in zip(x.tolist(), told, strict=True):
            seen = [t - horizon - 2, t - horizon - 1, t - horizon]
            assert window == [[s, s + 100, s + horizon + 200, s + horizon + 300] for s in seen]
            assert window[-1][2] == 200 + t


def test_no_window_crosses_a_border(together):
    for x, y in filter(None, windows(*together, **OPTIONS)):
        whole = torch.cat([x, y[:, None]], dim=1)[..., 0]
        assert (whole.diff(dim=1) == 1).all()


def test_examples_come_in_the_order_of_time(together):
    for _, y in filter(None, windows(*together, **OPTIONS)):
        moments = y[:, 0] % 1000 + 5 * (y[:, 0] // 1000)
        assert (moments.diff() >= 0).all()


def test_the_simple_methods_see_each_series_alone(together):
    """Values grow by 1 in each series: what is wrong at a border would show as an error of about 1000."""
    split = windows(*together, **OPTIONS, horizon=2)
    assert split.test is not None
    found = Forecasting.baselines(split.train, split.test, {})
    assert found["persistence"]["mae"] == 2
    assert found["seasonal naive"]["mae"] == 3  # the shortest season, two steps, over a horizon of two
    assert max(found[name]["mae"] for name in ("AR(3)", "AR, order chosen")) < 1e-2


def test_the_test_file_is_left_unread_unless_it_is_given(together):
    assert windows(together[0], None, **OPTIONS).test is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"context": 10}, r"data\.context must be a whole number from 1 to 9, got 10: a window and the value after it "
                          r"must fit into the 10 training steps of the shortest series of both"),
        ({"horizon": 10}, r"data\.examples\.horizon must be a whole number from 1 to 9, got 10"),
        ({"context": 0}, "from 1 to 9, got 0"),
        ({"in_shape": [3, 1]}, r"data\.in_shape must be \[3, 2\] here, got \[3, 1\]"),
    ],
)  # fmt: skip
def test_what_the_shortest_series_is_too_short_for_is_refused(together, options, told):
    with pytest.raises(UserError, match=told):
        windows(*together, **(OPTIONS | options))
