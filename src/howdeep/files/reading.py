"""Reading what people and other commands wrote: a file that is gone or spoiled is told in one line, with what to do."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from howdeep.errors import UserError
from howdeep.files import seals


def yaml_of(path: Path) -> Any:
    """The content of a YAML file that a person or DVC wrote; a key that stands there twice is refused.

    Numbers are those of YAML 1.2, which DVC reads and writes: 1e-05 is one, and not a text as in YAML 1.1.

    Raises:
        UserError: there is no such file, or it cannot be read: where, and what stands there.
    """
    from ruamel.yaml import YAML, YAMLError

    reader = YAML(typ="safe", pure=True)  # the one in C crashes where a file is nested too deep
    try:
        node = reader.compose(content_of(path, "write it, or take it from git").decode())
        _check_keys(node, path)
        return None if node is None else reader.constructor.construct_document(node)
    except (YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise error if isinstance(error, UserError) else no_yaml(error, path) from None


def no_yaml(error: Exception, path: Path) -> UserError:
    """What is wrong in a YAML file, in one line with its place."""
    mark = getattr(error, "problem_mark", None)
    at = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    if isinstance(error, RecursionError):
        what = "it is nested too deep"
    else:
        what = " ".join(
            str(getattr(error, "problem", None) or getattr(error, "reason", None) or error).split()
        )
    return UserError(
        f"{os.path.relpath(path)}{at} is no YAML: {what}: mend it, and quote what is meant as text"
    )


def _check_keys(node: Any, path: Path, above: tuple[int, ...] = (), done: set[int] | None = None) -> None:
    """Refuses a key that stands there twice, of which YAML would keep the last, and a part that holds itself."""
    from ruamel.yaml.nodes import CollectionNode, ScalarNode

    done = set() if done is None else done
    where = f"{os.path.relpath(path)} line {node.start_mark.line + 1}" if node else ""
    if id(node) in above:
        raise UserError(f"{where} holds itself: remove the reference to it")
    if not isinstance(node, CollectionNode) or id(node) in done:
        return
    done.add(id(node))
    seen: set[str] = set()
    for child in node.value:
        key, value = child if isinstance(child, tuple) else (None, child)
        if isinstance(key, ScalarNode) and key.value != "<<":
            if key.value in seen:
                line = key.start_mark.line + 1
                raise UserError(
                    f"{os.path.relpath(path)} line {line} has the key '{key.value}' twice: remove one"
                )
            seen.add(key.value)
        _check_keys(value, path, (*above, id(node)), done)


def content_of(path: Path, remedy: str) -> bytes:
    """The bytes of a file.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise _missing(path, remedy) from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}: {remedy}") from None


def json_map(path: Path, remedy: str) -> dict[str, Any]:
    """The map in a JSON file; of the kinds that `shapes` knows, such as card.json, with what these hold.

    Args:
        remedy: what makes the file again, such as 'run `dvc repro evaluate`'.

    Raises:
        UserError: there is no such file, or it holds anything else.
    """
    text = content_of(path, remedy)
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise UserError(f"{path} is not readable as JSON ({error}): {remedy}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must hold a map, got {type(content).__name__}: {remedy}")
    if seals.is_whole(text) is False:
        raise UserError(f"{path} is not as it was written: {remedy}")
    from howdeep.files import shapes  # and with it pydantic, which most commands do without

    try:
        shapes.check(path.parent.name if path.parent.name == "provenance" else path.name, content)
    except UserError as error:
        raise UserError(
            f"{path} holds something else than howdeep writes there ({error}): {remedy}"
        ) from None
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
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:  # as its own bytes have it
        raise UserError(f"{path} is not readable ({' '.join(str(error).split())}): {remedy}") from None


def check_file(path: Path, says: Mapping[str, Any], remedy: str) -> None:
    """Compares a file with its checksum in the JSON file that was written with it.

    Args:
        says: the content of that file; one of an older howdeep says nothing.

    Raises:
        UserError: it is not as it was written.
    """
    expected = says.get("files", {}).get(path.name)
    if expected is not None and (came := seals.checksum(path)) != expected:
        raise UserError(f"expected {path} with sha256 {expected}, found {came}: {remedy}")


def _missing(path: Path, remedy: str) -> UserError:
    return UserError(f"expected {path}, found no such file: {remedy}")
