"""What all trials of a sweep have in common: the composed config, the code and the data, whoever typed what.

Two starts of a sweep belong to one study if they would give the same run the same key.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from howdeep.files import reading
from howdeep.files.project import Project
from howdeep.files.writing import write_json
from howdeep.records import fingerprint
from howdeep.runs.examples import ensure_prepared, train_checksum
from howdeep.study import matching
from howdeep.study.kinds import check_kinds, resolve
from howdeep.sweeping.outcomes import Hopeless
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.space import Choice, Point, Space, changed, overrides, text
from howdeep.tracking.words import flat

TRIED = "(tried)"  # in the place of a value that is drawn from a range, and of all that is made of it
DIGITS = 12  # of a checksum


def common_settings(
    space: Space, compose: Callable[[Point], DictConfig], project: Project
) -> tuple[dict[str, str], DictConfig]:
    """Composes and checks each value of each choice, prepares its data, and tells what decides the trials' numbers.

    Args:
        compose: gives the config of a point, whose interpolations are not resolved.

    Returns:
        The settings by name, the same however wide ranges are; those in which another choice differs from the first
        one have that choice in brackets. And the first config, resolved.

    Raises:
        UserError: a choice that cannot be composed, a setting of the wrong kind, data that is spoiled.
    """
    found: dict[str, str] = {}
    first: DictConfig | None = None
    composed = [(point, compose(point)) for point in space.examples()]  # before any data are prepared
    for point, cfg in composed:
        masked = cfg.copy()
        resolve(cfg)
        check_kinds(cfg)
        ensure_prepared(cfg.data, project)
        own = _decisive(cfg, _masked(masked, space), project)
        kept = {name: value for name, value in own.items() if name not in {key.lstrip("+") for key in point}}
        if first is None:
            first, found = cfg, kept
        else:
            choices = {name: of for name, of in point.items() if isinstance(space.dimensions[name], Choice)}
            where = f" ({' '.join(overrides(choices))})"
            others = {name: value for name, value in kept.items() if found.get(name) != value}
            found |= {f"{name}{where}": value for name, value in others.items()}
    assert first is not None
    return found, first


def _masked(cfg: DictConfig, space: Space) -> DictConfig:
    """The resolved config with a mark in the place of what is drawn from ranges."""
    with open_dict(cfg):
        for name, dimension in space.dimensions.items():
            key = name.lstrip("+")
            if not isinstance(dimension, Choice) and OmegaConf.select(cfg, key) is not None:
                OmegaConf.update(cfg, key, TRIED)
    resolve(cfg)
    return cfg


def _decisive(cfg: DictConfig, masked: DictConfig, project: Project) -> dict[str, str]:
    """The settings of a config, and checksums of the code and the data that it uses."""
    settings = fingerprint.settings(masked)
    files = fingerprint.sources(cfg)
    if cfg.matching != "width":
        files.append(Path(matching.__file__))
    # What is prepared with an option that is tried differs from trial to trial: the code that prepares it does not.
    tried = TRIED in json.dumps(settings["data"])
    data = (
        fingerprint.preparation_checksum(cfg.data.prepare._target_) if tried else train_checksum(cfg, project)
    )
    sums = {"source code": fingerprint.checksum(files), "training examples": data}
    return {
        **{name: text(value) for name, value in flat(settings)},
        **{name: value[:DIGITS] for name, value in sums.items()},
    }


def check_fits(cfg: DictConfig, plan: Plan, project: Project) -> None:
    """Refuses the config of a job that computes something else than its study, whose files were edited meanwhile.

    Args:
        cfg: resolved, with the width that its matching gives it.

    Raises:
        Hopeless: other settings, code or data than the sweep had when it was started.
    """
    known: dict[str, set[str]] = {}
    for name, value in plan.setting.items():
        known.setdefault(name.partition(" (")[0], set()).add(value)
    solved = () if cfg.matching == "width" else ("model.width", "reference.width")
    for name, value in _decisive(cfg, cfg, project).items():
        there = known.get(name)
        if there and name not in solved and not any(TRIED in of for of in there) and value not in there:
            raise Hopeless(
                f"{name} was {' or '.join(sorted(there))} when the sweep {plan.study} was started, and is now {value}: "
                "start it again"
            )


def other_than_last_time(
    typed: Sequence[str], study: str, settings: dict[str, str], project: Project
) -> str | None:
    """What has changed, in a line, where the same command had another study when it was typed last; notes this one.

    Args:
        typed: the words of the command that say what is computed.
    """
    name = hashlib.sha256(json.dumps(sorted(typed)).encode()).hexdigest()[:16]
    place = project.scratch / "sweeps" / f"{name}.json"
    last = reading.json_map(place, "delete it") if place.exists() else {}
    write_json(place, {"study": study, "settings": settings})
    if last.get("study") in (None, study):
        return None
    what = changed(last["settings"], settings, "setting") or "another objective, or something else is tried"
    return (
        f"not {last['study']}, the study of this command last time, since {what}; that one keeps its trials"
    )
