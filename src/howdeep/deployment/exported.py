"""A file that `howdeep export` wrote, asked as any other model."""

import json
from pathlib import Path

import numpy as np
import torch

from howdeep.encoding.predictor import Net, Predictor, described
from howdeep.errors import UserError
from howdeep.export import exported_program, onnx
from howdeep.export.agreement import Loaded

FORMATS = {"onnx": ".onnx", "torch": ".pt2"}
ENCODING, ABOUT = "howdeep.encoding", "howdeep.about"


def load_file(path: Path) -> Predictor:
    """The predictor of a file that `export` has written, run by ONNX Runtime or by PyTorch.

    Raises:
        UserError: it is no such file, or a broken one, or one of a network that makes examples.
    """
    if path.suffix.lower() not in FORMATS.values():
        raise UserError(
            f"expected a model, got the file {path}: those of howdeep export end in .onnx or .pt2"
        )
    data = path.read_bytes()
    loaded = (onnx if path.suffix.lower() == ".onnx" else exported_program).load(data)
    if ENCODING not in loaded.metadata:
        raise UserError(
            f"expected a file of howdeep export with a network that reads examples, got {path}: others say nothing of "
            "how rows are read"
        )
    try:
        return described([_called(loaded)], json.loads(loaded.metadata[ENCODING]))
    except (ValueError, KeyError):  # of another howdeep, or changed since
        raise UserError(
            f"{path} does not say how rows are read as howdeep does: export the network again"
        ) from None


def _called(loaded: Loaded) -> Net:
    def call(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return loaded.net(torch.from_numpy(x)).numpy()

    return call
