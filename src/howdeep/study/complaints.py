"""What Hydra and OmegaConf say of a config that cannot be composed, in one line that a person understands."""

import os
import re
import traceback
from collections.abc import Iterable
from pathlib import Path

import yaml
from hydra import compose, initialize_config_dir
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from howdeep.errors import UserError, near
from howdeep.files import reading

# What Hydra raises of overrides that cannot be composed; `explain` lets others through.
COMPLAINTS = (HydraException, OmegaConfBaseException, yaml.YAMLError, OSError, ValueError, TypeError)


def explain(error: Exception, conf: Path) -> UserError:
    """Hydra's or OmegaConf's complaint about overrides in one line, with near matches.

    Any other `ValueError` or `TypeError` than Hydra's own about the value of a group is raised as it is.
    """
    if isinstance(error, UserError):
        return error
    if (
        isinstance(error, yaml.YAMLError)
        and (mark := getattr(error, "problem_mark", None))
        and Path(mark.name).is_file()
    ):
        return reading.no_yaml(error, Path(mark.name))
    text = str(error) or str(error.__cause__ or "")
    first, _, rest = text.partition("\n")
    if first.endswith(":") and rest:  # "In 'model/mlp':", and then what
        first = f"{first} {rest.splitlines()[0]}"
    first = first or type(error).__name__
    if isinstance(error, MissingConfigException) and (found := re.search(r"Could not find '([^']+)'", text)):
        group, _, option = found[1].rpartition("/")
        return UserError(
            f"expected one of the files in conf/{group}/, got {group}={option}{near(option, options(conf, group))}"
        )
    if isinstance(error, ConfigCompositionException) and (
        found := re.search(r"Could not override '([^']+)'", text)
    ):
        if found[1].startswith("hydra.sweeper."):
            return _explain_sweeper(found[1], conf)
        return UserError(f"expected a key of the config, got '{found[1]}'{near(found[1], keys(conf))}")
    if isinstance(error, OverrideParseException):
        override = getattr(error, "override", first)
        return UserError(
            f"expected overrides such as model.depth=4, got '{override}': write key=value, and quote lists"
        )
    if first.startswith("Only one of --run"):
        return UserError(f"expected one of Hydra's options at a time: {first}")
    if first.startswith("Config group override must be") or _in_defaults_list(error):
        return UserError(f"expected the name of a file for each folder of conf/, as in model=mlp: {first}")
    if first.startswith("Invalid defaults list"):
        return UserError(f"the config cannot be composed: {first}")
    if not isinstance(error, HydraException | OmegaConfBaseException):
        if line := _faulty(conf):
            return line
        raise error
    return UserError(f"the config cannot be composed: {first}")


def _faulty(conf: Path) -> UserError | None:
    """The first file of `conf` that is no map in YAML; Hydra stumbles over it without its name."""
    for path in sorted(conf.rglob("*.yaml")):
        try:
            content = reading.yaml_of(path)
        except UserError as line:
            return line
        if content is not None and not isinstance(content, dict):
            return UserError(f"{os.path.relpath(path)} must be a map of settings, got {content!r}")
    return None


def _in_defaults_list(error: Exception) -> bool:
    """Whether Hydra stumbled over the choice of a group, such as model=[1], for which it has no words."""
    steps = traceback.extract_tb(error.__traceback__)
    return isinstance(error, TypeError) and bool(steps) and steps[-1].filename.endswith("defaults_list.py")


def _explain_sweeper(key: str, conf: Path) -> UserError:
    known = [f"hydra.sweeper.{name}" for name in OmegaConf.load(conf / "hydra/sweeper/optuna.yaml")]
    if key in known:
        return UserError(f"{key} is a setting of the Optuna sweeper: add hydra/sweeper=optuna")
    return UserError(f"expected a setting of the sweeper, got '{key}'{near(key, known)}")


def options(conf: Path, group: str) -> list[str]:
    """The choices of a config group: the names of its YAML files."""
    return [path.stem for path in (conf / group).glob("*.yaml")]


def keys(conf: Path) -> list[str]:
    """Every key that the default config has, such as 'model.depth', and every group."""
    with initialize_config_dir(str(conf.resolve()), version_base="1.3"):
        cfg = compose("train")
    groups = [path.name for path in conf.iterdir() if path.is_dir()]
    return [*keys_of(OmegaConf.to_container(cfg, resolve=False)), *groups]


def keys_of(node: object, prefix: str = "") -> Iterable[str]:
    """Every key of a nested config, such as 'model' and 'model.depth'."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from keys_of(value, f"{prefix}{key}.")
