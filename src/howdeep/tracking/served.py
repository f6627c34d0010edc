"""A trained net as MLflow loads and serves it: its config, its weights, the code of howdeep; no pickle.

MLflow imports this module from the copy that lies beside the model, and calls `_load_pyfunc`. It and the nets import
nothing of howdeep but `errors`.
"""

import importlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save

CONFIG, WEIGHTS = "config.json", "weights.safetensors"
NETS = "howdeep.nets."


class ServedNet:
    """A net that takes and gives numpy arrays."""

    def __init__(self, net: torch.nn.Module) -> None:
        self.net = net

    def predict(self, inputs: Any) -> np.ndarray:
        """What the net says to a batch: (batch, *in_shape) to (batch, *out_shape)."""
        with torch.no_grad():
            return self.net(torch.from_numpy(np.asarray(inputs))).numpy()

    def get_raw_model(self) -> torch.nn.Module:
        """The net, by MLflow's name for it."""
        return self.net


def write(folder: Path, net: torch.nn.Module, config: dict[Any, Any]) -> None:
    """Writes what `_load_pyfunc` reads.

    Args:
        config: of the net, with its `_target_`.
    """
    folder.mkdir(parents=True)
    (folder / CONFIG).write_text(json.dumps(config, indent=1))
    weights = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    (folder / WEIGHTS).write_bytes(save(weights))


def copy_code(folder: Path) -> None:
    """Makes a package howdeep with what is needed to load a net, and no more: every model has a copy."""
    here = Path(__file__).parents[1]
    shutil.copytree(here / "nets", folder / "nets", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tracking").mkdir()
    for name in ("__init__.py", "errors.py", "tracking/__init__.py", "tracking/served.py"):
        shutil.copy(here / name, folder / name)


def _load_pyfunc(data_path: str) -> ServedNet:
    """
    Raises:
        ValueError: the config names something else than one of howdeep's nets.
    """
    options = json.loads(Path(data_path, CONFIG).read_text())
    module, _, name = options.pop("_target_").rpartition(".")
    kind = getattr(importlib.import_module(module), name, None) if module.startswith(NETS) else None
    if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
        raise ValueError(f"expected one of the nets in {NETS}*, got {module}.{name}")
    net = kind(**options)
    net.load_state_dict(load_file(Path(data_path, WEIGHTS)))
    return ServedNet(net.eval())
