"""Which entries are one network by several recipes."""

from howdeep.study.params import Entry
from howdeep.study.recipes import recipes

PLAIN = ("model.normalisation=none", "model.residual=false", "model.initialisation=default")


def entry(name: str, *overrides: str, data: str = "digits", model: str = "cnn", **changes) -> Entry:
    return Entry(name, data, model, "classification", overrides, **changes)


def test_entries_that_differ_in_their_recipe_alone_are_a_group_the_full_recipe_first():
    plain, half, full = entry("plain", *PLAIN), entry("residual", PLAIN[0]), entry("full")
    assert recipes([plain, half, full]) == {"full": ["full", "residual", "plain"]}


def test_matchings_seeds_and_the_order_of_overrides_part_no_group():
    wide = entry("a", "trainer.max_epochs=20", "model.width=8", matchings=("width", "flops"), seeds=(0, 1))
    plain = entry("b", *PLAIN, "model.width=8", "trainer.max_epochs=20")
    assert recipes([wide, plain]) == {"a": ["a", "b"]}


def test_what_differs_in_anything_else_is_no_recipe_of_it():
    plain = entry("plain", *PLAIN)
    for other in (
        entry("a", "model.width=8"),
        entry("a", "train_examples=100"),
        entry("a", data="mnist"),
        entry("a", model="mlp"),
    ):
        assert recipes([plain, other]) == {}
    assert recipes([plain]) == {}
