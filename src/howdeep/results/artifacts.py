"""What a run left to show, read from its folder."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from howdeep.errors import UserError


def read(folder: Path) -> dict[str, np.ndarray | str]:
    """The arrays of artifacts.safetensors and the texts of each <name>.txt in a run's folder; empty without any.

    Raises:
        UserError: the file of arrays cannot be read.
    """
    arrays, path = {}, folder / "artifacts.safetensors"
    if path.exists():
        try:
            arrays = load_file(path)
        except SafetensorError as error:
            raise UserError(
                f"{path} is not readable ({error}): delete its folder, then `dvc repro`"
            ) from None
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))}
    return {**arrays, **texts}
