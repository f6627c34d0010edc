"""What Hydra and OmegaConf say of a config that cannot be composed, in one line that a person understands."""

import os
import re
import traceback
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from howdeep.errors import UserError, near
from howdeep.files import configs, reading
from howdeep.study import hints

# What Hydra raises of overrides that cannot be composed; `explain` lets others through.
COMPLAINTS = (HydraException, OmegaConfBaseException, yaml.YAMLError, OSError, ValueError, TypeError)
OF_PLUGINS = (RuntimeError, ImportError)  # where a sweeper or a launcher is none


def explain(error: Exception, conf: Path, overrides: Sequence[str] = (), *, typed: bool = False) -> UserError:
    """Hydra's or OmegaConf's complaint about overrides in one line, with what to type instead.

    Any other error than Hydra's own is raised as it is.

    Args:
        error: what was raised.
        conf: the config folder.
        overrides: what was composed; hints know from them which files are chosen.
        typed: whether they were typed behind `howdeep train`, which alone takes -m.
    """
    if isinstance(error, UserError):
        return error
    if isinstance(error, OF_PLUGINS):
        if re.match("Invalid plugin|Unknown plugin class|Could not instantiate plugin", str(error)):
            return UserError(
                f"expected hydra/sweeper and hydra/launcher to name files, as in hydra/sweeper=optuna: "
                f"{str(error).splitlines()[0]}"
            )
        raise error
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
        if not configs.is_group(conf, group):  # Hydra's own, which it lists
            known = re.findall(r"^\t(\S+)$", text, re.MULTILINE)
            return UserError(f"expected a choice of {group}, got {group}={option}{near(option, known)}")
        behind = " or howdeep's own" if configs.behind(conf) else ""
        return UserError(
            f"expected one of the files in conf/{group}/{behind}, got {group}={option}"
            f"{near(option, configs.options(conf, group))}"
        )
    if isinstance(error, ConfigCompositionException) and (
        found := re.search(r"Could not override '([^']+)'", text)
    ):
        if found[1].startswith("hydra.sweeper."):
            return _explain_sweeper(found[1], conf)
        whole = re.search(r"full_key: (\S+)", str(error.__cause__))  # of a map that was typed, the key in it
        return _no_key(whole[1] if whole else found[1], conf, overrides)
    if found := re.match(r"Could not delete from config. '(.+)' does not exist", first):
        return _no_key(found[1], conf, overrides)
    if found := re.match(r"Could not append to config. An item is already at '(.+)'", first):
        return UserError(f"expected a new key behind +, got '{found[1]}', which is there: leave out the +")
    if isinstance(error, OverrideParseException):
        override = getattr(error, "override", first)
        return UserError(
            f"expected overrides such as model.depth=4, got '{override}': {hints.of_unreadable(override, conf)}"
        )
    if found := re.match(r"Ambiguous value for argument '(.+)'$|Sweep parameters '(.+)' requires", first):
        override = found[1] or found[2]
        return UserError(
            f"expected one value, got '{override}': {hints.of_several(override, conf, many=typed)}"
        )
    if found := re.match(r"Sweeping over Hydra's configuration is not supported : '(.+)'$", first):
        return UserError(
            f"expected one value, got '{found[1]}': {hints.of_several(found[1], conf, many=False)}"
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


def _no_key(key: str, conf: Path, overrides: Sequence[str]) -> UserError:
    return UserError(f"expected a key of the config, got '{key}'{hints.of_key(key, conf, overrides)}")


def _faulty(conf: Path) -> UserError | None:
    """The first file of `conf` that is no map in YAML; Hydra stumbles over it without its name."""
    for path in configs.files(conf).values():
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
    known = [
        f"hydra.sweeper.{name}" for name in OmegaConf.load(configs.files(conf)["hydra/sweeper/optuna.yaml"])
    ]
    if key in known:
        return UserError(f"{key} is a setting of the Optuna sweeper: add hydra/sweeper=optuna")
    return UserError(f"expected a setting of the sweeper, got '{key}'{near(key, known)}")
