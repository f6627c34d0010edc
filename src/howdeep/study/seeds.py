"""What the seed of a run decides beside its weights: which examples train, validate and, if asked for, test."""

from omegaconf import DictConfig


def of_seed(cfg: DictConfig, seed: int, split: str) -> DictConfig:
    """The config of one of a cell's runs.

    Args:
        cfg: of the cell.
        seed: of the run, whatever its depth: that pairs the runs of two depths.
        split: "fixed"; "seeds" where each seed draws validation examples of its own; "all" where it draws test examples
            of its own too. A test set that is official or split in time stays, and so does all that is split in time.
    """
    own = cfg.copy()
    own.seed = seed
    if split in ("seeds", "all") and "seed" in own.data.examples:
        own.data.examples.seed = seed
    if split == "all" and draws_test(own):
        own.data.prepare.seed = seed
    return own


def draws_test(cfg: DictConfig) -> bool:
    """Whether the test examples of a data set are drawn by a seed: it has none that are official, or last in time."""
    return "seed" in cfg.data.prepare
