"""Composing conf/train.yaml with Hydra: for one run, or for the many of a study."""

import hashlib
import json
import os
import re
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

import hydra
import omegaconf
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from howdeep.errors import UserError
from howdeep.files import configs, folders
from howdeep.study.complaints import COMPLAINTS, explain
from howdeep.study.kinds import check_kinds, resolve
from howdeep.study.matching import match
from howdeep.study.sharing import Shared


@contextmanager
def composer(conf: Path):
    """Hydra's compose API for a project's conf/, for as many compositions as are wanted."""
    with initialize_config_dir(str(conf.absolute()), version_base="1.3", job_name="train"):
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
        raise explain(error, conf, overrides) from error
    check_kinds(cfg)
    match(cfg)
    return cfg


class Compositions:
    """What `compose_train` gives, for many runs: those that differ in numbers alone are composed once.

    Args:
        conf: the config folder.
        kept: a folder where the stages of a study find what one of them has composed, as long as `conf` stays as it is.
    """

    def __init__(self, conf: Path, kept: Path) -> None:
        self.conf = conf
        self._kept = kept / _checksum(conf)

    def of(self, overrides: Sequence[str]) -> DictConfig:
        """The config of one run; nobody else holds it.

        Raises:
            UserError: as `compose_train`.
        """
        try:
            cfg = self._shared.of(overrides)
            resolve(cfg)
            check_kinds(cfg)
        except COMPLAINTS:
            # With all overrides at once, Hydra names the one that is wrong; or what was kept is spoiled.
            return compose_train(self.conf, overrides)
        match(cfg)
        return cfg

    @cached_property
    def _shared(self) -> Shared:
        return Shared(self._read_or_compose, self._read_or_compose(()))

    def _read_or_compose(self, overrides: Sequence[str]) -> DictConfig:
        """A config whose interpolations are not resolved yet: they may read the environment."""
        place = self._kept / hashlib.sha256(repr(tuple(overrides)).encode()).hexdigest()[:16]
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
    for name, path in configs.files(conf).items():
        digest.update(f"{name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
