"""The split of a run: the same for all, or drawn by the seed, and always the same across depths."""

import torch

from howdeep.runs.examples import load_split
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


def test_what_is_split_in_time_keeps_its_split(compose):
    cfg = compose("data=sunspots", "model=rnn")
    assert of_seed(cfg, 3, "seeds").data == cfg.data
