"""Composing conf/train.yaml with Hydra, and telling a mistyped override in one line."""

import re
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from howdeep.errors import UserError, near
from howdeep.matching import match


@contextmanager
def composer(conf: Path):
    """Hydra's compose API for the config folder `conf`, for as many compositions as are wanted."""
    with initialize_config_dir(str(conf.resolve()), version_base="1.3", job_name="train"):
        yield


def compose_train(conf: Path, overrides: Sequence[str]) -> DictConfig:
    """The config of one run, with the width that its matching gives it.

    Raises:
        UserError: an override that names no group, option or key, with near matches; a width that cannot be matched.
    """
    try:
        with composer(conf):
            cfg = compose("train", overrides=list(overrides))
            OmegaConf.resolve(cfg)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise explain(error, conf) from error
    match(cfg)
    return cfg


def files(conf: Path, overrides: Sequence[str]) -> list[str]:
    """The YAML files of `conf` that Hydra loads for these overrides, relative to it, as in 'data/digits.yaml'."""
    with composer(conf):
        loader = GlobalHydra.instance().config_loader()
        loaded = loader.compute_defaults_list("train", list(overrides), RunMode.RUN).defaults
    ours = (d.config_path for d in loaded if d.config_path and not d.config_path.startswith("hydra/"))
    return sorted(f"{path}.yaml" for path in ours if (conf / f"{path}.yaml").is_file())


def explain(error: Exception, conf: Path) -> UserError:
    """Hydra's or OmegaConf's complaint about overrides in one line, with near matches.

    Any other `ValueError` than Hydra's own about the value of a group is raised as it is.
    """
    text = str(error)
    first = text.splitlines()[0] if text else type(error).__name__
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
    if first.startswith("Config group override must be"):
        return UserError(f"expected the name of a file for each folder of conf/, as in model=mlp: {first}")
    if not isinstance(error, HydraException | OmegaConfBaseException):
        raise error
    return UserError(f"the config cannot be composed: {first}")


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
    with composer(conf):
        cfg = compose("train")
    groups = [path.name for path in conf.iterdir() if path.is_dir()]
    return [*_keys(OmegaConf.to_container(cfg, resolve=False)), *groups]


def _keys(node: object, prefix: str = "") -> Iterable[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _keys(value, f"{prefix}{key}.")
