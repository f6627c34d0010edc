"""The study of params.yaml: which data, architectures, depths, matchings and seeds are compared."""

import datetime
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from howdeep.cluster.address import Address, declared
from howdeep.errors import UserError, near
from howdeep.files import reading
from howdeep.names import check_name
from howdeep.records.cell import MATCHINGS, Cell
from howdeep.study.tuning import MOST_ALONE, tuned_settings

KEYS = (
    *("study", "data", "depths", "matching", "seeds", "split", "optimizer", "schedule", "trainer", "margins"),
    *("tune", "entries"),
)
OPTIONAL = ("patience", "cluster")
SPLITS = ("fixed", "seeds", "all")
ENTRY_KEYS = ("data", "model", "task", "matching", "seeds", "overrides", "tune")
VARIED = {  # what no entry overrides, and where it is set
    "matching": "write {}.matching, a list,",
    "seed": "write {}.seeds, a list,",
    "model.depth": "write `depths` of the study, a list,",
}
TUNE_KEYS = ("trials", "epochs", "optimizers")
CHOICES = ("optimizer", "schedule", "trainer")
TASKS = Path(__file__).parents[1] / "tasks"


@dataclass(frozen=True)
class Tuning:
    """How each run finds its optimizer and learning rate, by successive halving.

    Args:
        trials: for every depth, seed and optimizer alike.
        epochs: where trials are compared and the best third goes on, as shares of the epochs of a run, rising.
        optimizers: the lowest and the highest learning rate of each; the trials lie evenly between, on a log scale.
    """

    trials: int
    epochs: tuple[float, ...]
    optimizers: dict[str, tuple[float, float]]

    @property
    def settings(self) -> list[str]:
        """What is tuned of the optimizers: 'lr', and where there are many trials 'momentum' and 'weight_decay'."""
        return list(dict.fromkeys(name for of in self.optimizers for name in tuned_settings(of, self.trials)))


@dataclass(frozen=True)
class Entry:
    """One line of the study: an architecture on a data set, with what differs from the defaults."""

    name: str
    data: str
    model: str
    task: str
    overrides: tuple[str, ...]
    tuning: Tuning | None = None  # the study's, with what the entry changes of it
    matchings: tuple[str, ...] = ("width",)  # the study's, or the entry's own
    seeds: tuple[int, ...] = (0,)  # the study's, or the entry's own


@dataclass(frozen=True)
class Study:
    name: str
    data: tuple[str, ...]
    depths: tuple[int, ...]
    choices: tuple[str, ...]  # Hydra overrides that all entries share
    margins: dict[str, float]  # of each score, the smallest difference that matters
    entries: dict[str, Entry]
    reasons: dict[str, str] = field(default_factory=dict)  # why a margin is what it is, of scores that say so
    split: str = "fixed"  # or what each seed draws anew: seeds, validation examples; all, test examples too
    cluster: Address | None = None  # where runs are sent; None: they stay on this machine

    def overrides(self, entry: Entry, cell: Cell, tuned: Sequence[str] = ()) -> list[str]:
        """The Hydra overrides of a cell; the entry's own win over the study's, and the tuned setting over both.

        Where not the width is matched, every depth gets what the deepest network has, unless the entry says otherwise.
        """
        groups = (f"data={entry.data}", f"model={entry.model}", f"task={entry.task}")
        # Hydra takes a group only once.
        chosen = {override.partition("=")[0] for override in (*entry.overrides, *tuned)}
        choices = (choice for choice in self.choices if choice.partition("=")[0] not in chosen)
        deepest = f"reference.depth={max(self.depths)}"
        matched = [] if cell.matching == "width" else [f"matching={cell.matching}", deepest]
        return [*groups, *choices, f"model.depth={cell.depth}", *matched, *entry.overrides, *tuned]

    def cells(self, entry: Entry) -> Iterator[Cell]:
        """The cells of an entry, deepest first: the longest runs must not come last."""
        for depth in sorted(self.depths, reverse=True):
            for matching in entry.matchings:
                yield Cell(entry.data, entry.model, depth, matching)

    def runs(self, entry: Entry) -> Iterator[tuple[Cell, int]]:
        """The cells of an entry, each with every seed."""
        return ((cell, seed) for cell in self.cells(entry) for seed in entry.seeds)

    def entry(self, name: str) -> Entry:
        if name not in self.entries:
            raise UserError(f"expected an entry of params.yaml, got '{name}'{near(name, self.entries)}")
        return self.entries[name]


