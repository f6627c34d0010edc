"""From a composed config to examples in memory: the pull and prepare stages, and what training reads of them."""

import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from howdeep.data import card, sources
from howdeep.errors import UserError
from howdeep.files import reading, seals
from howdeep.files.project import Project
from howdeep.processes.locks import only_writer
from howdeep.records import fingerprint
from howdeep.records.record import config_of
from howdeep.training import targets

if TYPE_CHECKING:  # data sets are pulled and prepared without torch
    import numpy as np

    from howdeep.data.examples import Split


def pull(data: DictConfig, project: Project) -> Path:
    """Fetches and verifies the files of a data set; those that are there and right are kept."""
    folder = project.raw(data.name)
    # A record's config does not say where files were fetched from.
    mirror = data.mirror if "mirror" in data else os.environ.get("HOWDEEP_MIRROR")
    sources.pull(data.name, _plain(data)["sources"], folder, mirror, project.root)
    return folder


def prepare(data: DictConfig, project: Project, folder: Path | None = None) -> Path:
    """Writes the train file, the test file and the card of a data set that was pulled.

    Args:
        folder: where they go; None: where the pipeline has them.
    """
    folder = folder or project.prepared(data.name)
    raw, plain = project.raw(data.name), _plain(data)
    sources.check(data.name, plain["sources"], raw)
    content = targets.call("data.prepare", plain["prepare"], raw)
    card.write(content, folder, data=plain, raw=raw, recipe=recipe(data))
    return folder


def recipe(data: DictConfig) -> str:
    """A digest of all that a prepared data set is a function of: options, raw files and code."""
    plain = _plain(data)
    files = [
        {name: of for name, of in source.items() if name not in ("url", "local")}
        for source in plain["sources"]
    ]
    parts = {"prepare": plain["prepare"], "sources": files}
    return _recipe(json.dumps(parts, sort_keys=True), str(plain["prepare"]["_target_"]))


@cache
def _recipe(parts: str, target: str) -> str:
    code = fingerprint.preparation_checksum(target)
    return hashlib.sha256(f"{parts} {code}".encode()).hexdigest()[:16]


def place(data: DictConfig, project: Project) -> Path:
    """The folder of the data set as this config prepares it.

    That of the pipeline where its card says so, or where there is none at all; else one beside it: what was prepared
    with other options, from other files or by other code is not what a record of this config would say.

    Raises:
        UserError: the card of the pipeline's cannot be read.
    """
    usual, beside = project.prepared(data.name), project.prepared_beside(data.name, recipe(data))
    if beside.exists():
        return beside
    if not usual.exists() or _card(usual, _again(usual)).get("recipe") == recipe(data):
        return usual
    return beside


def ensure_prepared(data: DictConfig, project: Project) -> None:
    """Pulls and prepares a data set that is not there yet, so that `howdeep train` works in a fresh clone.

    Raises:
        UserError: what is there is not what its card says.
    """
    if (folder := place(data, project)).exists():
        verified(folder, "train")
        return
    with only_writer(project.lock("data", data.name), f"the prepared data set {data.name}", seconds=600):
        if not (folder := place(data, project)).exists():
            pull(data, project)
            prepare(data, project, folder)


def _there(data: DictConfig, project: Project) -> Path:
    """The folder of a data set; one beside the pipeline's is made again where it is not there.

    It is a function of raw files, options and code: nobody needs to keep the splits of all seeds, and a fresh clone, or
    a project whose scratch/ was removed, has them again when something reads them.
    """
    folder = place(data, project)
    if folder != project.prepared(data.name) and not folder.exists():
        ensure_prepared(data, project)
        folder = place(data, project)
    return folder


