"""Composing conf/train.yaml with Hydra, and telling a mistyped override in one line."""

import hashlib
import json
import os
import re
import traceback
from collections.abc import Iterable, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path

import hydra
import omegaconf
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from howdeep import folders, stored
from howdeep.errors import UserError, near
from howdeep.matching import match
from howdeep.names import check_name
from howdeep.training import targets

# What Hydra raises of overrides that cannot be composed; `explain` lets others through.
COMPLAINTS = (HydraException, OmegaConfBaseException, yaml.YAMLError, OSError, ValueError, TypeError)


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
        resolve(cfg)
    except COMPLAINTS as error:
        raise explain(error, conf) from error
    check_kinds(cfg)
    match(cfg)
    return cfg


class Compositions:
    """What `compose_train` gives, for many runs: those that differ in `VALUES` alone are composed once.

    Args:
        conf: the config folder.
        kept: a folder where the stages of a study find what one of them has composed, as long as `conf` stays as it is.
    """

    VALUES = ("model.depth", "matching", "reference.depth", "optimizer.lr")

    def __init__(self, conf: Path, kept: Path) -> None:
        self.conf = conf
        self._kept = kept / _checksum(conf)
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def of(self, overrides: Sequence[str]) -> DictConfig:
        """The config of one run; nobody else holds it.

        Raises:
            UserError: as `compose_train`.
        """
        own = [override for override in overrides if override.partition("=")[0] in self.VALUES]
        shared = tuple(override for override in overrides if override not in own)
        try:
            if shared not in self._composed:
                self._composed[shared] = self._read_or_compose(shared)
            cfg = self._composed[shared].copy()
            for override in OverridesParser.create().parse_overrides(own):
                OmegaConf.update(cfg, override.key_or_group, override.value())
            resolve(cfg)
            check_kinds(cfg)
        except (
            COMPLAINTS
        ):  # with all overrides at once, Hydra names the one that is wrong; or what was kept is spoiled
            return compose_train(self.conf, overrides)
        match(cfg)
        return cfg

    def _read_or_compose(self, overrides: tuple[str, ...]) -> DictConfig:
        """A config whose interpolations are not resolved yet: they may read the environment."""
        place = self._kept / hashlib.sha256(repr(overrides).encode()).hexdigest()[:16]
        if (kept := _kept(place)) is not None:
            return kept
        with composer(self.conf):
            cfg = compose("train", overrides=list(overrides))
        for old in set(self._kept.parent.glob("*")) - {self._kept}:  # of a `conf` that was edited
            if CHECKSUM.fullmatch(old.name):
                with suppress(UserError, OSError):  # what is not ours stays
                    folders.remove(old, folders.COMPOSITIONS, self._kept.parent)
        if (text := _as_text(cfg)) is not None:
            aside = place.with_suffix(f".{os.getpid()}")
            with suppress(OSError):  # the next stage composes it again
                self._kept.mkdir(parents=True, exist_ok=True)
                aside.write_bytes(text)
                aside.replace(place)
        return cfg


def _as_text(cfg: DictConfig) -> bytes | None:
    """A composed config as JSON below its checksum; None where JSON would make another config of it."""
    plain = OmegaConf.to_container(cfg, resolve=False)
    try:
        text = json.dumps(plain, allow_nan=False)
    except (TypeError, ValueError):
        return None
    content = text.encode()
    return (
        None if json.loads(text) != plain else hashlib.sha256(content).hexdigest().encode() + b"\n" + content
    )


