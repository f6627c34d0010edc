"""The report as HTML: gathers what the template shows, in the order in which it shows it."""

import re
import statistics
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from howdeep.figures import galleries
from howdeep.figures.figure import PAPER, style_of
from howdeep.report import explore, learning, mistakes, protocol, recipes, signals, tuning, variables
from howdeep.report.analysis import Analysis
from howdeep.report.packing import Packing
from howdeep.report.protocol import card_facts, settings
from howdeep.results import failures, sentences, tables, wording
from howdeep.results.across import why_no_ranks
from howdeep.results.headline import headline
from howdeep.results.scores import baselines_of, cells_of, judge, rows_of, select
from howdeep.results.wording import listing, number

Content = Mapping[str, Any]
STYLE = re.compile(r"\s*<style>\.howdeep-figure.*?</style>")  # of a picture
NO_REASONS: Mapping[str, str] = {}
NO_CLAIMS: Mapping[str, tuple[str, str]] = {}
MOST_RUNS = 1000  # in the list of runs of a task; results/scores.csv has them all


def page(
    analysis: Analysis,
    *,
    study: str,
    cards: Mapping[str, Content],
    provenance: Mapping[str, Content],
    reasons: Mapping[str, str] = NO_REASONS,
    claims: Mapping[str, tuple[str, str]] = NO_CLAIMS,
) -> str:
    """The whole page as text; see `build_report`."""
    runs, cells = analysis.runs, judge(analysis.cells, analysis.verdicts)
    seconds, told = _seconds(runs, provenance), settings(analysis.records)
    drawn = protocol.drawn_data(analysis)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    folder = files("howdeep.report")
    template = environment.from_string(folder.joinpath("template.html").read_text(encoding="utf-8"))
    packing = Packing()
    html = template.render(
        later=packing.later,
        study=study,
        claims=claims,
        paper=PAPER,
        facts=_facts(analysis),
        answer=headline(analysis.cells, analysis.verdicts, analysis.against_baselines),
        map=[Markup(picture) for picture in analysis.map],
        marked=any(row.beats_simple is False for rows in analysis.map_rows.values() for row in rows),
        choices=tables.choices_table(analysis.choices, cells),
        recipes_matter=failures.recipes_matter(analysis.verdicts, analysis.recipe_groups, analysis.names),
        untrained=failures.untrained(cells),
        architectures=sentences.architectures(cells, analysis.verdicts, analysis.recipes.verdicts),
        other_examples=sentences.other_examples(analysis.verdicts),
        scored=sentences.scored(cells),
        tasks=[_task(analysis, task, select(cells, task=task), told, seconds) for task in analysis.tasks],
        recipes=recipes.findings(analysis.recipes),
        recipes_table=recipes.table(analysis.recipes.cells),
        learning=_learning(analysis),
        mistakes=mistakes.table(analysis.mistakes.cells, analysis.names),
        representations=analysis.inside.representations,
        looks=analysis.inside.looks,
        views={
            name: [Markup(picture) for picture in drawn]
            for name, drawn in (analysis.mistakes.pictures | analysis.inside.pictures).items()
        },
        across=tables.across_table(analysis.across),
        why_no_ranks=why_no_ranks(analysis.across),
        shallow_won=sentences.shallow_won(cells, analysis.verdicts),
        limits=protocol.limits(analysis),
        failures=_failures(analysis.records),
        drawn=sorted(drawn),
        cards=[card_facts(name, cards.get(name), drawn=name in drawn) for name in sorted(set(cells["data"]))],
        settings=told,
        winners=tuning.table(analysis.trials),
        importances=tuning.importance_table(analysis.trials),
        tuning=[Markup(picture) for picture in analysis.tuning],
        best_so_far=[Markup(picture) for picture in analysis.best_so_far],
        seeds=sentences.seeds(runs),
        margins=protocol.margins(analysis.verdicts, reasons),
        versions=_versions(runs, provenance),
        mixed=_mixed(runs, provenance),
        explore=explore.points(analysis, seconds_of_runs(runs, provenance)),
        library=explore.library(),
        script=Markup(folder.joinpath("report.js").read_text(encoding="utf-8")),
    )
    return _styled_once(html, packing)


def _styled_once(html: str, packing: Packing) -> str:
    """The page with one style element for all its pictures: a browser asks the rules of each of them of every line."""
    style = style_of("".join([html, *packing.parts]))
    bare = packing.packed(STYLE.sub("", html), lambda part: STYLE.sub("", part))
    return bare.replace("</head>", f"{style}\n</head>", 1)


def _facts(analysis: Analysis) -> dict[str, Any]:
    cells, states = analysis.cells, [record["state"] for record in analysis.records]
    return {
        "runs": len(states),
        "diverged": states.count("diverged"),
        "data": listing(sorted(set(cells["data"]))),
        "models": listing(sorted(set(cells["model"]))),
        "depths": listing(sorted(set(cells["depth"]))),
    }