def verified(folder: Path, part: str) -> str:
    """The checksum of a part of a prepared data set, which is what its card says.

    Args:
        part: train or test.

    Raises:
        UserError: the card or the part is missing or was spoiled.
    """
    again = (
        f"run `howdeep prepare data={folder.name}`"
        if folder.parent.name == "prepared"
        else f"delete {folder}"
    )
    path = folder / f"{part}.safetensors"
    if not path.exists():
        raise UserError(f"expected prepared data at {path}, found none: {again}")
    card = _card(folder, again)
    expected, came = card["checksums"][part], _checksum(path, path.stat().st_mtime_ns)
    if came != expected:
        raise UserError(f"expected {path} with sha256 {expected}, as its card says, found {came}: {again}")
    return came


def _again(folder: Path) -> str:
    """What makes a prepared data set again."""
    if folder.parents[1].name == "scratch":
        return f"delete {folder}, then `dvc repro`, or `howdeep train` with these options"
    return f"run `howdeep prepare data={folder.name}`"


def _card(folder: Path, again: str) -> dict[str, Any]:
    path = folder / "card.json"
    return _read_card(path, again, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=16)
def _read_card(path: Path, again: str, _changed: int) -> dict[str, Any]:
    return reading.json_map(path, again)


@cache  # once a process; a file that was written again has another time
def _checksum(path: Path, _changed: int) -> str:
    return seals.checksum(path)


def data_files(cfg: DictConfig, project: Project, *, test: bool = False) -> list[Path]:
    """The files that `load_split` reads, for who has them elsewhere."""
    folder = _there(cfg.data, project)
    return [
        folder / name for name in ("card.json", "train.safetensors", *(("test.safetensors",) if test else ()))
    ]


def train_checksum(cfg: DictConfig, project: Project) -> str:
    """The checksum of the prepared training examples."""
    return verified(_there(cfg.data, project), "train")


def prepared_card(cfg: DictConfig, project: Project) -> dict:
    """The data card."""
    folder = _there(cfg.data, project)
    return _card(folder, _again(folder))


def load_split(cfg: DictConfig, project: Project, *, test: bool = False) -> "Split":
    """Training and validation examples; the test file is opened only if asked for, by `evaluate` alone.

    Loaded once a process: warm workers train many runs on the same examples.

    Raises:
        UserError: the data set has fewer training examples than `train_examples` asks for, is missing or spoiled.
    """
    folder = _there(cfg.data, project)
    options = json.dumps(_plain(cfg.data), sort_keys=True)
    checksums = tuple(verified(folder, part) for part in (("train", "test") if test else ("train",)))
    split = _load(
        options, folder / "train.safetensors", folder / "test.safetensors" if test else None, checksums
    )
    wanted, there = cfg.train_examples, len(split.train[0])
    if isinstance(wanted, int) and wanted > there:
        raise UserError(
            f"train_examples must be at most {there}, the training examples of {cfg.data.name}, or null for all of "
            f"them, got {wanted}"
        )
    return split


def test_moments(cfg: DictConfig, project: Project) -> "np.ndarray | None":
    """When each test example is, (n,), of data where several may be at the same time; None of other data."""
    from howdeep.data import prepared

    return prepared.read(_there(cfg.data, project) / "test.safetensors").get("moment")


def split_of(record: Mapping[str, Any], project: Project, *, test: bool = False) -> "Split":
    """The examples that a run was trained on and, if asked for, those that test it.

    Raises:
        UserError: the training examples are others by now: the test examples may be some that the run has seen.
    """
    cfg = config_of(dict(record))
    if train_checksum(cfg, project) != record["data_checksum"]:
        raise UserError(
            f"expected the training examples of {cfg.data.name} that {record['entry']} was trained on, found others: "
            "train it again with `dvc repro`"
        )
    return load_split(cfg, project, test=test)


def _plain(data: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(data, resolve=True)
    assert isinstance(plain, dict)
    return {str(name): value for name, value in plain.items()}


@lru_cache(maxsize=2)  # where each seed draws a split of its own, all of them would fill the memory
def _load(options: str, train_file: Path, test_file: Path | None, _checksums: tuple[str, ...]) -> "Split":
    return targets.call("data.examples", json.loads(options)["examples"], train_file, test_file)