def _no_number(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def _kept(place: Path) -> DictConfig | None:
    """The config that an earlier stage wrote there; None where there is none, or not what was written."""
    try:
        checksum, _, content = place.read_bytes().partition(b"\n")
        if checksum.decode() != hashlib.sha256(content).hexdigest():
            return None
        cfg = OmegaConf.create(json.loads(content, parse_constant=_no_number))
        assert isinstance(cfg, DictConfig)
        OmegaConf.set_struct(cfg, True)  # as Hydra gives it
    except (OSError, AssertionError, RecursionError, *COMPLAINTS):
        return None
    return cfg


CHECKSUM = re.compile("[0-9a-f]{16}")


def _checksum(conf: Path) -> str:
    """Of everything that a composition is made of."""
    digest = hashlib.sha256(f"{hydra.__version__} {omegaconf.__version__}".encode())
    for path in sorted(conf.rglob("*.yaml")):
        digest.update(f"{path.relative_to(conf)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


TEXT, MAP, LIST, TARGET = "text", "a map", "a list", "a map with _target_"
KINDS = {  # of what composing does not look at; numbers are checked where they are used
    **{name: TARGET for name in ("model", "task", "optimizer", "schedule", "trainer")},
    **{name: TARGET for name in ("data.prepare", "data.examples")},
    **{name: MAP for name in ("data", "diagnostics", "tracking")},
    "data.sources": LIST,
    **{f"data.{name}": TEXT for name in ("name", "licence", "homepage")},
    "tracking.experiment": TEXT,
}
DATA_KEYS = ("sources", "prepare", "examples", "licence", "homepage", "name")
NAMES = ("data.name", "tracking.experiment")  # they become folders, and words of a command
SETTINGS = {"diagnostics": "diagnostics.every=5"}
TEXT_OR_NULL = ("data.mirror", "tracking.uri", "resume")
PRESENT = (
    *("seed", "matching", "batch_size", "patience", "train_examples", "checkpoint_seconds", *TEXT_OR_NULL),
    *(
        "data.in_shape",
        "data.out_features",
        "data.vocabulary",
        "data.every_step",
        "model.depth",
        "optimizer.lr",
    ),
    *("diagnostics.every", "diagnostics.gap_examples", "diagnostics.gradient_examples"),
    *("trainer.accelerator", "trainer.devices", "trainer.max_epochs", "trainer.gradient_clip_val"),
    *("trainer.precision", "trainer.deterministic", "trainer.limit_train_batches", "trainer.profiler"),
)


def check_kinds(cfg: DictConfig) -> None:
    """Refuses a setting that is gone, or of another kind than conf/ has, such as a number in place of a map.

    Raises:
        UserError: the setting, what was expected and what came.
    """
    _check_data_keys(OmegaConf.select(cfg, "data"))
    for name, kind in sorted(KINDS.items()):  # `data` before `data.name`
        value = OmegaConf.select(cfg, name)
        if name in SETTINGS and not _is_kind(value, kind):
            raise UserError(f"{name} must hold its settings, as in {SETTINGS[name]}, got {_shown(value)}")
        if not _is_kind(value, kind):
            raise UserError(f"{name} must be {kind}, as in conf/, got {_shown(value)}: leave it as it is")
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    targets.check({str(name): node for name, node in plain.items()})
    for name in NAMES:
        check_name(OmegaConf.select(cfg, name), name)
    for name in PRESENT:
        group, _, key = name.rpartition(".")
        if key not in (cfg[group] if group else cfg):
            raise UserError(
                f"the config lacks {name}: set it to null where it allows that, or leave it as it is"
            )
    for name in TEXT_OR_NULL:
        value = OmegaConf.select(cfg, name)
        if value is not None and not isinstance(value, str):
            raise UserError(f"{name} must be text, or null, got {_shown(value)}")


def _check_data_keys(data: object) -> None:
    """A key that is mistyped is likelier than one that is forgotten."""
    if not isinstance(data, DictConfig):
        return
    for key in DATA_KEYS:
        if key not in data and (
            found := get_close_matches(key, [str(name) for name in data], n=1, cutoff=0.7)
        ):
            raise UserError(f"the data set's YAML lacks the key '{key}': did you mean it with '{found[0]}'?")


def _is_kind(value: object, kind: str) -> bool:
    if kind == TARGET:
        return isinstance(value, DictConfig) and "_target_" in value
    return isinstance(value, {TEXT: str, MAP: DictConfig, LIST: ListConfig}[kind])


def _shown(value: object) -> str:
    return repr(OmegaConf.to_container(value) if isinstance(value, DictConfig | ListConfig) else value)


def resolve(cfg: DictConfig) -> None:
    """Puts values in the place of interpolations.

    Raises:
        UserError: one that leads nowhere.
    """
    try:
        OmegaConf.resolve(cfg)
    except OmegaConfBaseException as error:
        first = str(error).splitlines()[0]
        if found := re.match(r"Interpolation key '([^']+)' not found", first):
            known = _keys(OmegaConf.to_container(cfg, resolve=False))
            raise UserError(
                f"the config lacks {found[1]}, from which another setting takes its value{near(found[1], known)}"
            ) from None
        raise UserError(f"the config cannot be composed: {first}") from None


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
        return stored.no_yaml(error, Path(mark.name))
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
            content = stored.yaml_of(path)
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
    with composer(conf):
        cfg = compose("train")
    groups = [path.name for path in conf.iterdir() if path.is_dir()]
    return [*_keys(OmegaConf.to_container(cfg, resolve=False)), *groups]


def _keys(node: object, prefix: str = "") -> Iterable[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _keys(value, f"{prefix}{key}.")
