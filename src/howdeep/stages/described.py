"""What MLflow says of a study in words: its views, its descriptions, and one run with the answer."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from howdeep.files import reading, seals
from howdeep.files.project import Project
from howdeep.records.provenance import commit
from howdeep.results.headline import headline
from howdeep.results.scores import select
from howdeep.results.tables import Table, cells_table, markdown
from howdeep.study import params
from howdeep.tracking import views
from howdeep.tracking.parents import tracked_parent
from howdeep.tracking.store import Store
from howdeep.tracking.words import COMPARISON, ENTRY, NOTE, RESULTS, at_depth

FIGURES_AND_TABLES = ("figures", "tables")
SMALL = ("scores.csv", "summary.csv", "trials.csv", "best_so_far.csv", "metrics.json")
SHOWN = "shown.json"  # in reports/: what the report and MLflow's comparison show
OF_AN_ENTRY = (
    "architecture", "depth", "verdict", "difference", "test", "overfitting gap", "parameters", "runs",
)  # fmt: skip
IN_BRACKETS = (
    "Test scores: mean over seeds, its 95 % interval over seeds, and that of the choice of the test examples. The gap "
    "is that of the loss; `best/gap` of a run is that of its score."
)
LONGEST = 7500  # characters of a description; MLflow cuts at 8000


def describe(plan: params.Study, scores: Mapping[str, str], store: Store) -> None:
    """Gives the experiment its description, and the views of those entries of the study whose score is known.

    Args:
        scores: the name of the score by entry.
    """
    depths = {name: _depths(plan, entry) for name, entry in plan.entries.items()}
    tags = {}
    for name, score in scores.items():
        task = plan.entry(name).task
        alike = [other for other, entry in plan.entries.items() if entry.task == task]
        cells = [f"{other} {depth}" for other in alike for depth in depths[other]]
        tags |= views.of_task(task, cells) | views.of_entry(name, score, depths[name])
    store.describe(tags, drop=views.OURS if len(scores) == len(plan.entries) else None)
    if not store.lost:
        store.describe({NOTE: _of_study(plan, store.experiment_id)})


def describe_claims(
    scores: Mapping[str, str], homes: Iterable[Project], store: Store, *, whole: bool
) -> None:
    """Gives the experiment of claims its description, a view of all claims, and one of each arm whose score is known.

    Args:
        scores: the name of the score by arm, as the study of its claim calls it.
        homes: the studies of the claims of these arms.
        whole: these are all claims: views of other arms are deleted. Of tasks, which claims share, there are none.
    """
    plans = [params.read(home.params) for home in homes]
    tags = views.of_claims()
    for plan in plans:
        for name, entry in plan.entries.items():
            if name in scores:
                tags |= views.of_entry(name, scores[name], _depths(plan, entry))
    store.describe(tags, drop=views.OURS if whole else views.OF_TASKS)
    if not store.lost:
        store.describe({NOTE: _of_claims(store.experiment_id)})


def _depths(plan: params.Study, entry: params.Entry) -> list[str]:
    return [at_depth(cell.depth, cell.matching) for cell in plan.cells(entry)]


def log_comparison(project: Project, store: Store) -> None:
    """Puts what `compare` wrote into one MLflow run, in the place of an older one, and into the words of entries.

    The run has the answer and the table of choices as its description, a few counts as metrics, and tables, figures
    and report as artifacts: a metric for each cell would be as many charts.
    """
    cells, verdicts, baselines = (
        pd.read_csv(project.results / name)
        for name in ("summary.csv", "tables/verdicts.csv", "tables/baselines.csv")
    )
    answer = headline(cells, verdicts, baselines)
    metrics = reading.json_map(project.results / "metrics.json", "run `dvc repro`")
    about = {
        **commit(project.root),
        RESULTS: results_checksum(project),
        NOTE: _of_comparison(project, answer),
    }
    with tracked_parent(store, COMPARISON, about, kind=COMPARISON) as run:
        if run is None:
            return
        store.log(run, [(name, value, 0) for name, value in metrics.items()])
        for path in (*FIGURES_AND_TABLES, *SMALL):
            place = project.results / path
            store.log_path(run, place, f"results/{path}" if place.is_dir() else "results")
        store.log_path(run, project.reports / "index.html")
    store.delete([old for old in store.find(howdeep__kind=COMPARISON) if old.info.run_id != run])
    plan = params.read(project.params)
    for parent in store.find(howdeep__kind="entry"):
        if entry := plan.entries.get(parent.data.tags[ENTRY]):
            text = _of_entry(entry, select(cells, entry=entry.name))
            if parent.data.tags.get(NOTE) != text:
                store.set_tags(parent.info.run_id, {NOTE: text})


def results_checksum(project: Project) -> str:
    """Of all results that a comparison holds."""
    digest = hashlib.sha256()
    for name in (*FIGURES_AND_TABLES, *SMALL):
        place = project.results / name
        for path in sorted(place.iterdir()) if place.is_dir() else [place] if place.exists() else []:
            digest.update(f"{path.relative_to(project.results)} {seals.checksum(path)}\n".encode())
    return digest.hexdigest()


def compared(project: Project) -> bool:
    """Whether `compare` came to its end, and nothing, such as `dvc checkout`, has changed the results since."""
    if not all((project.reports / name).exists() for name in (SHOWN, "index.html")):
        return False
    shown = reading.json_map(project.reports / SHOWN, "run `dvc repro`")
    return shown.get("results") == results_checksum(project)


def _of_study(plan: params.Study, experiment_id: str) -> str:
    tasks = dict.fromkeys(entry.task for entry in plan.entries.values())
    links = [f"[{task}](#{views.link(experiment_id, f'howdeep-task-{task}')[2:]})" for task in tasks]
    return (
        f"How deep should a network be? {len(plan.entries)} entries on {len(plan.data)} data sets, depths "
        f"{', '.join(map(str, plan.depths))}.\n\n"
        f"Views, also under *Saved views*: {', '.join(links)}, and one of each entry. They group runs by cell, an "
        "entry at one depth, and show means over seeds. MLflow loads 100 runs at a time; *Load more* is below the "
        "table. Save changes as a view of your own: `howdeep sync` writes these anew.\n\n"
        "`best/score`: the validation score in the best epoch. `test/score`: the same weights on the test examples. "
        "`best/gap`: how much worse the score is on validation than on training examples; positive is overfit. The run "
        f"`{COMPARISON}` has the answer, tables and report."
    )


def _of_claims(experiment_id: str) -> str:
    link = views.link(experiment_id, views.CLAIMS)[2:]
    return (
        "What is said about depth, each sentence an experiment: a run for each claim with its verdict, below it its "
        "arms, below them their runs.\n\n"
        f"View, also under *Saved views*: [verdicts](#{link}), and one of each arm. `reports/claims.html` shows all "
        "claims; `howdeep claim NAME` prints one."
    )


def _of_comparison(project: Project, answer: Sequence[str]) -> str:
    parts = [" ".join(answer)]
    choices = project.results / "tables" / "choices.md"
    if choices.exists():
        parts += ["### Which depth to choose", choices.read_text()]
    parts.append("Tables, figures and the report (`index.html`) are among the artifacts.")
    return _cut(parts)


def _of_entry(entry: params.Entry, cells: pd.DataFrame) -> str:
    """What an entry is, and its cells; a point of a learning curve, which is compared with its curve, has none."""
    own = f", with {', '.join(f'`{of}`' for of in entry.overrides)}" if entry.overrides else ""
    parts = [f"{entry.model} on {entry.data}, {entry.task.replace('_', ' ')}{own}."]
    if len(cells):
        table = cells_table(cells)
        kept = [n for n, heading in enumerate(table.headings) if heading.startswith(OF_AN_ENTRY)]
        headings, rows = [table.headings[n] for n in kept], [[row[n] for n in kept] for row in table.rows]
        parts += [markdown(Table(headings, 1, rows)), IN_BRACKETS]
    return _cut(parts)


def _cut(parts: Sequence[str]) -> str:
    """Paragraphs, as many as MLflow takes."""
    text = "\n\n".join(parts)
    return text if len(text) <= LONGEST else f"{text[:LONGEST].rpartition(chr(10))[0]}\n\n(cut)"
