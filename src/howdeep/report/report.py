"""The last step of a study: `compare` writes results/, `build_report` writes the page that people read."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from howdeep.figures import galleries
from howdeep.figures.figure import grid
from howdeep.files.folders import TABLES, file_aside, written_aside
from howdeep.report import best_so_far, learning, mistakes, recipes, tuning
from howdeep.report.analysis import Analysis
from howdeep.report.page import NO_CLAIMS, NO_REASONS, page
from howdeep.results import tables
from howdeep.results.headline import metrics
from howdeep.results.scores import csv, judge, select

FOLDERS = ("tables", "figures", "plots")


def write_comparison(analysis: Analysis, *, folder: Path) -> None:
    """Writes the tables and figures of a study into `folder`; the same records give the same bytes.

    scores.csv (a row a run), summary.csv (a row a cell, with its verdict), curves.csv (a row an epoch of a cell),
    trials.csv (a row a trial of the tuning), best_so_far.csv (a row a number of trials), metrics.json; in tables/
    verdicts.csv (a row a comparison with all that it rests on), baselines.csv (a row a cell, against the best simple
    method), choices.csv (a row an entry: which depth to choose), across.csv, and where there is any learning.csv (a row
    a depth of a point of a learning curve) and recipes.csv (a row a comparison of the best recipes); as Markdown
    <task>.md, <task>-verdicts.md, <task>-gaps.md, <task>-baselines.md, across.md, recipes.md, learning.md, tuning.md;
    in figures/ map.svg, tuning.svg, best_so_far.svg and <task>-*.svg of score, forest, pareto, curves, gap, gradient
    and layers; of tasks that leave something to show also samples, reconstructions and latent, and
    tables/<task>-texts.md. Of classifiers also tables/mistakes.csv and .md and figures/mistakes-*.svg; of networks that
    were looked into tables/representations.md, looks.md and figures/inside-*.svg. In plots/ are those of the figures
    that `dvc plots show` draws. Everything is made before the first file is written; files are written aside and
    renamed; files of tasks that left the study are removed.
    """
    files = comparison(analysis)
    for name in FOLDERS:
        with written_aside(folder / name, TABLES) as aside:
            for path in (path for path in files if Path(path).parts[0] == name):
                (aside / Path(path).name).write_text(files[path], encoding="utf-8")
    for path in (path for path in files if Path(path).parts[0] not in FOLDERS):
        write(folder / path, files[path])


def comparison(analysis: Analysis) -> dict[str, str]:
    """What `compare` writes: the text of each file by its path inside results/."""
    cells = judge(analysis.cells, analysis.verdicts)
    files = {
        "scores.csv": csv(analysis.every_run),
        "summary.csv": csv(cells),
        "curves.csv": csv(analysis.epochs),
        "trials.csv": csv(tuning.frame(analysis.trials)),
        "best_so_far.csv": csv(best_so_far.frame(analysis.trials)),
        "metrics.json": json.dumps(metrics(cells, analysis.against_baselines), indent=1, allow_nan=False)
        + "\n",
        "tables/verdicts.csv": csv(analysis.verdicts),
        "tables/across.csv": csv(analysis.across),
        "tables/baselines.csv": csv(analysis.against_baselines),
        "tables/across.md": tables.markdown(tables.across_table(analysis.across)),
        "tables/choices.csv": csv(analysis.choices),
        "tables/choices.md": tables.markdown(tables.choices_table(analysis.choices, cells)),
    }
    if analysis.map:
        files["figures/map.svg"] = grid(analysis.map)
    if analysis.tuning:
        files["tables/tuning.md"] = tables.markdown(tuning.table(analysis.trials))
        files["figures/tuning.svg"] = grid(analysis.tuning)
        files["figures/best_so_far.svg"] = grid(analysis.best_so_far)
    if len(analysis.learning.cells):
        files["tables/learning.csv"] = csv(analysis.learning.cells)
        files["tables/learning-growth.csv"] = csv(analysis.learning.growth)
        files["tables/learning.md"] = tables.markdown(learning.table(analysis.learning.cells))
        files["figures/learning.svg"] = grid(analysis.learning.pictures)
    if len(analysis.recipes.verdicts):
        files["tables/recipes.csv"] = csv(analysis.recipes.verdicts)
        files["tables/recipes.md"] = tables.markdown(recipes.table(analysis.recipes.cells))
    names = analysis.names
    if len(analysis.mistakes.cells):
        files["tables/mistakes.csv"] = csv(analysis.mistakes.cells)
        files["tables/mistakes.md"] = tables.markdown(mistakes.table(analysis.mistakes.cells, names))
    if analysis.inside.representations.rows:
        files["tables/representations.md"] = tables.markdown(analysis.inside.representations)
    if analysis.inside.looks.rows:
        files["tables/looks.md"] = tables.markdown(analysis.inside.looks)
    for prefix, drawn in (
        ("mistakes", analysis.mistakes.pictures),
        ("inside", analysis.inside.pictures),
    ):
        files |= {f"figures/{prefix}-{name}.svg": grid(of) for name, of in drawn.items()}
    for task in analysis.tasks:
        of_task, judged = (select(table, task=task) for table in (cells, analysis.verdicts))
        files[f"tables/{task}.md"] = tables.markdown(tables.cells_table(of_task))
        files[f"tables/{task}-verdicts.md"] = tables.markdown(tables.verdicts_table(judged, names))
        of_methods = select(analysis.against_baselines, task=task)
        files[f"tables/{task}-baselines.md"] = tables.markdown(tables.baselines_table(of_methods, names))
        files[f"tables/{task}-gaps.md"] = tables.markdown(tables.gaps_table(of_task))
        files[f"tables/{task}-texts.md"] = galleries.markdown(analysis.shown(task))
        files |= {
            f"figures/{task}-{name}.svg": grid(drawn) for name, drawn in analysis.pictures[task].items()
        }
    return {path: text for path, text in {**files, **_plots(files, analysis.tasks)}.items() if text}


def _plots(files: Mapping[str, str], tasks: Sequence[str]) -> dict[str, str]:
    """The figures for `dvc plots show`, numbered, since DVC sorts by name: the answer first, then scores, gaps, tuning.

    As pictures, which need no network: DVC's own plots of a table load a library from the internet.
    """
    names = [
        "map",
        *(f"{task}-{of}" for of in ("score", "gap") for task in tasks),
        *("tuning", "best_so_far"),
    ]
    there = [name for name in names if files.get(f"figures/{name}.svg")]
    return {
        f"plots/{place:02}-{name}.svg": files[f"figures/{name}.svg"] for place, name in enumerate(there, 1)
    }


def build_report(
    analysis: Analysis,
    *,
    study: str,
    cards: Mapping[str, Mapping[str, Any]],
    provenance: Mapping[str, Mapping[str, Any]],
    reasons: Mapping[str, str] = NO_REASONS,
    claims: Mapping[str, tuple[str, str]] = NO_CLAIMS,
    path: Path,
) -> None:
    """Writes the report as one page that needs no other file and no network.

    Args:
        study: the name of the study.
        cards: the data cards by data set; a data set without one is told as such.
        provenance: the content of provenance/<key>.json by run key, where there is one: adds seconds and versions.
        reasons: of margins, by score, where params.yaml tells one.
        claims: sentence and verdict of each claim of the ledger, by name, where there is one.
        path: usually reports/index.html.
    """
    write(
        path, page(analysis, study=study, cards=cards, provenance=provenance, reasons=reasons, claims=claims)
    )


def write(path: Path, text: str) -> None:
    """Writes a file aside and renames it: nobody ever finds half of it."""
    with file_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")
