"""From a composed config to examples in memory: the pull and prepare stages, and what training reads of them."""

import json
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from howdeep import stored
from howdeep.data import prepared, sources
from howdeep.errors import UserError
from howdeep.processes import only_writer
from howdeep.project import Project
from howdeep.training import targets

if TYPE_CHECKING:  # data sets are pulled and prepared without torch
    from howdeep.data.examples import Split


def pull(data: DictConfig, project: Project) -> Path:
    """Fetches and verifies the files of a data set; those that are there and right are kept."""
    folder = project.raw(data.name)
    sources.pull(data.name, _plain(data)["sources"], folder, data.mirror)
    return folder


def prepare(data: DictConfig, project: Project) -> Path:
    """Writes the train file, the test file and the card of a data set that was pulled."""
    folder = project.prepared(data.name)
    raw, plain = project.raw(data.name), _plain(data)
    sources.check(data.name, plain["sources"], raw)
    prepared.write(targets.call("data.prepare", plain["prepare"], raw), folder, data=plain, raw=raw)
    return folder


def ensure_prepared(data: DictConfig, project: Project) -> None:
    """Pulls and prepares a data set that is not there yet, so that `howdeep train` works in a fresh clone."""
    if (project.prepared(data.name) / "card.json").exists():
        return
    with only_writer(project.scratch / f"{data.name}.lock", f"data/prepared/{data.name}", seconds=600):
        if not (project.prepared(data.name) / "card.json").exists():
            pull(data, project)
            prepare(data, project)


def train_checksum(cfg: DictConfig, project: Project) -> str:
    """The checksum of the prepared training examples."""
    return _checksum(project.prepared(cfg.data.name) / "train.safetensors")


@cache
def _checksum(path: Path) -> str:
    if not path.exists():
        raise UserError(
            f"expected prepared data at {path}, found none: run `howdeep prepare data={path.parent.name}`"
        )
    return prepared.checksum(path)


def prepared_card(cfg: DictConfig, project: Project) -> dict:
    """The data card."""
    card = project.prepared(cfg.data.name) / "card.json"
    return stored.json_map(card, f"run `howdeep prepare data={cfg.data.name}`")


def load_split(cfg: DictConfig, project: Project, *, test: bool = False) -> "Split":
    """Training and validation examples; the test file is opened only if asked for, by `evaluate` alone.

    Loaded once a process: warm workers train many runs on the same examples.

    Raises:
        UserError: the data set has fewer training examples than `train_examples` asks for.
    """
    folder = project.prepared(cfg.data.name)
    options = json.dumps(_plain(cfg.data), sort_keys=True)
    split = _load(options, folder / "train.safetensors", folder / "test.safetensors" if test else None)
    wanted, there = cfg.train_examples, len(split.train[0])
    if isinstance(wanted, int) and wanted > there:
        raise UserError(
            f"train_examples must be at most {there}, the training examples of {cfg.data.name}, or null for all of "
            f"them, got {wanted}"
        )
    return split


def _plain(data: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(data, resolve=True)
    assert isinstance(plain, dict)
    return {str(name): value for name, value in plain.items()}


@lru_cache(maxsize=2)  # where each seed draws a split of its own, all of them would fill the memory
def _load(options: str, train_file: Path, test_file: Path | None) -> "Split":
    return targets.call("data.examples", json.loads(options)["examples"], train_file, test_file)
