"""What to type instead of an override that Hydra refuses: each hint was tried before it is given."""

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, Transformer
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from howdeep.errors import near
from howdeep.files.configs import groups, is_group, options

_KEY = re.compile(r"\+{0,2}[A-Za-z_][\w./@-]*(?==)")  # of an override
_SEVERAL = re.compile(r"[\s,][\w.+@/]+=")  # another override in it


def composed(conf: Path, overrides: Iterable[str]) -> DictConfig | None:
    """What Hydra composes, its own settings included; None where it refuses."""
    try:
        with initialize_config_dir(str(conf.absolute()), version_base="1.3"):
            return compose("train", overrides=list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException, OSError, ValueError, TypeError):
        return None


def parsed(override: str) -> Override | None:
    """An override as Hydra reads it; None where it cannot."""
    try:
        return OverridesParser.create().parse_override(override)
    except HydraException:
        return None


def as_text(override: str) -> str | None:
    """How to type an override whose value is to be one text, for a shell; None if it has no key, or holds several.

    A path that begins with ~ is written out: no shell does that behind a dotted key.
    """
    if not (key := _KEY.match(override)):
        return None
    value = override[key.end() + 1 :]
    if _SEVERAL.search(value) or value[:1] in tuple("=[{('\""):
        return None
    value = os.path.expanduser(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    for written in (value, f'"{value}"', f'"{escaped}"'):
        line = f"{key[0]}={written}"
        if (found := parsed(line)) and not found.is_sweep_override() and found.value() == value:
            return shlex.quote(line)
    return None


def of_unreadable(override: str, conf: Path) -> str:
    """What to type instead of an override that Hydra cannot parse."""
    if _takes_text(override, conf) and (text := as_text(override)):
        return f"quote its value, as in {text}" if '"' in text else f"write {text}"
    if _SEVERAL.search(override):
        return "write each key=value as a word of its own, with spaces between them"
    return "write key=value, and quote lists"


def of_several(override: str, conf: Path, *, many: bool) -> str:
    """What to type instead of several values where one is expected.

    Args:
        many: whether the command takes -m.
    """
    key, _, values = override.partition("=")
    if isinstance(_now(override, conf), ListConfig) and "(" not in values:
        return f"write the list in brackets, as in {shlex.quote(f'{key}=[{values}]')}"
    ways = ["add -m to train with each of them"] if many and not key.lstrip("+").startswith("hydra.") else []
    if _takes_text(override, conf) and (text := as_text(override)):
        ways.append(f"write one text as {text}")
    return ", or ".join(ways) or "choose one"


def _now(override: str, conf: Path) -> object:
    """What the config holds where an override would put something."""
    name = override.partition("=")[0].lstrip("+")
    cfg = composed(conf, ())
    return OmegaConf.select(cfg, name) if cfg is not None and re.fullmatch(r"[\w.]+", name) else None


def _takes_text(override: str, conf: Path) -> bool:
    is_choice = is_group(conf, override.partition("=")[0].lstrip("+"))
    return not is_choice and isinstance(_now(override, conf), str | None)


def of_key(key: str, conf: Path, overrides: Sequence[str]) -> str:
    """What to type instead of a key that the config lacks, given the files that the overrides choose."""
    if key.startswith("hydra."):
        return ": `howdeep train --cfg hydra` shows what Hydra has"
    group, chosen = key.partition(".")[0], _chosen(conf, overrides)
    others = [f"{name}={names[0]}" for name, names in chosen.items() if name != group and len(names) == 1]
    plain = composed(conf, others) or composed(conf, ())
    if not is_group(conf, group) or plain is None:
        return near(key, [*_keys(plain), *groups(conf)])
    tried = chosen.get(group) or [str(plain.hydra.runtime.choices.get(group))]
    configs = {name: composed(conf, [*others, f"{group}={name}"]) for name in options(conf, group)}
    having = [name for name, cfg in configs.items() if key in _keys(cfg)]
    lacking = [name for name in tried if name not in having]
    if not having:
        return near(key, [known for name in tried for known in _keys(configs.get(name))])
    if lacking:
        return f", which {group}={','.join(lacking)} lacks and {group}={','.join(having)} has"
    typed = next((line for line in overrides if line.partition("=")[0] == key), f"{key}=...")
    return f", which no {group} but the swept ones has: write {shlex.quote(f'++{typed}')}"


def _chosen(conf: Path, overrides: Sequence[str]) -> dict[str, list[str]]:
    """The files that overrides choose, by group; several where they sweep."""
    found = {word.key_or_group: word for word in map(parsed, overrides) if word is not None}
    return {group: names for group, word in found.items() if (names := _names(word, options(conf, group)))}


def _names(word: Override, there: list[str]) -> list[str]:
    """Those of the files of a group that an override chooses."""
    value = word.value()
    if isinstance(value, Glob):
        return value.filter(there)
    chosen = word.sweep_iterator(transformer=Transformer.str) if word.is_choice_sweep() else [value]
    return [str(name) for name in chosen if name in there]


def _keys(cfg: DictConfig | None) -> list[str]:
    """Every key of a config, such as 'model.depth', but for Hydra's own."""
    if cfg is None:
        return []
    plain = OmegaConf.to_container(cfg, resolve=False)
    assert isinstance(plain, dict)
    return list(keys_of({name: node for name, node in plain.items() if name != "hydra"}))


def keys_of(node: object, prefix: str = "") -> Iterable[str]:
    """Every key of a nested config, such as 'model' and 'model.depth'."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from keys_of(value, f"{prefix}{key}.")
