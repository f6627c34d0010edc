"""From a composed config to one that can be used: interpolations resolved, each setting there and of its kind."""

import re
from difflib import get_close_matches

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from howdeep.errors import UserError, near
from howdeep.names import check_name
from howdeep.study.hints import keys_of
from howdeep.training import targets

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
            known = keys_of(OmegaConf.to_container(cfg, resolve=False))
            raise UserError(
                f"the config lacks {found[1]}, from which another setting takes its value{near(found[1], known)}"
            ) from None
        raise UserError(f"the config cannot be composed: {first}") from None
