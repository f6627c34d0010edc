"""Digits with random labels or rare classes, and sequences of symbols: what is changed, and that nothing else is."""

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from safetensors.numpy import save_file

from howdeep.data.examples import sequences
from howdeep.errors import UserError


@pytest.fixture(scope="module")
def split(composed, folder):
    """Training, validation and test examples of a data set: `split("noisy_digits", random_labels=1)`."""

    def of(name: str, **options):
        files = (folder(name) / f"{part}.safetensors" for part in ("train", "test"))
        return instantiate(composed(f"data={name}").data.examples)(*files, **options)

    return of


def same(one, other) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["noisy_digits", "imbalanced_digits"])
def test_only_training_examples_are_others_than_those_of_digits(split, name):
    plain, changed = split("digits"), split(name)
    assert same(plain.validation, changed.validation)
    assert same(plain.test, changed.test)
    assert not same(plain.train, changed.train)


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 1])
def test_a_share_of_the_labels_is_drawn_from_ten_classes(split, share):
    (x, y), (x_noisy, y_noisy) = split("digits").train, split("noisy_digits", random_labels=share).train
    assert torch.equal(x, x_noisy)
    others = int((y != y_noisy).sum())
    drawn = round(len(y) * share)
    # each drawn label is another one in 9 of 10 cases
    assert abs(others - 0.9 * drawn) <= 4 * (0.09 * drawn) ** 0.5
    if share == 1:
        counts = torch.bincount(y_noisy, minlength=10).double()
        assert float((counts - len(y) / 10).abs().max()) < 4 * (len(y) * 0.09) ** 0.5


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan"), True, None, "half"])
def test_what_is_no_share_of_the_labels_is_refused(split, share):
    with pytest.raises(UserError, match=r"data\.examples\.random_labels must be a number from 0 to 1, got"):
        split("noisy_digits", random_labels=share)


@pytest.mark.parametrize(
    ("rare", "ratio"), [([0, 1, 2, 3, 4], 10), ([7], 2.5), ([3, 8], 1e6), ([], 9), ([5], 1)]
)
def test_of_rare_classes_one_image_of_so_many_is_left(split, rare, ratio):
    plain, thinned = split("digits").train, split("imbalanced_digits", rare=rare, ratio=ratio).train
    before, after = (torch.bincount(y, minlength=10).tolist() for _, y in (plain, thinned))
    expected = [max(1, round(n / ratio)) if label in rare else n for label, n in enumerate(before)]
    assert after == expected
    images = {x.numpy().tobytes(): int(y) for x, y in zip(*plain, strict=True)}
    kept = [x.numpy().tobytes() for x in thinned[0]]
    assert [images[image] for image in kept] == thinned[1].tolist()
    assert kept == [image for image in images if image in set(kept)]  # in their order


@pytest.mark.parametrize("ratio", [0, 0.99, float("inf"), float("nan"), True, None, "ten"])
def test_what_is_no_ratio_is_refused(split, ratio):
    with pytest.raises(UserError, match=r"data\.examples\.ratio must be a number of at least 1, got"):
        split("imbalanced_digits", ratio=ratio)


@pytest.mark.parametrize("rare", [[10], [-1], [1.0], [True], ["1"], list(range(10)), "123", 3, None])
def test_classes_that_there_are_not_or_all_of_them_are_not_rare(split, rare):
    with pytest.raises(
        UserError, match=r"data\.examples\.rare must list some of the classes 0 to 9, and not all"
    ):
        split("imbalanced_digits", rare=rare)


def test_the_seed_decides_which_labels_are_drawn_and_which_images_are_left(split):
    for name in ("noisy_digits", "imbalanced_digits"):
        one, again, other = (split(name, seed=seed) for seed in (3, 3, 4))
        assert same(one.train, again.train)
        assert not same(one.train, other.train)


@pytest.fixture
def symbols(tmp_path):
    """40 sequences of three symbols of 0 to 4, the first of which is their class, and what belongs to each step."""
    x = np.random.RandomState(0).randint(5, size=(40, 3)).astype(np.uint8)
    for name, y in (("class", x[:, 0].astype(np.int64)), ("steps", x)):
        (tmp_path / name).mkdir()
        for part in ("train", "test"):
            save_file({"x": x, "y": y}, tmp_path / name / f"{part}.safetensors")
    return tmp_path


@pytest.mark.parametrize("kind", ["class", "steps"])
def test_symbols_and_what_belongs_to_them_are_int64_and_stay_together(symbols, kind):
    files = (symbols / kind / f"{part}.safetensors" for part in ("train", "test"))
    split = sequences(*files, in_shape=[3], vocabulary=5, validation_fraction=0.25, seed=0)
    assert [len(x) for x, _ in filter(None, split)] == [30, 10, 40]
    for x, y in filter(None, split):
        assert x.dtype == y.dtype == torch.int64
        assert torch.equal(y, x if kind == "steps" else x[:, 0])
    assert (
        sequences(
            symbols / kind / "train.safetensors",
            None,
            in_shape=[3],
            vocabulary=9,
            validation_fraction=0.25,
            seed=0,
        ).test
        is None
    )


@pytest.mark.parametrize("vocabulary", [4, 5.0, True, None, "5"])
def test_a_vocabulary_that_does_not_hold_all_symbols_is_refused(symbols, vocabulary):
    with pytest.raises(
        UserError, match=r"data\.vocabulary must be a whole number of at least 5, the symbols of class"
    ):
        sequences(
            symbols / "class" / "train.safetensors", None, in_shape=[3], vocabulary=vocabulary,
            validation_fraction=0.25, seed=0,
        )  # fmt: skip


def test_a_length_that_sequences_do_not_have_is_refused(symbols):
    with pytest.raises(UserError, match=r"data\.in_shape \[4\] holds 4 numbers, an example of steps 3"):
        sequences(
            symbols / "steps" / "train.safetensors",
            None,
            in_shape=[4],
            vocabulary=5,
            validation_fraction=0.25,
            seed=0,
        )