def learning_curves(entries: Iterable[Entry]) -> dict[str, list[str]]:
    """Entries that differ in the number of training examples alone; steps an epoch and tuning may differ as well.

    Returns:
        Of each curve the entry with most examples, which stands for the architecture on its data, and its other
        points.
    """
    curves: dict[tuple, dict[float, str]] = {}
    for entry in entries:
        size, others = math.inf, []
        for override in entry.overrides:
            name, _, value = override.partition("=")
            if name == "train_examples" and value.isdigit():
                size = int(value)
            elif name not in ("train_examples", "steps_per_epoch"):
                others.append(override)
        alike = (entry.data, entry.model, entry.task, tuple(sorted(others)))
        curves.setdefault(alike, {}).setdefault(size, entry.name)
    sorted_ = ([points[size] for size in sorted(points, reverse=True)] for points in curves.values())
    return {names[0]: names[1:] for names in sorted_ if len(names) > 1}


def read(params: Path) -> Study:
    """The study in a params.yaml.

    Raises:
        UserError: no such file, no YAML, a missing or mistyped key, a value that no study can have.
    """
    content = reading.yaml_of(params)
    if not isinstance(content, dict):
        raise UserError(f"{params.name} must be a map with the keys {', '.join(KEYS)}, got {content!r}")
    _known(content, (*KEYS, *OPTIONAL), params.name)
    for key in KEYS:
        if key not in content:
            raise UserError(f"{params.name} lacks the key '{key}'")
    data = _data(content["data"])
    if not isinstance(content["entries"], dict) or not content["entries"]:
        raise UserError(
            f"entries in {params.name} must be a map, such as {{digits-mlp: {{data: digits, model: mlp}}}}"
        )
    seeds = _seeds(content["seeds"], "seeds")
    matchings = _matchings(content["matching"], "matching")
    margins, reasons = _margins(content["margins"])
    names = [_name(name, "each entry of params.yaml") for name in content["entries"]]
    _differ_in_more_than_case(names, "entries")
    return Study(
        name=_name(content["study"], "study in params.yaml"),
        data=data,
        depths=_whole_numbers(content["depths"], "depths", least=1),
        choices=(
            *(f"{group}={_name(content[group], f'{group} in params.yaml')}" for group in CHOICES),
            *_patience(content.get("patience")),
        ),
        margins=margins,
        reasons=reasons,
        entries={
            name: _entry(name, node, data, content["tune"], seeds, matchings)
            for name, node in content["entries"].items()
        },
        split=_split(content["split"]),
        cluster=declared(content.get("cluster")),
    )


def _name(node: Any, what: str) -> str:
    """A name; where YAML took a word for something else, the line says how to keep it."""
    if isinstance(node, str):
        return check_name(node, what)
    if node is None:
        raise UserError(f"{what} must be a name, found nothing: write one, such as 'digits-mlp'")
    taken = {bool: "true or false", int: "a number", float: "a number"}.get(type(node))
    if isinstance(node, datetime.date):
        taken = "a date"
    hint = f", which YAML takes for {taken}: put the name into quotes" if taken else ""
    raise UserError(f"{what} must be a name, got {node!r}{hint}")


def _data(node: Any) -> tuple[str, ...]:
    if not isinstance(node, list) or not node:
        raise UserError(f"data in params.yaml must be a list of different names, got {node!r}")
    names = [_name(name, "each name in the list `data` of params.yaml") for name in node]
    _differ_in_more_than_case(names, "data")
    return tuple(names)


