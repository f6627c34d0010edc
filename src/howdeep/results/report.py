"""The last step of a study: `compare` writes results/, `build_report` writes the page that people read."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from howdeep.results import galleries, heatmaps, plots, tables
from howdeep.results.galleries import NONE, Artifacts
from howdeep.results.histories import curves, gradients
from howdeep.results.page import page
from howdeep.results.scores import csv, metrics, scores, select, summary

Records = Sequence[Mapping[str, Any]]
FOLDERS = ("tables", "figures")


def compare(records: Records, test: Mapping[str, Any], *, folder: Path, artifacts: Artifacts = NONE) -> None:
    """Writes the tables and figures of a study into `folder`; the same records give the same bytes.

    scores.csv (a row a run), summary.csv (a row a cell), curves.csv (a row an epoch of a cell), metrics.json,
    tables/<task>.md and figures/<task>-{score,curves,gap,gradient,layers}.svg; of tasks that leave something to show,
    figures/<task>-{samples,reconstructions,latent}.svg and tables/<task>-texts.md. Everything is made before the first
    file is written; files are written aside and renamed; files of tasks that left the study are removed.

    Args:
        records: the content of each record.json of the study.
        test: the content of results/test.json.
        artifacts: what runs left to show, by run key and name; see `galleries`.

    Raises:
        UserError: there is no record, or the test scores lack a finished run.
    """
    files = comparison(records, test, artifacts)
    for name in FOLDERS:
        with _aside(folder / name) as aside:
            aside.mkdir(parents=True)
            for path in (path for path in files if Path(path).parts[0] == name):
                (aside / Path(path).name).write_text(files[path], encoding="utf-8")
    for path in (path for path in files if Path(path).parts[0] not in FOLDERS):
        write(folder / path, files[path])


def comparison(records: Records, test: Mapping[str, Any], artifacts: Artifacts = NONE) -> dict[str, str]:
    """What `compare` writes: the text of each file by its path inside results/."""
    runs, epochs, flows = scores(records, test), curves(records), gradients(records)
    cells = summary(runs)
    files = {
        "scores.csv": csv(runs),
        "summary.csv": csv(cells),
        "curves.csv": csv(epochs),
        "metrics.json": json.dumps(metrics(cells), indent=1, allow_nan=False) + "\n",
    }
    for task in sorted(set(cells["task"])):
        of_task = select(cells, task=task)
        files[f"tables/{task}.md"] = tables.markdown(of_task)
        files[f"figures/{task}-score.svg"] = plots.score(of_task, runs, test["baselines"])
        files[f"figures/{task}-curves.svg"] = plots.curves(of_task, epochs)
        files[f"figures/{task}-gap.svg"] = plots.gap(of_task, runs)
        files[f"figures/{task}-gradient.svg"] = plots.gradient(of_task, runs)
        files[f"figures/{task}-layers.svg"] = heatmaps.layers(of_task, flows)
        shown = galleries.shown(of_task, runs, artifacts)
        files |= {f"figures/{task}-{name}.svg": svg for name, svg in galleries.drawn(shown).items()}
        files[f"tables/{task}-texts.md"] = galleries.markdown(shown)
    return {path: text for path, text in files.items() if text}


def build_report(
    records: Records,
    test: Mapping[str, Any],
    *,
    study: str,
    cards: Mapping[str, Mapping[str, Any]],
    provenance: Mapping[str, Mapping[str, Any]],
    path: Path,
    artifacts: Artifacts = NONE,
) -> None:
    """Writes the report as one page that needs no other file and no network.

    Args:
        records: the content of each record.json of the study.
        test: the content of results/test.json.
        study: the name of the study.
        cards: the data cards by data set; a data set without one is told as such.
        provenance: the content of provenance/<key>.json by run key, where there is one: adds seconds and versions.
        path: usually reports/index.html.
        artifacts: what runs left to show, by run key and name; see `galleries`.

    Raises:
        UserError: there is no record, or the test scores lack a finished run.
    """
    html = page(records, test, study=study, cards=cards, provenance=provenance, artifacts=artifacts)
    write(path, html)


def write(path: Path, text: str) -> None:
    """Writes a file aside and renames it: nobody ever finds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A temporary neighbour of `path`, a file or a folder, that takes its place if all goes well."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    _remove(aside)
    try:
        yield aside
        if aside.is_dir():
            _remove(path)  # a folder, unlike a file, cannot be renamed over another
        aside.replace(path)
    finally:
        _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
