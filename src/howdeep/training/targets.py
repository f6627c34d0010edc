"""Which `_target_`s a config may hold.

Hydra imports and calls whatever a `_target_` names, and configs also come from elsewhere, with the records of a DVC
remote: a name in a file must not run what happens to be installed. So each place of a config takes what it is for, a
network from `howdeep.nets`, an optimizer from `torch.optim`, and no other place takes any.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import FunctionType
from typing import Any

from howdeep.errors import UserError, near

PARTIAL = ("task", "optimizer", "schedule", "data.prepare", "data.examples")  # called later, with the rest
MACHINERY = ("howdeep.data.sources", "howdeep.data.prepared")  # no data sets: they write and remove files


@dataclass(frozen=True)
class Place:
    """What may stand in a place of the config.

    Args:
        pattern: of the dotted name; its first group is the module, its second what is taken from it.
        what: it is, with an example.
    """

    pattern: str
    what: str


_ONE = r"[A-Za-z][A-Za-z0-9_]*"
_DATA = Place(
    rf"(howdeep\.data\.{_ONE})\.({_ONE})",
    "a function of a file in howdeep/data, such as howdeep.data.digits.prepare",
)
PLACES = {
    "model": Place(
        rf"(howdeep\.nets\.{_ONE})\.({_ONE})",
        "a class of a file in howdeep/nets, such as howdeep.nets.mlp.MLP",
    ),
    "task": Place(
        rf"(howdeep\.tasks\.{_ONE})\.({_ONE})",
        "a class of a file in howdeep/tasks, such as howdeep.tasks.classification.Classification",
    ),
    "data.prepare": _DATA,
    "data.examples": _DATA,
    "optimizer": Place(rf"(torch\.optim)\.({_ONE})", "an optimizer of torch.optim, such as torch.optim.Adam"),
    "schedule": Place(
        rf"(howdeep\.training\.schedules)\.({_ONE})",
        "a function of howdeep/training/schedules.py, such as howdeep.training.schedules.cosine",
    ),
    "trainer": Place(r"(pytorch_lightning)\.(Trainer)", "pytorch_lightning.Trainer"),
}


def check(config: Mapping[str, Any]) -> None:
    """Looks at the text of every `_target_` of a resolved config; nothing is imported.

    Raises:
        UserError: one that its place does not take.
    """
    for place, node in _nodes(config):
        name = f"{place}._target_" if place else "_target_"
        target = node["_target_"]
        if place not in PLACES:
            raise UserError(
                f"{name} must not be there, got {_shown(target)}: only {', '.join(PLACES)} have one"
            )
        if not isinstance(target, str) or not re.fullmatch(PLACES[place].pattern, target):
            raise UserError(f"{name} must be {PLACES[place].what}, got {_shown(target)}")
        if node.get("_partial_", False) is not (place in PARTIAL):
            wanted = "must be true" if place in PARTIAL else "must not be there"
            raise UserError(f"{place}._partial_ {wanted}, as in conf/, got {_shown(node.get('_partial_'))}")
        for key in node:  # what else Hydra would take as an order to itself
            if str(key).startswith("_") and key not in ("_target_", "_partial_"):
                raise UserError(f"{place}.{key} must not be there, got {_shown(node[key])}")


def verify(config: Mapping[str, Any]) -> None:
    """As `check`, and then that each `_target_` is there and what its place takes.

    Raises:
        UserError: one that its place does not take, or that cannot be found.
    """
    check(config)
    for place, node in _nodes(config):
        locate(place, node["_target_"])


@cache  # of a study with a thousand records it is asked for a few
def locate(place: str, target: str) -> Any:
    """What the `_target_` in a place of the config names.

    A name that leads through a module to something that was made elsewhere (howdeep.nets.mlp.nn) is refused.

    Raises:
        UserError: it is not what the place takes; nothing but howdeep's, torch's or Lightning's own modules were
            imported to see that.
    """
    found = re.fullmatch(PLACES[place].pattern, target) if isinstance(target, str) else None
    if not found:
        raise UserError(f"{place}._target_ must be {PLACES[place].what}, got {_shown(target)}")
    module_name, name = found.groups()
    if find_spec(module_name) is None:
        raise UserError(
            f"{place}._target_ must be {PLACES[place].what}, got {target!r}: there is no file "
            f"{module_name.replace('.', '/')}.py"
        )
    module = import_module(module_name)
    part = getattr(module, name, None)
    if not _belongs(place, part, module_name):
        known = [
            n for n, p in vars(module).items() if not n.startswith("_") and _belongs(place, p, module_name)
        ]
        raise UserError(f"{place}._target_ must be {PLACES[place].what}, got {target!r}{near(name, known)}")
    return part


def call(place: str, node: Mapping[str, Any], *args: Any) -> Any:
    """Calls what a partial `_target_` names, with the options that stand beside it and these arguments.

    Raises:
        UserError: as `locate`; an option is missing, or one that the function does not have; or what it says itself.
    """
    function = locate(place, node["_target_"])
    options = {name: value for name, value in node.items() if name not in ("_target_", "_partial_")}
    parameters = inspect.signature(function).parameters.values()
    own = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in options:
        if name not in own and not takes_any:
            raise UserError(f"{node['_target_']} has no option {place}.{name}{near(name, own)}")
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY and p.default is p.empty and p.name not in options:
            raise UserError(
                f"{node['_target_']} needs the option {place}.{p.name}: write it in the data set's YAML"
            )
    return function(*args, **options)


def _belongs(place: str, part: Any, module: str) -> bool:
    own = getattr(part, "__module__", None)
    if place in ("data.prepare", "data.examples"):  # a data set may take these from another one
        return (
            isinstance(part, FunctionType) and str(own).startswith("howdeep.data.") and own not in MACHINERY
        )
    if place == "schedule":
        return isinstance(part, FunctionType) and own == module
    if not isinstance(part, type):
        return False
    if place == "trainer":
        return True
    if place == "optimizer":
        from torch.optim import Optimizer

        return issubclass(part, Optimizer)
    if place == "task":
        from howdeep.tasks.task import Task

        return issubclass(part, Task) and own == module
    from torch import nn

    return issubclass(part, nn.Module) and own == module


def _nodes(node: Any, place: str = "") -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Each map with a `_target_`, and where it stands."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield place, node
        for name, child in node.items():
            yield from _nodes(child, f"{place}.{name}" if place else str(name))
    elif isinstance(node, list | tuple):
        for number, child in enumerate(node):
            yield from _nodes(child, f"{place}.{number}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
