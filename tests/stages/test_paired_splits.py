"""The split of a run: the same for all, or drawn by the seed, and always the same across depths."""

import shutil

import pytest
import torch

from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.records.fingerprint import run_key, settings
from howdeep.runs.examples import (
    ensure_prepared,
    load_split,
    place,
    prepared_card,
    split_of,
    train_checksum,
)
from howdeep.study.seeds import of_seed


def drawn(project, cfg):
    """The inputs of both parts of a split, as one row of numbers each."""
    split = load_split(cfg, project, test=True)
    assert split.test is not None
    return [x.flatten(1).sum(1) for x, _ in (split.train, split.validation, split.test)]


def test_seeds_draw_validation_examples_of_their_own_and_the_test_stays(project, compose):
    cells = [compose(f"model.depth={depth}") for depth in (1, 4)]
    first, second = ([drawn(project, of_seed(cell, seed, "seeds")) for cell in cells] for seed in (1, 2))
    for shallow, deep in (first, second):  # paired across depths
        assert all(torch.equal(a, b) for a, b in zip(shallow, deep, strict=True))
    assert not torch.equal(first[0][1], second[0][1])
    assert torch.equal(first[0][2], second[0][2])
    both = [torch.cat(parts[:2]).sort().values for parts in (first[0], second[0])]
    assert torch.equal(*both)  # the same examples, put otherwise


def test_a_fixed_split_is_the_data_s_own_at_every_seed(project, compose):
    cfg = compose()
    for seed in (0, 5):
        own = of_seed(cfg, seed, "fixed")
        assert (own.seed, own.data.examples.seed) == (seed, 0)


@pytest.fixture
def here(project, tmp_path) -> Project:
    """A project with the data of the shared one, and a scratch/ of its own."""
    for name in ("conf", "data"):
        shutil.copytree(project.root / name, tmp_path / name)
    return Project(tmp_path)


@pytest.mark.parametrize("data", ["digits", "breast_cancer"])
def test_with_all_each_seed_draws_test_examples_too_the_same_for_all_depths(here, compose, data):
    cells = [compose(f"data={data}", f"model.depth={depth}") for depth in (1, 4)]
    first, second = ([drawn(here, of_seed(cell, seed, "all")) for cell in cells] for seed in (1, 2))
    for shallow, deep in (first, second):
        assert all(torch.equal(a, b) for a, b in zip(shallow, deep, strict=True))
    assert [len(part) for part in first[0]] == [len(part) for part in second[0]]
    assert not torch.equal(first[0][2], second[0][2])


def test_test_examples_of_a_seed_are_none_that_it_trains_or_validates_on_and_all_seeds_share_the_data(
    here, compose
):
    """Each split is standardised otherwise; raw pixels are whole numbers from 0 to 16, and so can be had back."""
    seen = []
    for seed in (0, 3):
        cfg = of_seed(compose(), seed, "all")
        split, card = load_split(cfg, here, test=True), prepared_card(cfg, here)
        assert split.test is not None
        parts = [
            [tuple(row) for row in (x.flatten(1) * card["std"] + card["mean"]).round().int().tolist()]
            for x, _ in (split.train, split.validation, split.test)
        ]
        assert not set(parts[2]) & set(parts[0] + parts[1])  # no two of the 1797 digits are alike
        seen.append(sorted(row for part in parts for row in part))
    assert seen[0] == seen[1]
    assert len(seen[0]) == 1797


def test_a_split_of_a_seed_that_is_gone_is_made_again_to_the_same_bytes_by_whoever_reads_it(here, compose):
    cfg = of_seed(compose(), 3, "all")
    checksum = train_checksum(cfg, here)
    folder = place(cfg.data, here)
    assert folder.parent == here.scratch / "prepared"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(here.scratch)
    record = {"config": settings(cfg), "entry": "digits-mlp", "key": "k", "data_checksum": checksum}
    split_of(record, here, test=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_seed_of_the_data_set_finds_the_split_of_the_pipeline(here, compose):
    cfg = compose()
    assert place(of_seed(cfg, 0, "all").data, here) == here.prepared("digits")


def test_no_run_is_scored_on_another_split_than_its_own(here, compose):
    """The test examples of one split are, for four fifths, training examples of another."""
    cfg = of_seed(compose(), 3, "all")
    ensure_prepared(cfg.data, here)
    record = {"config": settings(cfg), "entry": "digits-mlp", "key": "k"}
    assert split_of(record | {"data_checksum": train_checksum(cfg, here)}, here, test=True).test is not None
    other = train_checksum(of_seed(cfg, 4, "all"), here)
    with pytest.raises(UserError, match=r"digits-mlp was trained on, found others: train it again"):
        split_of(record | {"data_checksum": other}, here, test=True)


@pytest.mark.parametrize("options", [("data=sunspots", "model=rnn"), ("data=torch_docs", "model=lstm")])
def test_all_leaves_what_is_split_in_time(compose, options):
    cfg = compose(*options)
    assert of_seed(cfg, 3, "all").data == cfg.data


def test_all_leaves_an_official_test_set_and_draws_validation_examples(compose):
    cfg = compose("data=mnist")
    own = of_seed(cfg, 3, "all")
    assert own.data.prepare == cfg.data.prepare
    assert own.data.examples.seed == 3


def test_a_run_typed_with_the_seeds_of_its_record_has_the_same_key(here, compose):
    own = of_seed(compose("data=breast_cancer"), 3, "all")
    typed = compose("data=breast_cancer", "seed=3", "data.prepare.seed=3", "data.examples.seed=3")
    keys = [run_key(cfg, train_checksum(cfg, here)) for cfg in (own, typed)]
    assert keys[0] == keys[1]


def test_of_seed_leaves_the_config_of_the_cell_as_it_was(compose):
    cfg = compose()
    before = cfg.copy()
    of_seed(cfg, 3, "all")
    assert cfg == before


def test_what_is_split_in_time_keeps_its_split(compose):
    cfg = compose("data=sunspots", "model=rnn")
    assert of_seed(cfg, 3, "seeds").data == cfg.data
