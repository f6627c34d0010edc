"""Examples against hand-computed windows, and the borders between training, validation and test."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.numpy import save_file

from howdeep.data.examples import characters, decode, labelled, windows
from howdeep.data.splits import stratified
from howdeep.errors import UserError

STEPS = np.arange(20, dtype=np.float32)[:, None]  # every value is its own time
LABELS = np.arange(40) % 4


@pytest.fixture
def series(tmp_path) -> tuple[Path, Path]:
    save_file({"series": STEPS[:14]}, tmp_path / "train.safetensors")
    save_file({"series": STEPS[14:]}, tmp_path / "test.safetensors")
    return tmp_path / "train.safetensors", tmp_path / "test.safetensors"


@pytest.fixture
def images(tmp_path) -> tuple[Path, Path]:
    x = np.arange(40 * 12, dtype=np.float32).reshape(40, 12)
    save_file({"x": x, "y": LABELS}, tmp_path / "train.safetensors")
    save_file({"x": -x[:5], "y": LABELS[:5]}, tmp_path / "test.safetensors")
    return tmp_path / "train.safetensors", tmp_path / "test.safetensors"


def forecast(series, **options):
    return windows(*series, **{"context": 3, "in_shape": [3, 1], "validation_fraction": 0.3} | options)


def test_windows_are_the_ones_counted_by_hand(series):
    # 14 training steps: 0..9 train, 10..13 validate; 14..19 are the test
    split = forecast(series)
    assert split.train[0].squeeze(2).tolist() == [[t - 3, t - 2, t - 1] for t in range(3, 10)]
    assert split.train[1].tolist() == [[t] for t in range(3, 10)]
    assert split.validation[0].squeeze(2).tolist() == [[t - 3, t - 2, t - 1] for t in range(10, 14)]
    assert split.validation[1].tolist() == [[t] for t in range(10, 14)]
    assert split.test is not None
    assert split.test[0].squeeze(2).tolist() == [[t - 3, t - 2, t - 1] for t in range(14, 20)]
    assert split.test[1].tolist() == [[t] for t in range(14, 20)]


@pytest.mark.parametrize("context", range(1, 10))
def test_no_window_of_an_earlier_part_sees_a_later_target(series, context):
    split = forecast(series, context=context, in_shape=[context, 1])
    assert split.test is not None
    for earlier, later in ((split.train, split.validation), (split.validation, split.test)):
        assert max(earlier[0].max(), earlier[1].max()) < later[1].min()
    for x, y in (split.train, split.validation, split.test):
        assert (x[:, -1] == y - 1).all()


@pytest.mark.parametrize("horizon", [1, 2, 4])
def test_a_horizon_is_how_many_steps_a_target_comes_after_its_window(series, horizon):
    split = forecast(series, horizon=horizon)
    for x, y in filter(None, split):
        assert (y[:, 0] - x[:, -1, 0]).tolist() == [horizon] * len(y)
    near = forecast(series)
    assert torch.equal(split.validation[1], near.validation[1])
    assert len(split.train[1]) == len(near.train[1]) - horizon + 1


@pytest.mark.parametrize("horizon", [0, 99, 1.5, "far"])
def test_a_horizon_that_means_nothing_is_refused(series, horizon):
    with pytest.raises(UserError, match=r"data\.examples\.horizon must be a whole number from 1 to"):
        forecast(series, horizon=horizon)


def test_windows_keep_the_variables_apart(tmp_path):
    both = np.stack([np.arange(10), 100 + np.arange(10)], axis=1).astype(np.float32)
    save_file({"series": both}, tmp_path / "train.safetensors")
    x, y = forecast((tmp_path / "train.safetensors", None), context=2, in_shape=[2, 2]).train
    assert x[0].tolist() == [[0, 100], [1, 101]]
    assert y[0].tolist() == [2, 102]


@pytest.mark.parametrize("context", [0, -1, 10, 99, 1.5, True, "two"])
def test_a_context_that_leaves_no_training_window_is_refused(series, context):
    with pytest.raises(UserError, match=r"data\.context must be a whole number from 1 to 9, got"):
        forecast(series, context=context)


@pytest.mark.parametrize("in_shape", [[4, 1], [3], [3, 2], 3, "3"])
def test_a_shape_that_the_windows_do_not_have_is_refused(series, in_shape):
    with pytest.raises(UserError, match=r"data\.in_shape must be \[3, 1\] here.*change data\.context"):
        forecast(series, in_shape=in_shape)


@pytest.mark.parametrize("in_shape", [[12], [1, 3, 4], [6, 2], (2, 2, 3), OmegaConf.create([12, 1])])
def test_examples_are_reshaped_row_by_row(images, in_shape):
    split = labelled(*images, in_shape=in_shape, validation_fraction=0.25, seed=0)
    expected = np.arange(40 * 12, dtype=np.float32).reshape(40, *in_shape)
    kept, held_out = stratified(LABELS, 0.25, seed=0)
    for (x, y), indices in ((split.train, kept), (split.validation, held_out)):
        np.testing.assert_array_equal(x.numpy(), expected[indices])
        np.testing.assert_array_equal(y.numpy(), LABELS[indices])
    assert split.test is not None
    np.testing.assert_array_equal(split.test[0].numpy(), -expected[:5])


def test_classes_are_whole_numbers(images):
    x, y = labelled(*images, in_shape=[12], validation_fraction=0.25, seed=0).train
    assert (x.dtype, y.dtype) == (torch.float32, torch.int64)


def test_windows_and_the_values_after_them_are_single_precision(series):
    x, y = forecast(series).train
    assert (x.dtype, y.dtype) == (torch.float32, torch.float32)
    assert x.is_contiguous()


def test_a_shape_of_another_size_says_both_sizes(images):
    message = (
        r"data\.in_shape \[16, 5\] holds 80 numbers, an example of .* 12: choose sizes whose product is 12"
    )
    with pytest.raises(UserError, match=message):
        labelled(*images, in_shape=[16, 5], validation_fraction=0.25, seed=0)


@pytest.mark.parametrize("in_shape", [[], [-3, -4], [12.0], ["12"], "12", 12, None])
def test_a_shape_that_is_no_list_of_sizes_is_refused(images, in_shape):
    with pytest.raises(UserError, match=r"data\.in_shape must list whole numbers above 0"):
        labelled(*images, in_shape=in_shape, validation_fraction=0.25, seed=0)


def test_windows_leave_the_test_file_unread_unless_it_is_given(series):
    series[1].unlink()
    assert forecast((series[0], None)).test is None
    with pytest.raises(UserError, match="found none"):
        forecast(series)


def test_labelled_examples_leave_the_test_file_unread_unless_it_is_given(images):
    images[1].unlink()
    assert labelled(images[0], None, in_shape=[12], validation_fraction=0.25, seed=0).test is None


def test_a_series_is_no_labelled_data(series):
    with pytest.raises(UserError, match="expected x, y among the arrays"):
        labelled(*series, in_shape=[1], validation_fraction=0.25, seed=0)


@pytest.fixture
def text(tmp_path) -> tuple[Path, Path]:
    places = np.arange(30, dtype=np.uint8)  # every character is its own time
    codes = np.arange(ord("A"), ord("A") + 30, dtype=np.uint32)
    save_file({"text": places[:20], "alphabet": codes}, tmp_path / "train.safetensors")
    save_file({"text": places[20:]}, tmp_path / "test.safetensors")
    return tmp_path / "train.safetensors", tmp_path / "test.safetensors"


def read(text, **options):
    plain = {"context": 4, "in_shape": [4], "vocabulary": 30, "validation_fraction": 0.3}
    return characters(*text, **(plain | options))


def test_characters_and_the_next_ones_are_those_counted_by_hand(text):
    # 20 training characters: 0..13 train, 14..19 validate; 20..29 are the test; what fills no window is left
    split = read(text)
    assert split.alphabet == "".join(map(chr, range(ord("A"), ord("A") + 30)))
    assert split.train[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert split.train[1].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert split.validation[0].tolist() == [[13, 14, 15, 16]]
    assert split.validation[1].tolist() == [[14, 15, 16, 17]]
    assert split.test is not None
    assert split.test[0].tolist() == [[19, 20, 21, 22], [23, 24, 25, 26]]
    assert split.test[1].tolist() == [[20, 21, 22, 23], [24, 25, 26, 27]]


@pytest.mark.parametrize("context", range(1, 7))
def test_every_character_is_predicted_once_and_never_seen_by_an_earlier_part(text, context):
    split = read(text, context=context, in_shape=[context])
    assert split.test is not None
    parts = (split.train, split.validation, split.test)
    for (x, y), start, stop in zip(parts, (1, 14, 20), (14, 20, 30), strict=True):
        whole = (stop - start) // context * context
        assert y.flatten().tolist() == list(range(start, start + whole))
        assert (x == y - 1).all()


def test_indices_of_characters_are_int64(text):
    for part in read(text).train:
        assert part.dtype == torch.int64


@pytest.mark.parametrize("context", [0, -1, 7, 1.5, True, "two"])
def test_a_context_that_a_part_is_too_short_for_is_refused(text, context):
    with pytest.raises(UserError, match=r"data\.context must be a whole number from 1 to 6, got"):
        read(text, context=context)


@pytest.mark.parametrize("in_shape", [[5], [4, 1], 4, "4"])
def test_a_shape_that_the_characters_do_not_have_is_refused(text, in_shape):
    with pytest.raises(UserError, match=r"data\.in_shape must be \[4\] here.*change data\.context"):
        read(text, in_shape=in_shape)


@pytest.mark.parametrize("vocabulary", [29, 31, None])
def test_a_vocabulary_of_another_size_is_refused(text, vocabulary):
    with pytest.raises(UserError, match=r"data\.vocabulary must be 30, the characters of .*, got"):
        read(text, vocabulary=vocabulary)


def test_characters_leave_the_test_file_unread_unless_it_is_given(text):
    text[1].unlink()
    assert read((text[0], None)).test is None
    with pytest.raises(UserError, match="found none"):
        read(text)


def test_the_text_of_indices_is_that_of_their_characters():
    assert decode(torch.tensor([2, 0, 1, 1]), "aé\n") == "\naéé"
