"""Drawn data sets against their definitions: brute force, closed forms, and networks built by hand."""

import itertools
import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from scipy.stats import chisquare

from howdeep.data import adding, copying_memory, dyck, gaussian_ring, sawtooth
from howdeep.data.splits import random_state
from howdeep.nets.mlp import MLP


@pytest.fixture(scope="module")
def prepare(composed, tmp_path_factory):
    """The arrays of both parts, each by its name: `prepare("adding", "data.steps=7")`."""
    nowhere = tmp_path_factory.mktemp("raw")

    def of(name: str, *overrides: str):
        found = instantiate(composed(f"data={name}", *overrides).data.prepare)(nowhere)
        return found.train, found.test

    return of


def both(parts) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.concatenate([part[name] for part in parts]) for name in ("x", "y"))  # type: ignore[return-value]


# --- numbers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [2, 3, 7, 50])
def test_the_sum_is_that_of_one_marked_number_of_each_half(prepare, steps):
    x, y = both(prepare("adding", f"data.steps={steps}", "data.prepare.train_examples=500"))
    places = set()
    for example, (total,) in zip(x.astype(float), y, strict=True):
        first, second = (place for place in range(steps) if example[place, 1] == 1)
        assert first < steps // 2 <= second
        assert sorted(set(example[:, 1])) == ([0, 1] if steps > 2 else [1])
        assert total == pytest.approx(example[first, 0] + example[second, 0], abs=2e-7)
        places |= {first, second}
    assert steps > 7 or places == set(range(steps))  # each step is marked now and then


def test_always_saying_1_of_a_sum_has_a_squared_error_of_a_sixth(prepare):
    x, y = both(prepare("adding"))
    error = (y.astype(float) - 1) ** 2  # of the fourth moment of the triangle, 1/15: variance 1/15 - 1/36
    assert error.mean() == pytest.approx(1 / 6, abs=4 * math.sqrt((1 / 15 - 1 / 36) / len(y)))
    assert x[:, :, 0].mean() == pytest.approx(0.5, abs=4 * math.sqrt(1 / 12 / x[:, :, 0].size))
    assert 0 <= x.min() <= x.max() <= 1


@pytest.mark.parametrize("folds", [1, 2, 3, 6])
def test_a_sawtooth_has_a_straight_piece_for_each_power_of_2_and_ends_at_0(folds):
    grid = np.linspace(0, 1, 4 * 2**folds + 1)
    slopes = np.diff(sawtooth.folded(grid, folds)) / np.diff(grid)
    assert np.abs(slopes).tolist() == [2.0**folds] * len(slopes)
    assert np.count_nonzero(np.diff(np.sign(slopes))) == 2**folds - 1
    assert sawtooth.folded(np.array([0.0, 1.0]), folds).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("folds", [1, 3, 10])
def test_as_many_layers_of_two_rectified_units_as_folds_are_the_sawtooth_to_the_last_bit(prepare, folds):
    """The network of Telgarsky's proof, f(x) = 2 relu(x) - 4 relu(x - 1/2) in each layer."""
    net: Any = MLP(
        in_shape=[1], out_features=1, depth=folds, width=2, activation="relu", initialisation="default",
        residual=False, normalisation="none", dropout=0.0,
    )  # fmt: skip
    tent = torch.tensor([2.0, -4.0])
    with torch.no_grad():
        for place, layer in enumerate(net.layers):
            layer.linear.weight.copy_(tent.expand(2, 2) if place else torch.ones(2, 1))
            layer.linear.bias.copy_(torch.tensor([0.0, -0.5]))
        net.head.weight.copy_(tent[None])
        net.head.bias.zero_()
        for part in prepare("sawtooth", f"data.prepare.folds={folds}"):
            assert torch.equal(net(torch.from_numpy(part["x"])), torch.from_numpy(part["y"]))


@pytest.mark.parametrize("folds", [1, 5, 20])
def test_always_saying_a_half_of_a_sawtooth_has_a_squared_error_of_a_twelfth(prepare, folds):
    _, y = both(prepare("sawtooth", f"data.prepare.folds={folds}"))
    # the variance of the squared distance of a uniform number from its mean is 1/80 - 1/144
    assert ((y.astype(float) - 0.5) ** 2).mean() == pytest.approx(
        1 / 12, abs=4 * math.sqrt((1 / 80 - 1 / 144) / len(y))
    )


