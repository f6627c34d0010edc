"""What decides a run's numbers, as one hash: its config, its data, and the code that it uses."""

import ast
import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

# They say where things are, not what is computed.
PLACES = ("tracking", "resume", "checkpoint_seconds")
DATA_PLACES = ("mirror",)
MATCHED = ("matching", "reference")
ENTRY_MODULE = "howdeep.training.run"
WORDS = ("howdeep.errors",)  # they say what is wrong, and compute nothing


def settings(cfg: DictConfig) -> dict:
    """The composed config without what says only where things are: the same on every machine."""
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    kept = {str(name): node for name, node in plain.items() if name not in PLACES}
    kept["data"] = {name: node for name, node in kept["data"].items() if name not in DATA_PLACES}
    if kept["matching"] == "width":
        kept.pop("reference", None)  # no width was solved
    return kept


def run_key(cfg: DictConfig, data_checksum: str) -> str:
    """16 hexadecimal digits that two runs share only if they compute the same."""
    return _key(settings(cfg), data_checksum)


def numbers_key(cfg: DictConfig, data_checksum: str) -> str:
    """The same without what a width was solved for: the network of the reference is one under each matching."""
    return _key({name: of for name, of in settings(cfg).items() if name not in MATCHED}, data_checksum)


def _key(config: dict, data_checksum: str) -> str:
    parts = {"config": config, "data": data_checksum, "code": _code_checksum(_sources(_modules(config)))}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def code_checksum(cfg: DictConfig) -> str:
    """Of the sources that a run with this config uses."""
    return _code_checksum(_sources(_modules(settings(cfg))))


@cache  # what is imported stays what it was, too
def _code_checksum(files: tuple[Path, ...]) -> str:
    return checksum(files)


def checksum(files: Iterable[Path]) -> str:
    """Of their names and of what they do: a comment, a docstring or another layout changes nothing."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + _meaning(path))
    return digest.hexdigest()


@cache  # a study's cells share most of their sources
def _meaning(path: Path) -> bytes:
    """The parsed code of a file without docstrings, the same text whichever Python parsed it."""
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            del node.body[0]
    return repr(_plain(tree)).encode()


def _plain(node: object) -> object:
    """A syntax tree as nested tuples; what is empty is left out, since newer Pythons have more fields."""
    if isinstance(node, ast.AST):
        fields = ((name, _plain(value)) for name, value in ast.iter_fields(node) if value not in (None, []))
        return (type(node).__name__, *fields)
    return tuple(_plain(child) for child in node) if isinstance(node, list) else node


def preparation_checksum(target: str) -> str:
    """Of the sources of howdeep that a data set's `prepare` uses, which is the `_target_` given."""
    module = target.rpartition(".")[0]
    ours = module.startswith("howdeep.") and _is_module(module)
    return _code_checksum(_closure(frozenset({module} if ours else ())))


def sources(cfg: DictConfig) -> list[Path]:
    """The files of howdeep that a run with this config imports, directly or not, sorted.

    Read from the import statements, so that it can be compared with what dvc.yaml declares. Without the
    `__init__.py` of packages, which hold a docstring only.
    """
    return list(_sources(_modules(settings(cfg))))


def _modules(config: dict) -> frozenset[str]:
    """Those of howdeep that hold the `_target_`s of a config."""
    return frozenset(module for module in _targets(config) if module.startswith("howdeep."))


def _sources(targets: frozenset[str]) -> tuple[Path, ...]:
    return _closure(targets | {ENTRY_MODULE})


@cache  # the runs of a stage have a few sets of targets
def _closure(modules: frozenset[str]) -> tuple[Path, ...]:
    """The files of these modules and of all of howdeep that they import, directly or not."""
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module not in found and module not in WORDS and (path := _path(module)):
            found[module] = path
            waiting += _imports(path)
    return tuple(sorted(path for path in found.values() if path.name != "__init__.py"))


def _targets(node: object) -> Iterable[str]:
    """Modules named by the `_target_`s of a config that a training instantiates (preparing data is not part)."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield str(node["_target_"]).rpartition(".")[0]
        for name, child in node.items():
            if name != "prepare":
                yield from _targets(child)


def _path(module: str) -> Path | None:
    spec = find_spec(module)
    return Path(spec.origin) if spec and spec.origin else None


@cache  # for each of a stage's runs, parsing takes longer than all the rest of its key
def _imports(path: Path) -> tuple[str, ...]:
    """The howdeep modules that a file imports; `from howdeep.nets import layers` names a module too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    ours = (name for name in names if name.startswith("howdeep."))
    return tuple(name for name in ours if _is_module(name))


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # 'howdeep.errors.UserError': its parent is no package
        return False