def _task(
    analysis: Analysis, task: str, cells: pd.DataFrame, told: Sequence[Content], seconds: Any
) -> dict[str, Any]:
    """One task: its pictures, a panel each so that they wrap on a phone, its tables and its texts."""
    score = cells["score"].iloc[0]
    verdicts, runs = (select(table, task=task) for table in (analysis.verdicts, analysis.runs))
    drawn = {name: [Markup(svg) for svg in of] for name, of in analysis.pictures[task].items()}
    return {
        "id": task,
        "name": wording.spoken(task),
        "findings": [
            sentences.finding(data, name, line, cells_of(verdicts, line))
            for data, name, line in wording.series(cells)
        ],
        "score": wording.spoken(score),
        "scored": listing(sentences.scored(cells)),
        "known": {of for of in verdicts["sample_from"] if of},
        "pictures": drawn,
        "pairs": list(zip(drawn["score"], drawn["gap"], strict=True)),
        "left_out": len(wording.series(cells)) - analysis.drawn[task].together,
        "alone": analysis.drawn[task].alone
        if analysis.drawn[task].alone < analysis.drawn[task].together
        else 0,
        "cells": tables.cells_table(cells, seconds),
        "verdicts": tables.verdicts_table(verdicts, analysis.names),
        "gaps": tables.gaps_table(cells),
        "runs": tables.runs_table(runs.iloc[:MOST_RUNS], analysis.names),
        "all_runs": len(runs),
        "signals": signals.table(analysis.records, names=analysis.names, task=task),
        "galleries": {name: drawn[name] for name in (*galleries.IMAGES, "latent") if name in drawn},
        "texts": galleries.texts(analysis.shown(task)),
        "differences": sentences.differences(cells, told),
        "variables": variables.table(runs, analysis.test, analysis.names),
        "against_baselines": tables.baselines_table(
            select(analysis.against_baselines, task=task), analysis.names
        ),
        "learned_from": [
            (name, f"{analysis.test['drawn'][name]:,}")
            for name in sorted(set(cells["data"]))
            if name in analysis.test.get("drawn", {})
        ],
        "baselines": [
            [name, method, number(val), number(held_out)]
            for name in sorted(set(cells["data"]))
            for method, (val, held_out) in baselines_of(analysis.baselines, name, score).items()
        ],
    }


def _learning(analysis: Analysis) -> dict[str, Any]:
    """The learning curves: pictures, tables and what they show; nothing of a study without any."""
    found = analysis.learning
    return {
        "findings": found.findings,
        "pictures": [Markup(picture) for picture in found.pictures],
        "cells": learning.table(found.cells),
        "growth": learning.growth_table(found.growth),
    }


def _failures(records: Sequence[Content]) -> list[list[str]]:
    failed = [record for record in records if record["state"] == "diverged"]
    failed.sort(key=lambda record: (record["entry"], record["depth"], record["matching"], record["seed"]))
    return [
        [record["entry"], str(record["depth"]), str(record["seed"]), record["reason"]] for record in failed
    ]


def seconds_of_runs(runs: pd.DataFrame, provenance: Mapping[str, Content]) -> dict[str, float]:
    """How long the training of each run took, by run key, where it is known."""
    return {
        key: provenance[key]["train_seconds"]
        for key, state in zip(runs["key"], runs["state"], strict=True)
        if key in provenance and state == "finished"
    }


def _seconds(runs: pd.DataFrame, provenance: Mapping[str, Content]) -> tables.Seconds | None:
    """Mean seconds of the trainings of each cell, as far as they are known; None if none is."""
    of_run = seconds_of_runs(runs, provenance)
    taken: dict[tuple[str, int, str], list[float]] = {}
    for run in rows_of(runs):
        if run["key"] in of_run:
            cell = (run["entry"], run["depth"], run["matching"])
            taken.setdefault(cell, []).append(of_run[run["key"]])
    return {cell: statistics.fmean(values) for cell, values in taken.items()} or None


def _versions(runs: pd.DataFrame, provenance: Mapping[str, Content]) -> list[tuple[str, str]]:
    """What the runs were made with: every value that occurs, of commit, system and packages."""
    found: dict[str, set[str]] = {}
    for key in runs["key"]:
        made = provenance.get(key, {})
        commit = {"commit": made["commit"] + (", changed" if made["dirty"] == "true" else "")} if made else {}
        system = {name: made[name] for name in ("system", "processor") if name in made}
        for name, value in {**commit, **system, **made.get("packages", {})}.items():
            found.setdefault(name, set()).add(value)
    return [(name, "; ".join(sorted(values))) for name, values in found.items()]


def _mixed(runs: pd.DataFrame, provenance: Mapping[str, Content]) -> list[str]:
    """The entries whose runs were trained on processors of different kinds."""
    found: dict[str, set[str]] = {}
    for run in rows_of(runs):
        kind = provenance.get(run["key"], {}).get("processor", "")
        if "(" in kind:  # older traces name its architecture alone
            found.setdefault(run["entry"], set()).add(kind)
    return [entry for entry, processors in found.items() if len(processors) > 1]
