"""The record of a run: a folder with record.json and, unless the run diverged, weights.safetensors.

Both are the same bits each time the run is trained on the same machine: no time, host, path, commit.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from howdeep.errors import UserError
from howdeep.files import seals
from howdeep.files.folders import RUN, written_aside
from howdeep.files.reading import arrays, check_file
from howdeep.files.writing import finite
from howdeep.names import check_name
from howdeep.training import targets

if TYPE_CHECKING:  # records are read without torch
    from howdeep.training.run import Outcome


def config_of(record: dict) -> DictConfig:
    """The composed config that a record keeps, as it was trained.

    Raises:
        UserError: it holds a `_target_` that no config of howdeep has, or an interpolation: such a record was not
            written by howdeep, and nothing that it names is imported.
    """
    config, whose = record["config"], f"the record of {record.get('entry')} with the key {record.get('key')}"
    again = "delete the run's folder, then `dvc repro`"
    if any(
        "${" in text or text == "???" for text in _texts(config)
    ):  # it could become a `_target_` when it is read
        raise UserError(f"{whose} must hold plain values, found an interpolation: {again}")
    try:
        check_name(config["data"]["name"], "data.name")
        targets.verify(config)
    except UserError as error:
        raise UserError(f"{whose} cannot be read: {error}: {again}") from None
    cfg = OmegaConf.create(config)
    assert isinstance(cfg, DictConfig)
    return cfg


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for name, child in node.items():
            yield name
            yield from _texts(child)
    elif isinstance(node, list):
        for child in node:
            yield from _texts(child)


def read_record(folder: Path) -> dict:
    """The record in a run's folder.

    Raises:
        UserError: there is none, or it holds anything else.
    """
    path = folder / "record.json"
    try:
        text = path.read_bytes()
        found = orjson.loads(text)
    except FileNotFoundError:
        raise UserError(
            f"expected a run's record at {path}, found none: train it again with `dvc repro`"
        ) from None
    except ValueError as error:
        raise UserError(
            f"{path} is not readable as JSON ({error}): delete its folder, then `dvc repro`"
        ) from None
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}: delete its folder, then `dvc repro`"
        ) from None
    if not isinstance(found, dict):
        raise UserError(
            f"{path} must hold a map, got {type(found).__name__}: delete its folder, then `dvc repro`"
        )
    if seals.is_whole(text) is False:
        raise UserError(f"{path} is not as it was written: delete its folder, then `dvc repro`")
    from howdeep.files import shapes  # and with it pydantic, which most commands do without

    try:
        shapes.check(path.name, found)
    except UserError as error:
        raise UserError(f"{path} holds no record ({error}): delete its folder, then `dvc repro`") from None
    return found


def run_folders(runs: Path) -> Iterator[Path]:
    """Every folder below `runs` that holds a record, sorted."""
    yield from sorted(path.parent for path in runs.glob("**/record.json"))


def module_name(node: DictConfig) -> str:
    """The one name of an architecture or a task: 'lstm' of `_target_: howdeep.nets.lstm.LSTM`."""
    return node._target_.split(".")[-2]


def describe(cfg: DictConfig, *, key: str, entry: str | None, checksum: str, config: dict) -> dict:
    """The part of a record that is known before training."""
    task = get_class(cfg.task._target_)
    return {
        "key": key,
        "entry": entry,
        "data": cfg.data.name,
        "model": module_name(cfg.model),
        "task": module_name(cfg.task),
        "depth": cfg.model.depth,
        "matching": cfg.matching,
        "seed": cfg.seed,
        "score": {"name": task.score_name, "higher_is_better": task.higher_is_better},
        "data_checksum": checksum,
        "config": config,
    }


def results_of(outcome: "Outcome") -> dict:
    """The part of a record that training adds."""
    return {
        "state": outcome.state,
        "reason": outcome.reason,
        "best_epoch": outcome.best_epoch,
        "epochs": outcome.history.epochs,
        "gap": outcome.gap,
        "gradient_flow": outcome.history.gradient_flow,
        "cost": outcome.cost,
    }


def write_record(folder: Path, record: dict, weights: dict | None, artifacts: dict[str, Any]) -> dict:
    """Writes a run's folder aside and renames it: whoever finds the folder finds it whole.

    Tensors among the artifacts go to artifacts.safetensors, a text to a file of its name.

    Returns:
        The record as it was written: with the checksum of each file beside it, and of itself.

    Raises:
        UserError: something else than a run lies in `folder`.
    """
    from safetensors.torch import save  # save_file would tell a full disk as a broken file

    with written_aside(folder, RUN) as aside:
        if weights is not None:
            (aside / "weights.safetensors").write_bytes(save(weights))
        if tensors := {name: t.contiguous() for name, t in artifacts.items() if not isinstance(t, str)}:
            (aside / "artifacts.safetensors").write_bytes(save(tensors))
        for name, text in artifacts.items():
            if isinstance(text, str):
                (aside / f"{name}.txt").write_text(text, encoding="utf-8")
        text = seals.sealed(finite(record) | {"files": seals.checksums(aside)})
        (aside / "record.json").write_bytes(text)
    return orjson.loads(text)


def copy_record(source: Path, folder: Path, record: dict) -> dict:
    """Writes a record beside copies of the files of another run, whose numbers are its own; see `write_record`."""
    with written_aside(folder, RUN) as aside:
        for name in record["files"]:
            (aside / name).write_bytes((source / name).read_bytes())
        told = {name: of for name, of in record.items() if name != "seal"}
        text = seals.sealed(finite(told) | {"files": seals.checksums(aside)})
        (aside / "record.json").write_bytes(text)
    return orjson.loads(text)


def whole_record(folder: Path) -> dict | None:
    """The record of a run, if it and each file beside it are as they were written; else None."""
    try:
        record = read_record(folder)
        if not seals.is_whole((folder / "record.json").read_bytes()):
            return None
        there = {path.name for path in folder.iterdir()} - {"record.json"}
        files = record["files"]
        right = all(name in there and seals.checksum(folder / name) == files[name] for name in files)
    except (UserError, OSError):
        return None
    return record if right else None


def load_weights(net: Any, folder: Path, record: Mapping[str, Any]) -> None:
    """Gives a net the weights of a run.

    Args:
        folder: of the run.
        record: of the run, which holds their checksum.

    Raises:
        UserError: there is no such file, it is not what the record says, or it holds the weights of another net.
    """
    import torch

    path, remedy = folder / "weights.safetensors", "train it again with `dvc repro`"
    if path.exists():
        check_file(path, record, remedy)
    weights: Mapping[str, Any] = {name: torch.from_numpy(of) for name, of in arrays(path, remedy).items()}
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} holds the weights of another net ({reason}): {remedy}") from None
