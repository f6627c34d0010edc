"""Options of data sets that are drawn: what means nothing is refused in one line that says what is expected."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import yaml
from hydra.utils import instantiate

from howdeep.data import drawn
from howdeep.errors import UserError

NO_COUNT = ["0", "-1", "1.5", "true", "many", "null"]
LEAST = {  # of each option that counts something
    "adding": {"steps": 2},
    "copying_memory": {"steps": 21},
    "dyck": {"steps": 2, "nesting": 1},
    "gaussian_ring": {"modes": 2},
    "parity": {"steps": 1},
    "sawtooth": {"folds": 1},
}
COUNTS = [
    (name, option, least, value)
    for name, own in LEAST.items()
    for option, least in (own | {"train_examples": 2, "test_examples": 1}).items()
    for value in (NO_COUNT if option in own else ["0"])
]


@pytest.fixture(scope="module")
def refused(composed, tmp_path_factory) -> Callable[..., str]:
    """What `prepare` of a data set says of options: `refused("adding", steps="null")`, the values as in YAML."""
    defaults = cache(lambda name: instantiate(composed(f"data={name}").data.prepare))
    raw = tmp_path_factory.mktemp("raw")

    def of(name: str, **options: str) -> str:
        with pytest.raises(UserError) as caught:
            defaults(name)(raw, **{option: yaml.safe_load(value) for option, value in options.items()})
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return of


@pytest.mark.parametrize(("name", "option", "least", "value"), COUNTS)
def test_what_is_no_count_is_refused(refused, name, option, least, value):
    said = refused(name, **{option: value})
    assert said.startswith(f"data.prepare.{option} must be a whole number of at least {least}, got ")


@pytest.mark.parametrize("name", LEAST)
@pytest.mark.parametrize("seed", ["-1", "1.5", "null"])
def test_what_is_no_seed_is_refused(refused, name, seed):
    said = refused(name, seed=seed)
    assert said.startswith("a seed of the data must be a whole number from 0 to 2^32 - 1, got ")


def test_one_less_than_the_least_is_refused(refused):
    for name, option, less in (
        ("adding", "steps", 1),
        ("copying_memory", "steps", 20),
        ("gaussian_ring", "modes", 1),
    ):
        assert refused(name, **{option: str(less)}).endswith(f"got {less}")


def test_more_folds_than_a_number_has_digits_for_are_refused(refused):
    assert "folds must be at most 20" in refused("sawtooth", folds="21")


@pytest.mark.parametrize("option", ["radius", "deviation"])
@pytest.mark.parametrize("value", ["0", "-1", ".inf", ".nan", "true", "wide", "null"])
def test_a_ring_has_a_size_above_0(refused, option, value):
    said = refused("gaussian_ring", **{option: value})
    assert said.startswith(f"data.prepare.{option} must be a number above 0, got ")


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    "value", ["[]", "[2]", "[2,4,6]", "[4,2]", "[0,4]", "[2,42]", "[2,4.0]", "[true,4]", "4", "ab", "null"]
)
@pytest.mark.parametrize(("name", "words"), [("parity", "lengths"), ("dyck", "even lengths")])
def test_lengths_are_a_shortest_and_a_longest_that_there_is_room_for(refused, name, words, part, value):
    said = refused(name, **{f"{part}_lengths": value})
    assert said.startswith(
        f"data.prepare.{part}_lengths must list the {words} of the shortest and of the longest word"
    )


def test_odd_lengths_are_refused_of_brackets_alone(refused):
    assert "as in [2, 40]" in refused("dyck", train_lengths="[2,5]")
    assert drawn.lengths("train_lengths", [2, 5], steps=7) == range(2, 6)
    assert list(drawn.lengths("train_lengths", (2, 6), steps=7, even=True)) == [2, 4, 6]


@pytest.mark.parametrize("value", ["1", "2", "4", "257", "5.0", "true", "null"])
def test_a_vocabulary_of_brackets_is_odd(refused, value):
    said = refused("dyck", vocabulary=value)
    assert said.startswith("data.vocabulary must be odd and from 3 to 255")


def test_an_unknown_way_to_be_wrong_is_told_with_the_nearest(refused):
    assert "did you mean 'swapped'?" in refused("dyck", wrong="swaped")


def test_more_words_than_there_are_are_refused(refused):
    said = refused("parity", train_lengths="[1,3]", train_examples="15")
    assert (
        said
        == "data.prepare.train_examples must be at most 14, the words of 1 to 3 signs that are left, got 15"
    )
    one_length = {"train_lengths": "[3,3]", "test_lengths": "[3,3]", "test_examples": "5"}
    assert "at most 3, the words" in refused("parity", **one_length, train_examples="4")
    said = refused("dyck", train_lengths="[2,2]", train_examples="17")
    assert said.startswith("expected 17 words that differ from all others, found ")


def test_distinct_words_are_the_first_that_are_new():
    stream = iter([[1, 2, 1], [2, 3, 3], [1, 4, 5]])
    seen = {np.int64(3).tobytes()}
    found = drawn.distinct(lambda n: np.array(next(stream)[:n], dtype=np.int64), 3, seen)
    assert found.tolist() == [1, 2, 4]
    assert seen == {np.int64(of).tobytes() for of in (1, 2, 3, 4)}
