"""The `inspect` stage: what the networks of a study hold inside, on validation examples.

Of each cell the first seed whose run finished: looking at all would cost five times as much and tell a reader no more
than the spread that scores have already. Points of learning curves are left out. No test example is read.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from howdeep.cluster import address
from howdeep.cluster.elsewhere import Elsewhere
from howdeep.cluster.pool import run_all
from howdeep.data.examples import Split
from howdeep.files.folders import TABLES, written_aside
from howdeep.files.project import Project
from howdeep.inspection import attention, attribution, probes, similarity
from howdeep.nets.transformer import Attention
from howdeep.processes.workers import cores
from howdeep.records.cell import Cell
from howdeep.records.record import config_of, read_record
from howdeep.runs.examples import split_of
from howdeep.stages.evaluate import runs_read, trained_task
from howdeep.study import params
from howdeep.training.run import build
from howdeep.training.seeding import seed_everything

MOST = {  # examples
    "probe": 2000,  # that a probe learns from, and that it is scored on
    "successors": 1000,  # the same of single steps: many classes make probes slow
    "cka": 256,  # whose kernels are compared
    "attention": 64,  # whose matrices are averaged
    "attribution": 32,  # whose rank agreement is averaged
}
SHOWN = 8  # images whose attributions are kept to be looked at
UNTRAINED = (
    2**31
)  # beside its seed, what seeds the untrained control of a run: weights that no run started from
STEPS = 8  # last steps of a sequence that are examples of their own, where each has a class
NAMES = ("entry", "matching", "depth")

Row = dict[str, Any]


def inspect(project: Project) -> dict[str, int]:
    """Looks into the networks of the study and writes results/inspection, the same bits each time:

    - representations.csv: of each layer (0 is the input) its `part` (input, hidden, or code of an autoencoder),
      `probe`, the score of a linear probe on validation examples, and `untrained`, that of the same network before
      training. Probes of autoencoders and of discriminators are asked for the label, which these have never seen,
      those of language models for the next character, of other sequences for what each step is labelled with;
    - similarity.csv: unbiased CKA of each two layers of a network, and of each layer of the shallowest with each of
      the deeper ones;
    - attention.csv: of each head of a transformer, how sharply and how far away it looks;
    - attribution.csv: of image classifiers, the rank agreement of integrated gradients with those of an untrained
      network, and the median error of their sum;
    - pictures.safetensors: `<entry>/<matching>/<depth>/<name>`; `attention` (layers, heads, time, time), means over
      examples, and `images`, `attributions`, `untrained`, each (n, channels, height, width), `labels` (n,).

    Returns:
        How many networks were looked into, and the rows of each table.

    Raises:
        UserError: a run's record is missing, or the training examples are not those that it was trained on.
    """
    plan = params.read(project.params)
    points = {point for of in params.learning_curves(plan.entries.values()).values() for point in of}
    entries = [entry for entry in plan.entries.values() if entry.name not in points]
    scheduler = address.found(plan.cluster)
    elsewhere = scheduler and Elsewhere(
        scheduler, project.root, partial(runs_read, plan, project, test=False)
    )
    work = partial(_look_into, plan, project=project)
    found = {entry.name: of for entry, of in run_all(work, entries, cores(), elsewhere)}
    inside = Inside()
    for entry in entries:
        inside.add(found[entry.name])
    _write(project.results / "inspection", inside.tables, inside.pictures)
    print(f"inspect: {inside.networks} networks on validation examples", file=sys.stderr)
    return {"networks": inside.networks, **{name: len(rows) for name, rows in inside.tables.items()}}


@dataclass
class Inside:
    """What `inspect` finds."""

    networks: int = 0
    tables: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    pictures: dict[str, np.ndarray] = field(default_factory=dict)

    def add(self, other: "Inside") -> None:
        self.networks += other.networks
        for name, rows in other.tables.items():
            self.tables[name] += rows
        self.pictures |= other.pictures


def _look_into(plan: params.Study, entry: params.Entry, project: Project) -> Inside:
    torch.set_num_threads(1)  # the rounding depends on it
    inside = Inside()
    tables = inside.tables
    # By matching: the kernels of the shallowest network, and the examples that they are of.
    shallowest: dict[str, tuple[dict[int, Tensor], Tensor]] = {}
    for cell in sorted(plan.cells(entry), key=lambda cell: (cell.matching, cell.depth)):
        found = _first_finished(project.runs / entry.name, cell, entry.seeds)
        if found is None:
            continue
        folder, record = found
        look = Look(record, folder, project)
        inside.networks += 1
        names: Row = {"entry": entry.name, "matching": cell.matching, "depth": cell.depth}
        tables["representations"] += [names | row for row in look.representations()]
        own = look.kernels()
        first, examples = shallowest.setdefault(cell.matching, (own, look.compared))
        tables["similarity"] += [names | row for row in _similar(own, own, shallow=False)]
        # Where splits differ between seeds and a depth lost its first, they have not seen the same examples.
        if first is not own and torch.equal(examples, look.compared):
            tables["similarity"] += [names | row for row in _similar(first, own, shallow=True)]
        rows, made = look.attention()
        tables["attention"] += [names | row for row in rows]
        row, images = look.attribution()
        tables["attribution"] += [names | row] if row else []
        where = f"{entry.name}/{cell.matching}/{cell.depth}"
        inside.pictures |= {
            f"{where}/{name}": picture.numpy() for name, picture in {**made, **images}.items()
        }
    return inside


def _first_finished(runs: Path, cell: Cell, seeds: tuple[int, ...]) -> tuple[Path, dict] | None:
    for seed in seeds:
        record = read_record(folder := runs / cell.run_name(seed))
        if record["state"] == "finished":
            return folder, record
    return None


class Look:
    """One trained network, the same one untrained, and the examples that both are shown.

    Of a gan the discriminator: a generator maps noise to images, so that no example has a representation in it.
    """

    def __init__(self, record: Mapping[str, Any], folder: Path, project: Project) -> None:
        cfg = config_of(dict(record))
        self.split: Split = split_of(record, project)
        self.task = trained_task(cfg, folder, record)
        self.name: str = record["task"]
        self.net: nn.Module = _reader(self.task.net).eval()
        seed_everything(UNTRAINED, record["seed"])
        self.untrained: nn.Module = probes.settle(
            _reader(build(cfg.model)), self.split.train[0][: MOST["probe"]]
        )

    def representations(self) -> Iterator[Row]:
        (x, y), (x_held, y_held) = self.split.train, self.split.validation
        steps = STEPS if probes.at_every_step(y) else 1
        n = MOST["successors"] // steps if steps > 1 else MOST["probe"]
        train, held_out = (x[:n], y[:n]), (x_held[:n], y_held[:n])
        first = probes.input_score(train, held_out, steps)
        trained, before = (
            [first, *probes.scores(net, train, held_out, steps)] for net in (self.net, self.untrained)
        )
        for layer, (probe, untrained) in enumerate(zip(trained, before, strict=True)):
            yield {"layer": layer, "part": self._part(layer), "probe": probe, "untrained": untrained}

    def _part(self, layer: int) -> str:
        if layer == 0:
            return "input"
        return "code" if probes.hidden(self.net)[layer - 1] is getattr(self.net, "code", None) else "hidden"

    @property
    def compared(self) -> Tensor:
        """The examples that kernels are of."""
        return self.split.validation[0][: MOST["cka"]]

    def kernels(self) -> dict[int, Tensor]:
        """The centred kernel of each layer, and of the input where it holds numbers, by layer."""
        found = dict(enumerate(probes.states(self.net, self.compared)))
        return {layer: similarity.centred_kernel(h) for layer, h in found.items() if h.is_floating_point()}

    def attention(self) -> tuple[list[Row], dict[str, Tensor]]:
        if not any(isinstance(module, Attention) for module in self.net.modules()):
            return [], {}
        causal = next(module.causal for module in self.net.modules() if isinstance(module, Attention))
        maps = attention.maps(self.net, self.split.validation[0][: MOST["attention"]])
        rows = [
            {"layer": layer + 1, "head": head + 1, **attention.focus(of_head, causal=causal)._asdict()}
            for layer, of_layer in enumerate(maps.transpose(1, 2))
            for head, of_head in enumerate(of_layer)
        ]
        return rows, {"attention": maps.mean(1)}

    def attribution(self) -> tuple[Row, dict[str, Tensor]]:
        """Of image classifiers: the first validation images, and one of each class to be looked at."""
        x, y = self.split.validation
        if self.name != "classification" or x.ndim != 4:
            return {}, {}
        blank = self.split.train[0].amin(0, keepdim=True)  # each pixel as empty as it ever is
        shown = torch.stack([(y == label).nonzero()[0, 0] for label in y.unique()[:SHOWN]])
        at = torch.cat([shown, torch.arange(min(MOST["attribution"], len(x)))])
        x, y = x[at], y[at]
        trained, before = (
            attribution.integrated_gradients(net, x, y, blank) for net in (self.net, self.untrained)
        )
        n = len(shown)
        agreement = attribution.rank_agreement(trained.pixels[n:], before.pixels[n:], (x != blank)[n:])
        made = {
            "images": x[:n],
            "attributions": trained.pixels[:n],
            "untrained": before.pixels[:n],
            "labels": y[:n],
        }
        error = float(trained.error[n:].median())
        return {"agreement": agreement, "completeness_error": error, "examples": len(x) - n}, made


def _reader(net: nn.Module) -> nn.Module:
    """The part of a net that reads examples."""
    return net.get_submodule("discriminator") if hasattr(net, "discriminator") else net


def _similar(first: dict[int, Tensor], second: dict[int, Tensor], *, shallow: bool) -> Iterator[Row]:
    """CKA of each layer of one network with each of another; with itself, of each two once."""
    for other, its in first.items():
        for layer, own in second.items():
            if shallow or other <= layer:
                alike = similarity.cka(its, own)
                yield {
                    "with": "shallowest" if shallow else "itself",
                    "other_layer": other,
                    "layer": layer,
                    "cka": alike,
                }


def _write(folder: Path, tables: Mapping[str, list[Row]], pictures: Mapping[str, np.ndarray]) -> None:
    """Writes the folder aside and renames it: whoever finds it finds it whole."""
    import pandas as pd
    from safetensors.numpy import save

    with written_aside(folder, TABLES) as aside:
        for name, rows in tables.items():
            frame = pd.DataFrame(rows, columns=[*NAMES, *COLUMNS[name]])
            frame.to_csv(aside / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
        arrays = {name: np.ascontiguousarray(pictures[name]) for name in sorted(pictures)}
        (aside / "pictures.safetensors").write_bytes(save(arrays))


COLUMNS = {
    "representations": ("layer", "part", "probe", "untrained"),
    "similarity": ("with", "other_layer", "layer", "cka"),
    "attention": ("layer", "head", "spread", "distance"),
    "attribution": ("agreement", "completeness_error", "examples"),
}
