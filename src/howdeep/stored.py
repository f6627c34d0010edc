"""Reading what other commands wrote: a file that is gone or spoiled is told in one line, with what makes it again."""

import csv
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from howdeep import seals
from howdeep.errors import UserError
from howdeep.project import Project
from howdeep.tuning import SECOND, TrialRow


def json_map(path: Path, remedy: str) -> dict[str, Any]:
    """The map in a JSON file.

    Args:
        remedy: what makes the file again, such as 'run `dvc repro evaluate`'.

    Raises:
        UserError: there is no such file, or it holds anything else.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise _missing(path, remedy) from None
    except ValueError as error:  # JSON's own, and text that is none
        raise UserError(f"{path} is not readable as JSON ({error}): {remedy}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a map, got {type(content).__name__}: {remedy}")
    return content


def arrays(path: Path, remedy: str) -> dict[str, Any]:
    """The numpy arrays of a safetensors file.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except FileNotFoundError:
        raise _missing(path, remedy) from None
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path} is not readable ({error}): {remedy}") from None


def trials_of(name: str, project: Project) -> list[TrialRow]:
    """The trials that the tuning of an entry wrote.

    Raises:
        UserError: it was not tuned yet.
    """
    path = project.tuned / name / "trials.csv"
    if not path.exists():
        raise UserError(
            f"expected the trials of {name} in {os.path.relpath(path)}, found none: run `dvc repro`"
        )
    with path.open(newline="") as file:
        return [
            TrialRow(
                depth=int(row["depth"]),
                optimizer=row["optimizer"],
                lr=float(row["lr"]),
                val_loss=float(row["val_loss"]) if row["val_loss"] else None,
                space=row["space"],
                matching=row["matching"],
                **{name: float(row[name]) for name in SECOND if row.get(name)},
            )
            for row in csv.DictReader(file)
        ]


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
    expected = record.get("files", {}).get(path.name)
    if path.exists() and (came := seals.checksum(path)) != expected:
        raise UserError(f"expected {path} with sha256 {expected}, as its record says, found {came}: {remedy}")
    weights: Mapping[str, Any] = {name: torch.from_numpy(of) for name, of in arrays(path, remedy).items()}
    try:
        net.load_state_dict(weights)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} holds the weights of another net ({reason}): {remedy}") from None


def _missing(path: Path, remedy: str) -> UserError:
    return UserError(f"expected {path}, found no such file: {remedy}")