def _differ_in_more_than_case(names: Sequence[str], where: str) -> None:
    """Each name is a folder, and where upper and lower case are one, two of them would be the same folder."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise UserError(
                f"{where} in params.yaml has '{other}' and '{name}', which differ in upper and lower case alone: "
                "rename one of them"
            )
    if len(seen) < len(names):
        raise UserError(f"{where} in params.yaml must be a list of different names, got {list(names)!r}")


def _patience(node: Any) -> list[str]:
    """Epochs without a better validation loss after which every run ends; none where the study asks for none."""
    if node is None:
        return []
    if type(node) is not int or node < 1:
        raise UserError(
            f"patience in params.yaml must be a whole number of epochs of at least 1, or null, got {node!r}"
        )
    return [f"patience={node}"]


def _split(node: Any) -> str:
    if node not in SPLITS:
        raise UserError(
            f"split in params.yaml must be {', '.join(SPLITS[:-1])} or {SPLITS[-1]}, got {node!r}"
        )
    return node


def _entry(
    name: str,
    node: Any,
    data: tuple[str, ...],
    tune: Any,
    seeds: tuple[int, ...],
    matchings: tuple[str, ...],
) -> Entry:
    where = f"entries.{name}"
    if not isinstance(node, dict):
        raise UserError(f"{where} must be a map with data, model and task, got {node!r}")
    _known(node, ENTRY_KEYS, where)
    for key in ("data", "model", "task"):
        if key not in node:
            raise UserError(f"{where} lacks the key '{key}'")
        _name(node[key], f"{where}.{key}")
    if node["data"] not in data:
        raise UserError(
            f"{where}.data is '{node['data']}', which the list `data` lacks{near(node['data'], data)}"
        )
    overrides = node.get("overrides") or {}
    if not isinstance(overrides, dict):
        raise UserError(
            f"{where}.overrides must be a map such as {{model: {{width: 32}}}}, got {overrides!r}"
        )
    flat = tuple(_flat(overrides))
    if node.get("seeds") is not None:
        seeds = _seeds(node["seeds"], f"{where}.seeds")
    tuning = _tuning(tune, node.get("tune"), where)
    if tuning and any(override.startswith("optimizer=") for override in flat):
        raise UserError(
            f"{where}.overrides sets optimizer, which is tuned: set {where}.tune.optimizers instead"
        )
    for setting in tuning.settings if tuning else ():
        if any(override.startswith(f"optimizer.{setting}=") for override in flat):
            instead = (
                f"set {where}.tune.optimizers instead"
                if setting == "lr"
                else f"remove it, or set tune.trials to {MOST_ALONE} at most"
            )
            raise UserError(f"{where}.overrides sets optimizer.{setting}, which is tuned: {instead}")
    for setting, instead in VARIED.items():
        if any(override.startswith(f"{setting}=") for override in flat):
            raise UserError(f"{where}.overrides sets {setting}: {instead.format(where)} instead")
    if node.get("matching") is not None:
        matchings = _matchings(node["matching"], f"{where}.matching")
    return Entry(name, node["data"], node["model"], node["task"], flat, tuning, matchings, seeds)


def _seeds(node: Any, where: str) -> tuple[int, ...]:
    return _whole_numbers(node, where, least=0)


def _matchings(node: Any, where: str) -> tuple[str, ...]:
    """What is held equal across depths: one or several of width, parameters and flops."""
    good = isinstance(node, list) and node and all(isinstance(name, str) for name in node)
    if not good or len(set(node)) < len(node):
        raise UserError(
            f"{where} in params.yaml must be a list of different names such as [width, parameters], got {node!r}"
        )
    for name in node:
        if name not in MATCHINGS:
            raise UserError(
                f"{where} in params.yaml names the unknown matching {name!r}{near(name, MATCHINGS)}"
            )
    return tuple(node)


def _tuning(shared: Any, own: Any, where: str) -> Tuning | None:
    """What params.yaml says in `tune`, with what an entry changes of it; null asks for none."""
    for node, name in ((shared, "tune"), (own, f"{where}.tune")):
        if node is not None and not isinstance(node, dict):
            raise UserError(f"{name} must be a map with {', '.join(TUNE_KEYS)}, or null, got {node!r}")
        _known(node or {}, TUNE_KEYS, name)
    if shared is None:
        return None
    node = {**shared, **(own or {})}
    for key in TUNE_KEYS:
        if key not in node:
            raise UserError(f"tune in params.yaml lacks the key '{key}'")
    trials, epochs, optimizers = (node[key] for key in TUNE_KEYS)
    if type(trials) is not int or trials < 1:
        raise UserError(f"tune.trials must be a whole number of at least 1, got {trials!r}")
    shares = epochs if isinstance(epochs, list) else [epochs]
    if not shares or not all(type(of) in (int, float) and 0 < of <= 1 for of in shares):
        raise UserError(
            "tune.epochs must be shares of the epochs of a run, each above 0 and at most 1, such as [0.1, 0.3], got "
            f"{epochs!r}"
        )
    if any(later <= earlier for earlier, later in pairwise(shares)):
        raise UserError(f"tune.epochs must rise, such as [0.1, 0.3], got {epochs!r}")
    if not isinstance(optimizers, dict) or not optimizers or not all(map(_is_range, optimizers.values())):
        raise UserError(
            "tune.optimizers must be a map of optimizers to their lowest and highest learning rate, such as "
            f"{{adam: [1.0e-3, 1.0e-2]}}, got {optimizers!r}"
        )
    for name in optimizers:
        _name(name, f"each key of {'tune' if own is None else f'{where}.tune'}.optimizers")
    ranges = {name: (float(low), float(high)) for name, (low, high) in optimizers.items()}
    return Tuning(trials, tuple(map(float, shares)), ranges)


def _is_range(node: Any) -> bool:
    numbers = isinstance(node, list) and len(node) == 2 and all(type(v) in (int, float) for v in node)
    return numbers and 0 < node[0] < node[1] < float("inf")


def _margins(node: Any) -> tuple[dict[str, float], dict[str, str]]:
    """The margin of each score, a number or {margin: 0.01, reason: why}, and the reasons of those that have one."""
    if not isinstance(node, dict):
        raise UserError(
            f"margins in params.yaml must be a map of scores to numbers, such as {{accuracy: 0.01}}, got {node!r}"
        )
    known = scores()
    margins: dict[str, float] = {}
    reasons: dict[str, str] = {}
    for score, value in node.items():
        if _name(score, "each score in `margins` of params.yaml") not in known:
            raise UserError(f"margins in params.yaml names the unknown score '{score}'{near(score, known)}")
        margins[score], reasons[score] = _margin(value, f"margins.{score} in params.yaml")
    return margins, {score: reason for score, reason in reasons.items() if reason}


def _margin(node: Any, where: str) -> tuple[float, str]:
    """The number, and its reason in one line, or nothing."""
    such = "a map such as {margin: 0.01, reason: one test example of a hundred}"
    margin, reason = node, ""
    if isinstance(node, dict):
        _known(node, ("margin", "reason"), where)
        margin, reason = (node.get(key) for key in ("margin", "reason"))
        if not isinstance(reason, str) or not reason.strip():
            raise UserError(f"{where} must say its reason in words, in {such}, got {node!r}")
    if not isinstance(margin, int | float) or isinstance(margin, bool) or not 0 <= margin < 1e9:
        raise UserError(f"{where} must be a number of at least 0, or {such}, got {node!r}")
    return float(margin), " ".join(reason.split()).rstrip(".")


@cache
def scores() -> frozenset[str]:
    """The names of all tasks' scores, read from their sources: to import them takes seconds."""
    texts = (path.read_text(encoding="utf-8") for path in TASKS.glob("*.py"))
    return frozenset(found[1] for text in texts for found in re.finditer(r'\bscore_name\b.*= "(\w+)"', text))


