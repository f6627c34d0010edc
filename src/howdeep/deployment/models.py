"""What people call a model: a run, an entry of the study, a model of MLflow's registry, a file that was exported."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np

from howdeep.encoding.answers import answers_of
from howdeep.encoding.kinds import inputs_of
from howdeep.encoding.predictor import Net, Predictor, described, description
from howdeep.errors import UserError, near
from howdeep.files import project as projects
from howdeep.files.project import Project
from howdeep.records.record import config_of, load_weights, read_record, run_folders
from howdeep.study.composition import compose_train

if TYPE_CHECKING:  # torch is imported where a net is built
    from torch import nn

REGISTRY = "models:/"
SHORTEST_KEY = 6


@dataclass(frozen=True)
class Trained:
    """A run's network.

    Args:
        folder: of the run.
        record: of the run.
        net: with the run's weights, in evaluation mode.
        project: where its data is.
    """

    folder: Path
    record: dict[str, Any]
    net: "nn.Module"
    project: Project

    @property
    def data(self) -> dict[str, Any]:
        return self.record["config"]["data"]

    def card(self) -> dict[str, Any]:
        from howdeep.runs.examples import prepared_card

        return prepared_card(config_of(self.record), self.project)

    def encoding(self) -> dict[str, Any] | None:
        """What stands before and after the network, see `encoding.predictor.description`; None where it makes examples
        instead of reading them.
        """
        if self.record["task"] == "generation":
            return None
        card = self.card()
        return description(inputs_of(self.data, card), answers_of(self.record["task"], self.data, card))

    def noise(self) -> np.ndarray | None:
        """What the network makes examples of, (n, latent) float32; None where it reads them."""
        import torch

        if self.record["task"] != "generation":
            return None
        latent = self.record["config"]["model"]["latent"]
        return torch.randn(4, latent, generator=torch.Generator().manual_seed(0)).numpy()

    def predictor(self, others: Sequence["Trained"] = ()) -> Predictor:
        """The network with what stands before and after it.

        Args:
            others: runs of the same cell, whose answers are averaged with its own.

        Raises:
            UserError: a network that reads no examples.
        """
        encoding = self.encoding()
        if encoding is None:
            raise UserError(
                f"expected a network that reads examples, got a {self.record['model']}, which makes them: "
                f"`howdeep sample {self.record['entry'] or self.folder}`"
            )
        return described([called(of.net) for of in (self, *others)], encoding)


def called(net: "nn.Module") -> Net:
    """A net that takes and gives numpy arrays."""
    import torch

    def call(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return net(torch.from_numpy(x)).numpy()

    return call


def predictor_of(word: str, *, ensemble: bool = False) -> Predictor:
    """The predictor of what somebody calls a model.

    Args:
        word: see `trained`; or a model of MLflow's registry, its folder, or a file that `howdeep export` wrote.
        ensemble: whether the networks of all seeds of the cell answer together.

    Raises:
        UserError: there is no such model, or it has one network alone.
    """
    path, of_registry = Path(word), word.startswith(REGISTRY)
    if not (of_registry or path.is_file() or (path / "MLmodel").is_file()):
        first, *others = trained(word, ensemble=ensemble)
        return first.predictor(others)
    if ensemble:
        raise UserError(f"--ensemble must be asked of a run or an entry, which have other seeds, got {word}")
    if of_registry:
        return read_folder(folder_of(word), word)
    if path.is_file():
        from howdeep.deployment.exported import load_file  # and with it torch

        return load_file(path)
    return read_folder(path, word)


def folder_of(word: str) -> Path:
    """The folder of a model of MLflow's registry, `models:/NAME@ALIAS` or `models:/NAME/VERSION`.

    Raises:
        UserError: the registry cannot be reached, or has no such model.
    """
    from howdeep.tracking import registry

    try:
        here = projects.find()
    except UserError:
        if "MLFLOW_TRACKING_URI" not in os.environ:
            raise UserError(
                f"expected a project around this folder, or MLFLOW_TRACKING_URI, to find {word}, but there is neither"
            ) from None
        return registry.find(word, Path.cwd(), None)
    return registry.find(word, here.root, compose_train(here.conf, []).tracking.uri)


def read_folder(folder: Path, word: str) -> Predictor:
    """The predictor of a model that MLflow keeps.

    Raises:
        UserError: it is none of howdeep's, or makes examples instead of reading them.
    """
    from howdeep.tracking import registry

    model = registry.read(folder)
    if model.predictor is None:
        raise UserError(
            f"expected a model that reads rows, got {word}, which makes examples, or is of an older howdeep, whose "
            "models read arrays alone: ask the entry, or train it again"
        )
    return model.predictor


def trained(word: str, *, ensemble: bool = False) -> list[Trained]:
    """The run that is meant, first; with `ensemble` those of other seeds of its cell after it.

    Args:
        word: the folder of a run, as such or below runs/; its key, or the beginning of it; or an entry of the study,
            which stands for the cell with the best mean validation score, and in it for the run with the lowest
            validation loss.

    Raises:
        UserError: there is no such run, or it has not finished.
    """
    folder, here = _folder(word)
    record = read_record(folder)
    if record["state"] != "finished":
        raise UserError(
            f"expected a run that finished, got {folder}, which {record['state']}: choose another"
        )
    found = [(folder, record)]
    if ensemble:
        cell = _cell(record)
        siblings = (
            (other, read_record(other))
            for other in run_folders(folder.parent)
            if other.resolve() != folder.resolve()
        )
        found += [(other, of) for other, of in siblings if _cell(of) == cell and of["state"] == "finished"]
        if len(found) < 2:
            raise UserError(f"--ensemble must have several seeds of a cell, found one: {folder}")
    return [of_run(folder, record, here) for folder, record in found]


def of_run(folder: Path, record: dict[str, Any], here: Project) -> Trained:
    """The network of a run that finished."""
    from howdeep.training.run import build

    net = build(config_of(record).model)
    load_weights(net, folder, record)
    return Trained(folder, record, net.eval(), here)


def _folder(word: str) -> tuple[Path, Project]:
    path = Path(word)
    if (path / "record.json").is_file():
        return path, projects.find(path)
    here = projects.find()
    if (here.runs / word / "record.json").is_file():
        return here.runs / word, here
    if word and (here.runs / word).is_dir() and Path(word).name == word:
        return best_run(here.runs / word), here
    entries = sorted(of.name for of in here.runs.glob("*") if of.is_dir())
    if len(word) >= SHORTEST_KEY and set(word) <= set("0123456789abcdef"):
        keys = {read_record(of)["key"]: of for of in run_folders(here.runs)}
        if len(found := [of for key, of in keys.items() if key.startswith(word)]) == 1:
            return found[0], here
        if found:
            raise UserError(
                f"expected the key of one run, but {len(found)} begin with {word}: write more of it"
            )
    told = f"this study has {', '.join(entries)}" if entries else "this study has no runs yet: `dvc repro`"
    raise UserError(
        f"expected the folder of a run, its key, or an entry of the study, got '{word}'{near(word, entries)}; {told}"
    )


def best_run(runs: Path, depth: int | None = None) -> Path:
    """Of the cell with the best mean validation score the run with the lowest validation loss.

    Args:
        runs: the folder of an entry.
        depth: of the cells among which the best is sought; None: all.

    Raises:
        UserError: none finished.
    """
    cells: dict[tuple, list[tuple[Path, dict]]] = {}
    for folder in run_folders(runs):
        record = read_record(folder)
        if record["state"] == "finished" and depth in (None, record["depth"]):
            cells.setdefault(_cell(record), []).append((folder, record))
    if not cells:
        raise UserError(f"expected runs in {runs} that finished, found none: `dvc repro`")
    best = max(cells.values(), key=lambda of: fmean(_score(record) for _, record in of))
    return min(best, key=lambda of: _best(of[1])["val/loss"])[0]


def _cell(record: Mapping[str, Any]) -> tuple:
    return record["data"], record["model"], record["matching"], record["depth"]


def _best(record: Mapping[str, Any]) -> Mapping[str, float]:
    return record["epochs"][record["best_epoch"]]


def _score(record: Mapping[str, Any]) -> float:
    """The more the better."""
    score = record["score"]
    return _best(record)[f"val/{score['name']}"] * (1 if score["higher_is_better"] else -1)
