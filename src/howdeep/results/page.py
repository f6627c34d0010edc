"""The report as HTML: gathers what the template shows, in the order in which it shows it."""

import statistics
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from howdeep.results import galleries, heatmaps, plots, tables, wording
from howdeep.results.figure import PAPER
from howdeep.results.galleries import NONE, Artifacts
from howdeep.results.histories import curves, gradients
from howdeep.results.protocol import card_facts, settings
from howdeep.results.scores import baselines_of, rows_of, scores, select, summary
from howdeep.results.wording import listing, number

Content = Mapping[str, Any]


def page(
    records: Sequence[Content],
    test: Content,
    *,
    study: str,
    cards: Mapping[str, Content],
    provenance: Mapping[str, Content],
    artifacts: Artifacts = NONE,
) -> str:
    """The whole page as text; see `build_report`."""
    runs, epochs, flows = scores(records, test), curves(records), gradients(records)
    cells = summary(runs)
    baselines, seconds = test["baselines"], _seconds(runs, provenance)
    told = settings(records)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(
        files("howdeep.results").joinpath("template.html").read_text(encoding="utf-8")
    )
    return template.render(
        study=study,
        paper=PAPER,
        facts=_facts(cells),
        tasks=[
            _task(select(cells, task=task), runs, epochs, baselines, seconds)
            | _inside(select(cells, task=task), runs, flows, artifacts)
            | {"differences": wording.differences(select(cells, task=task), told)}
            for task in sorted(set(cells["task"]))
        ],
        failures=_failures(records),
        cards=[card_facts(name, cards.get(name)) for name in sorted(set(cells["data"]))],
        settings=told,
        seeds=listing(sorted(set(runs["seed"]))),
        versions=_versions(runs, provenance),
    )


def _facts(cells: pd.DataFrame) -> dict[str, Any]:
    return {
        "runs": sum(cell["runs"] for cell in rows_of(cells)),
        "diverged": sum(cell["diverged"] for cell in rows_of(cells)),
        "data": listing(sorted(set(cells["data"]))),
        "models": listing(sorted(set(cells["model"]))),
        "depths": listing(sorted(set(cells["depth"]))),
    }


def _task(
    cells: pd.DataFrame, runs: pd.DataFrame, epochs: pd.DataFrame, baselines: Content, seconds: Any
) -> dict[str, Any]:
    """One task: its pictures, a panel each so that they wrap on a phone, its table and its baselines."""
    score, data = cells["score"].iloc[0], [select(cells, data=name) for name in sorted(set(cells["data"]))]
    lines = [rows for _, _, rows in wording.series(cells)]
    return {
        "id": cells["task"].iloc[0],
        "name": wording.spoken(cells["task"].iloc[0]),
        "findings": [wording.finding(*line) for line in wording.series(cells)],
        "score": wording.spoken(score),
        "better": "higher" if cells["higher_is_better"].iloc[0] else "lower",
        "scores": [Markup(plots.score(of, runs, baselines)) for of in data],
        "curves": [Markup(plots.curves(rows, epochs)) for rows in lines],
        "gaps": [Markup(plots.gap(of, runs)) for of in data],
        "gradients": [Markup(plots.gradient(of, runs)) for of in data],
        "columns": tables.columns(cells, seconds=seconds is not None),
        "blocks": tables.blocks(cells, seconds),
        "baselines": [
            [name, method, number(val), number(held_out)]
            for name in sorted(set(cells["data"]))
            for method, (val, held_out) in baselines_of(baselines, name, score).items()
        ],
    }


def _inside(
    cells: pd.DataFrame, runs: pd.DataFrame, flows: pd.DataFrame, artifacts: Artifacts
) -> dict[str, Any]:
    """What goes on in the networks of a task, and what they make: pictures and texts, an architecture each."""
    lines = [rows for _, _, rows in wording.series(cells)]
    made = [(line, galleries.drawn([line])) for line in galleries.shown(cells, runs, artifacts)]
    return {
        "layers": [Markup(picture) for rows in lines if (picture := heatmaps.layers(rows, flows))],
        "galleries": {
            name: pictures
            for name in (*galleries.IMAGES, "latent")
            if (pictures := [Markup(drawn[name]) for _, drawn in made if name in drawn])
        },
        "texts": galleries.texts([line for line, _ in made]),
    }


def _failures(records: Sequence[Content]) -> list[list[str]]:
    failed = [record for record in records if record["state"] == "diverged"]
    failed.sort(key=lambda record: (record["entry"], record["depth"], record["matching"], record["seed"]))
    return [
        [record["entry"], str(record["depth"]), str(record["seed"]), record["reason"]] for record in failed
    ]


def _seconds(
    runs: pd.DataFrame, provenance: Mapping[str, Content]
) -> dict[tuple[str, int, str], float] | None:
    """Mean seconds of the trainings of each cell, as far as they are known; None if none is."""
    taken: dict[tuple[str, int, str], list[float]] = {}
    for run in rows_of(runs):
        if run["key"] in provenance and run["state"] == "finished":
            cell = (run["entry"], run["depth"], run["matching"])
            taken.setdefault(cell, []).append(provenance[run["key"]]["train_seconds"])
    return {cell: statistics.fmean(values) for cell, values in taken.items()} or None


def _versions(runs: pd.DataFrame, provenance: Mapping[str, Content]) -> list[tuple[str, str]]:
    """What the runs were made with: every value that occurs, of commit, system and packages."""
    found: dict[str, set[str]] = {}
    for key in runs["key"]:
        made = provenance.get(key, {})
        commit = {"commit": made["commit"] + (", changed" if made["dirty"] == "true" else "")} if made else {}
        system = {"system": made["system"]} if made else {}
        for name, value in {**commit, **system, **made.get("packages", {})}.items():
            found.setdefault(name, set()).add(value)
    return [(name, "; ".join(sorted(values))) for name, values in found.items()]
