"""A trained net as MLflow loads and serves it: config, weights, what stands before and after it; no pickle.

MLflow imports this module from the copy that lies beside the model, and calls `_load_pyfunc`. It imports nothing of
howdeep but nets, encoding, intake and errors, which are copied with it.
"""

import importlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save

from howdeep.encoding.frames import sheet_of, told
from howdeep.encoding.inputs import Source
from howdeep.encoding.predictor import Predictor, described

CONFIG, WEIGHTS, ENCODING = "config.json", "weights.safetensors", "encoding.json"
NETS = "howdeep.nets."
COPIED = ("nets", "encoding", "intake")


class ServedNet:
    """A net that is asked about rows as people have them, a table of pandas, or about arrays.

    Args:
        net: in evaluation mode. Of a gan its generator is asked, which takes (batch, latent) of noise.
        encoding: what stands before and after it; None where it takes arrays alone.
    """

    def __init__(self, net: torch.nn.Module, encoding: Mapping[str, Any] | None = None) -> None:
        self.net = net
        self._asked = net.get_submodule("generator") if hasattr(net, "generator") else net
        self.predictor: Predictor | None = described([self._of_arrays], encoding) if encoding else None

    def predict(self, inputs: Any) -> Any:
        """What is told of each row, a table of pandas; or what the net says to an array, (batch, *in_shape) to
        (batch, *out_shape).

        Raises:
            MlflowException: rows that are wrong, each with the reason; a server answers 400.
        """
        if self.predictor is None or isinstance(inputs, np.ndarray):
            return self._of_arrays(np.asarray(inputs))
        from mlflow.exceptions import MlflowException

        try:
            found = self.predictor.predict(sheet_of(inputs, self.predictor.inputs), Source("rows"))
        except ValueError as error:  # the table as a whole
            raise MlflowException.invalid_parameter_value(str(error)) from None
        wrong = [error for error in found.errors if error is not None]
        # Of a series the first rows have none before them: what is asked about are those that do.
        if wrong and (self.predictor.inputs.by_row or len(wrong) == len(found.errors)):
            more = f"; and {len(wrong) - 3} more rows are wrong" if len(wrong) > 3 else ""
            raise MlflowException.invalid_parameter_value("; ".join(wrong[:3]) + more)
        return told(found)

    def _of_arrays(self, x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return self._asked(torch.from_numpy(x)).numpy()

    def get_raw_model(self) -> torch.nn.Module:
        """The net, by MLflow's name for it."""
        return self.net


def write(
    folder: Path, net: torch.nn.Module, config: dict[Any, Any], encoding: Mapping[str, Any] | None = None
) -> None:
    """Writes what `_load_pyfunc` reads.

    Args:
        config: of the net, with its `_target_`.
        encoding: see `encoding.predictor.description`.
    """
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(json.dumps(config, indent=1))
    if encoding is not None:
        (folder / ENCODING).write_text(json.dumps(encoding, indent=1))
    weights = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(weights))


def copy_code(folder: Path) -> None:
    """Makes a package howdeep with what is needed to load a net, and no more: every model has a copy."""
    here = Path(__file__).parents[1]
    for room in COPIED:
        shutil.copytree(here / room, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tracking").mkdir()
    for name in ("__init__.py", "errors.py", "tracking/__init__.py", "tracking/served.py"):
        shutil.copy(here / name, folder / name)


def load(data_path: Path) -> ServedNet:
    """
    Raises:
        ValueError: the config names something else than one of howdeep's nets.
    """
    options = json.loads((data_path / CONFIG).read_text())
    module, _, name = options.pop("_target_").rpartition(".")
    kind = getattr(importlib.import_module(module), name, None) if module.startswith(NETS) else None
    if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
        raise ValueError(f"expected one of the nets in {NETS}*, got {module}.{name}")
    net = kind(**options)
    net.load_state_dict(load_file(data_path / WEIGHTS))
    encoding = data_path / ENCODING
    return ServedNet(net.eval(), json.loads(encoding.read_text()) if encoding.exists() else None)


def _load_pyfunc(data_path: str) -> ServedNet:
    return load(Path(data_path))