def _flat(node: Any, prefix: str = "") -> Iterator[str]:
    """`{model: {width: 16}}` as the Hydra override `model.width=16`."""
    for key, value in node.items():
        if not isinstance(key, str):
            raise UserError(
                f"overrides in params.yaml have the key {prefix}{key!r}, which YAML takes for no text: put it into "
                "quotes, or remove it"
            )
        path = f"{prefix}{key}"
        if isinstance(value, str) and value.lower() in ("yes", "no", "on", "off"):  # of YAML 1.1
            raise UserError(f"overrides in params.yaml set {path} to {value}, a text: write true or false")
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{path}.")
        else:
            yield f"{path}={'null' if value is None else str(value).lower() if isinstance(value, bool) else value}"


def _whole_numbers(values: Any, where: str, least: int) -> tuple[int, ...]:
    good = isinstance(values, list) and values and all(type(v) is int and v >= least for v in values)
    if not good or len(set(values)) < len(values):
        raise UserError(
            f"{where} in params.yaml must be a list of different whole numbers of at least {least}, got {values!r}"
        )
    return tuple(values)


def _known(node: dict, keys: tuple[str, ...], where: str) -> None:
    for key in node:
        if key not in keys:
            raise UserError(f"{where} has the unknown key '{key}'{near(key, keys)}")
