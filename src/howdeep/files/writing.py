"""Writing what others read: strict JSON, with a seal where a spoiled byte matters, and YAML as DVC writes it."""

import io
import json
import math
from pathlib import Path
from typing import Any

from howdeep.files.folders import file_aside
from howdeep.files.seals import sealed


def finite(value: Any) -> Any:
    """The same with null for NaN and infinities, which JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: finite(child) for name, child in value.items()}
    if isinstance(value, list | tuple):
        return [finite(child) for child in value]
    return value


def write_json(path: Path, content: Any) -> None:
    """Writes strict JSON aside and renames it."""
    with file_aside(path) as aside:
        aside.write_text(json.dumps(finite(content), indent=1, allow_nan=False) + "\n")


def write_sealed(path: Path, content: dict) -> None:
    """The same with a seal, see `seals`."""
    with file_aside(path) as aside:
        aside.write_bytes(sealed(finite(content)))


def yaml_text(content: Any) -> str:
    """A map as YAML 1.2, which `reading.yaml_of` and DVC read: the text '1e-05' is quoted, the number is not."""
    from ruamel.yaml import YAML

    writer, text = YAML(), io.StringIO()
    writer.default_flow_style = False
    writer.dump(content, text)
    return text.getvalue()
