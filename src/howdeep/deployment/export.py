"""`howdeep export`: a trained network as one file, with all that is needed to ask it."""

import json
import sys
from pathlib import Path
from typing import Any

import torch

from howdeep.deployment.exported import ABOUT, ENCODING, FORMATS
from howdeep.deployment.models import Trained, trained
from howdeep.errors import UserError, near
from howdeep.export import exported_program, onnx
from howdeep.files.folders import file_aside


def export(model: str, format_: str | None, output: str | None, opset: int | None) -> None:
    """Writes a network as a file, which holds preprocessing and class names too, see `models.predictor_of`.

    Args:
        model: see `models.trained`.
        format_: onnx or torch; None: what the ending of `output` says, or else onnx.
        output: the file; None: the name of the entry with the ending of the format.
        opset: of ONNX's operators; None: the one that most programs read.

    Raises:
        UserError: no such model or format, a network that cannot be exported or does not agree with its file.
    """
    ending = Path(output).suffix.lower() if output else None
    by_ending = {of: name for name, of in FORMATS.items()}
    chosen = format_ or by_ending.get(ending or ".onnx")
    if chosen not in FORMATS:
        known = ", ".join(FORMATS)
        raise UserError(
            f"--format must be one of {known}, got {format_ or f'a file that ends in {ending!r}'}"
            f"{near(format_ or '', FORMATS)}"
        )
    if opset is not None and chosen != "onnx":
        raise UserError("--opset must go with --format onnx: torch files have none")
    [run] = trained(model)
    path = Path(output or f"{run.record['entry'] or run.record['model']}{FORMATS[chosen]}")
    what: dict[str, Any] = {
        "in_shape": run.record["config"]["model"]["in_shape"],
        "dtype": torch.int64 if run.record["config"]["model"].get("vocabulary") else torch.float32,
        "metadata": metadata_of(run),
    }
    if chosen == "onnx":
        data = onnx.exported(run.net, **what, opset=opset or onnx.OPSET)
    else:
        data = exported_program.exported(run.net, **what)
    with file_aside(path) as aside:
        aside.write_bytes(data)
    print(f"{path}: {len(data) / 1024:.0f} KiB, agrees with the network", file=sys.stderr)


def metadata_of(run: Trained) -> dict[str, str]:
    """What stands before and after the network, and what it is, a JSON text each."""
    record = run.record
    about = {
        name: record[name] for name in ("key", "entry", "data", "model", "task", "depth", "matching", "seed")
    }
    encoding = run.encoding()
    return {ABOUT: json.dumps(about)} | ({ENCODING: json.dumps(encoding)} if encoding else {})