def test_points_of_a_ring_lie_around_the_centre_of_their_gaussian():
    x, mode = gaussian_ring.draw(20_000, 8, 2.0, 0.02, random_state(0))
    for place in range(8):
        points = x[mode == place]
        centre = 2 * np.array([math.cos(place * math.pi / 4), math.sin(place * math.pi / 4)])
        np.testing.assert_allclose(points.mean(0), centre, atol=4 * 0.02 / math.sqrt(len(points)))
        np.testing.assert_allclose(points.std(0), 0.02, rtol=0.08)
    assert chisquare(np.bincount(mode)).pvalue > 0.001


def test_a_ring_is_scaled_and_not_distorted(prepare):
    x, y = both(prepare("gaussian_ring"))
    centres = np.stack([x[y == place].mean(0) for place in range(8)]).astype(float)
    sides = np.linalg.norm(centres - np.roll(centres, 1, axis=0), axis=1)
    np.testing.assert_allclose(sides, math.sqrt(2) * 2 * math.sin(math.pi / 8), rtol=0.02)  # of variance 2
    assert both(prepare("gaussian_ring", "data.out_features=5"))[1].max() == 4


# --- symbols --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [21, 22, 50])
def test_ten_symbols_come_again_at_the_end_after_blanks_and_a_marker(prepare, steps):
    x, y = both(prepare("copying_memory", f"data.steps={steps}"))
    blanks = steps - 20  # T
    for given, asked in zip(x[:50].tolist(), y[:50].tolist(), strict=True):
        symbols = given[:10]
        assert set(symbols) <= set(range(1, 9))
        assert given == [*symbols, *[0] * (blanks - 1), 9, *[0] * 10]
        assert asked == [*[0] * (blanks + 10), *symbols]
    assert chisquare(np.bincount(x[:, :10].ravel(), minlength=9)[1:]).pvalue > 0.001


@pytest.mark.parametrize("lengths", ["[1,10]", "[3,3]", "[18,20]"])
def test_parity_is_that_of_the_bits_of_a_number(prepare, lengths):
    x, y = both(
        prepare(
            "parity",
            f"data.prepare.train_lengths={lengths}",
            f"data.prepare.test_lengths={lengths}",
            "data.prepare.train_examples=5",
            "data.prepare.test_examples=3",
        )
    )
    np.testing.assert_array_equal(x[:, :, 1], x[:, :, 0] == 0)  # no step is empty
    for signs, label in zip(x[:, :, 0].tolist(), y, strict=True):
        word = list(itertools.dropwhile(lambda sign: sign == 0, signs))
        number = sum(2**place for place, sign in enumerate(word) if sign == -1)
        assert set(word) <= {-1, 1}
        assert len(word) in range(*(edge + by for by, edge in enumerate(map(int, lengths[1:-1].split(",")))))
        assert number.bit_count() % 2 == label


def test_all_words_of_ten_signs_are_shared_out_between_training_and_test(prepare):
    ten = ("data.steps=10", "data.prepare.train_lengths=[10,10]", "data.prepare.test_lengths=[10,10]")
    x, y = both(prepare("parity", *ten, "data.prepare.train_examples=800", "data.prepare.test_examples=224"))
    assert set(map(tuple, x[:, :, 0].tolist())) == set(itertools.product((-1, 1), repeat=10))
    assert y.sum() == 512


def test_each_length_has_as_many_words_as_the_others_or_all_there_are(prepare):
    train, test = prepare("parity")
    lengths = Counter(np.count_nonzero(train["x"][:, :, 0], axis=1).tolist())
    # 2000 of 2046: all of 1 to 9 signs are 1022, and the other 978 have 10
    assert lengths == {length: 2**length for length in range(1, 10)} | {10: 978}
    assert Counter(np.count_nonzero(test["x"][:, :, 0], axis=1).tolist()) == dict.fromkeys(range(11, 21), 100)


def parsed(word: list[int], kinds: int) -> int | None:
    """The deepest nesting of a word, None if it is wrong: pairs that touch are removed until nothing is left."""
    depth = deepest = 0
    for bracket in word:
        depth += 1 if bracket <= kinds else -1
        deepest = max(deepest, depth)
    text = "".join(map(chr, word))
    pairs = [chr(kind) + chr(kind + kinds) for kind in range(1, kinds + 1)]
    while any(pair in text for pair in pairs):
        for pair in pairs:
            text = text.replace(pair, "")
    return None if text else deepest


@pytest.mark.parametrize(
    ("vocabulary", "nesting", "wrong"), [(3, 2, "swapped"), (5, 4, "changed"), (9, 3, "swapped")]
)
def test_right_words_can_be_parsed_and_wrong_ones_cannot(prepare, vocabulary, nesting, wrong):
    kinds = (vocabulary - 1) // 2
    train, test = prepare(
        "dyck",
        f"data.vocabulary={vocabulary}",
        f"data.prepare.nesting={nesting}",
        f"data.prepare.wrong={wrong}",
        "data.prepare.train_lengths=[8,20]",
        "data.prepare.train_examples=200",
        "data.prepare.test_examples=200",
    )
    for part, lengths in ((train, range(8, 21, 2)), (test, range(22, 41, 2))):
        assert 0.35 < part["y"].mean() < 0.65
        for row, label in zip(part["x"].tolist(), part["y"], strict=True):
            word = list(itertools.dropwhile(lambda bracket: bracket == 0, row))
            assert len(word) in lengths
            assert 1 <= min(word) <= max(word) < vocabulary
            depth = parsed(word, kinds)
            assert (depth is not None) == label
            assert depth is None or depth <= nesting
            if wrong == "swapped":  # as many brackets of each kind open as close
                counts = Counter(word)
                assert all(counts[kind] == counts[kind + kinds] for kind in range(1, kinds + 1))


@pytest.mark.parametrize(("kinds", "nesting", "length"), [(1, 2, 8), (2, 2, 6), (1, 9, 8), (2, 1, 4)])
def test_every_right_word_of_a_length_is_drawn_as_often_as_the_others(kinds, nesting, length):
    every = itertools.product(range(1, 2 * kinds + 1), repeat=length)
    right = {word for word in every if (depth := parsed(list(word), kinds)) is not None and depth <= nesting}
    assert dyck.ways(length, nesting)[length][0] * kinds ** (length // 2) == len(right)
    words = dyck.Words(length, kinds, nesting, "changed", [length], random_state(0))
    drawn = Counter(tuple(words.right(length)) for _ in range(60 * len(right)))
    assert set(drawn) == right
    assert chisquare(list(drawn.values())).pvalue > 0.001


def test_one_bracket_of_a_changed_word_and_two_of_a_swapped_one_are_others():
    for wrong, differ in (("changed", 1), ("swapped", 2)):
        words = dyck.Words(12, 2, 3, wrong, [12], random_state(0))
        for _ in range(100):
            word = words.right(12)
            spoiled = list(word)
            getattr(words, "_change" if wrong == "changed" else "_swap")(spoiled)
            assert sum(one != other for one, other in zip(word, spoiled, strict=True)) == differ


# --- what all have in common ----------------------------------------------------------------------------------

DRAWN = ["adding", "sawtooth", "gaussian_ring", "copying_memory", "parity", "dyck"]
FEW = ("data.prepare.train_examples=60", "data.prepare.test_examples=30")


def rows(part) -> list[bytes]:
    return [row.tobytes() for row in part["x"]]


@pytest.mark.parametrize("name", DRAWN)
def test_sizes_are_those_asked_for_and_no_test_example_is_a_training_one(prepare, name):
    train, test = prepare(name)
    assert len(train["x"]) == len(train["y"]) >= 2 * len(test["x"]) == 2 * len(test["y"]) == 2000
    assert len({*rows(train), *rows(test)}) == len(train["x"]) + len(test["x"])
    train, test = prepare(name, *FEW)
    assert (len(train["x"]), len(test["x"])) == (60, 30)


@pytest.mark.parametrize("name", DRAWN)
def test_the_seed_decides_what_is_drawn(prepare, name):
    one, again, other = (prepare(name, *FEW, f"data.prepare.seed={seed}") for seed in (3, 3, 4))
    for part in (0, 1):
        assert rows(one[part]) == rows(again[part])
        assert not set(rows(one[part])) & set(rows(other[part])) or name in ("parity", "dyck")
        assert rows(one[part]) != rows(other[part])


@pytest.mark.parametrize("name", [name for name in DRAWN if name != "gaussian_ring"])  # scaled as training is
def test_the_test_does_not_depend_on_how_many_training_examples_there_are(prepare, name):
    few, many = (prepare(name, FEW[1], f"data.prepare.train_examples={n}")[1] for n in (60, 90))
    np.testing.assert_array_equal(few["x"], many["x"])
    np.testing.assert_array_equal(few["y"], many["y"])


def test_unrounded_numbers_are_added_and_memory_is_copied_of_given_symbols():
    x, y = adding.draw(1, 2, np.random.RandomState(0))
    first, second = np.random.RandomState(0).random_sample(2)
    assert y == np.float32(first + second)
    assert x[0].tolist() == [[np.float32(first), 1], [np.float32(second), 1]]
    x, y = copying_memory.sequences(np.arange(10)[None], 21)
    assert x[0].tolist() == [*range(10), 9, *[0] * 10]
    assert y[0].tolist() == [*[0] * 11, *range(10)]
