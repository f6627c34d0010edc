"""The views of a study that MLflow's UI offers by name: a table of runs by cell, and charts of the cells.

A view is a tag of the experiment, `mlflow.sharedViewState.<key>`, in which MLflow's UI keeps what its users save under
"Saved views"; a link with `viewStateShareKey=<key>` opens it. The form is that of MLflow 3.17
(`savedViewEnvelope.ts` and `ExperimentPageUIState.tsx` of its sources); `tests/tracking/test_views.py` opens one in a
browser.
"""

import json
from collections.abc import Sequence
from typing import Any

from howdeep.tracking.words import CELL, DEPTH, ENTRY, GAP, KIND, SCORE, TEST_SCORE, VERDICT

SHARED = "mlflow.sharedViewState."
OURS = f"{SHARED}howdeep-"  # not those that somebody saved in the UI
OF_TASKS, CLAIMS = f"{OURS}task-", "howdeep-claims"
NUMBER, SEED = "model.depth", "seed"
# The table's columns as the UI names them; the first are there always: the boxes to tick, and the name.
NAME, NAMES = "attributes.`Run Name`", 330  # pixels of the name's
FIRST = "1", NAME
SHOWN = (f"params.`{NUMBER}`", f"params.`{SEED}`", *(f"metrics.`{of}`" for of in (SCORE, TEST_SCORE, GAP)))
SECTION = "howdeep"


def of_task(task: str, cells: Sequence[str]) -> dict[str, str]:
    """The view of a task: its cells, and charts of test score and gap over depth.

    MLflow loads a hundred runs at a time: ordered by seed, the first hundred have runs of every cell.
    """
    name, order = f"{task}: depth, score, gap", f"params.`{SEED}`"
    return _view(f"task-{task}", name, f"tags.task = '{task}'", order, (CELL, cells), _over_depth())


def of_entry(entry: str, score: str, depths: Sequence[str]) -> dict[str, str]:
    """The view of an entry: its depths, and curves of their means over seeds, in bands from the lowest to the highest.

    Args:
        depths: as `words.at_depth` tells them.
    """
    curves = [_curve(f"val/{score}"), _curve("gap/loss"), _curve("train/loss")]
    which, order = f"tags.`{ENTRY}` = '{entry}'", "metrics.`training_flops`"
    return _view(f"entry-{entry}", entry, which, order, (DEPTH, depths), [*curves, *_over_depth()])


def of_claims() -> dict[str, str]:
    """The view of an experiment of claims: a row a claim with its verdict."""
    shown = (f"tags.`{VERDICT}`",)
    state = {
        "searchFilter": f"tags.`{KIND}` = 'claim'",
        "orderByKey": "attributes.run_name",
        "orderByAsc": True,
        "selectedColumns": shown,
        "columnOrder": [*FIRST, *shown],
        "columnWidths": {NAME: NAMES},
        "runsHiddenMode": "SHOW_ALL",
    }
    return _saved(CLAIMS, "verdicts", state)


def names(tags: dict[str, str]) -> dict[str, str]:
    """Name by key of howdeep's views of tasks, and of claims, among an experiment's tags."""
    first = OF_TASKS, f"{SHARED}{CLAIMS}"
    ours = {name.removeprefix(SHARED): text for name, text in tags.items() if name.startswith(first)}
    return {key: json.loads(text)["name"] for key, text in sorted(ours.items())}


def link(experiment_id: str, key: str) -> str:
    """The page of a view, below the address of the server; without the type, MLflow shows menus for language models."""
    return f"/#/experiments/{experiment_id}/runs?viewStateShareKey={key}&workflowType=machine_learning"


def _view(
    key: str,
    name: str,
    which: str,
    order: str,
    by: tuple[str, Sequence[str]],
    charts: Sequence[dict[str, Any]],
) -> dict[str, str]:
    """The tag of a view.

    Args:
        which: runs it shows, in MLflow's words.
        by: the tag by which runs are grouped, and its values, whose groups are closed.
    """
    tag, values = by
    section = {"uuid": SECTION, "name": "Depth", "display": True, "isReordered": True, "isGenerated": False}
    state = {
        "searchFilter": f"tags.`{KIND}` = 'run' AND {which}",
        "orderByKey": order,
        "orderByAsc": True,
        "selectedColumns": SHOWN,
        "columnOrder": [*FIRST, *SHOWN],
        "columnWidths": {NAME: NAMES},
        "groupBy": {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": tag}]},
        "groupsExpanded": {f"tag.{tag}.{value}": False for value in values},
        "useGroupedValuesInCharts": True,
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "isAccordionReordered": True,
        "compareRunSections": [{**section, "columns": 2, "cardHeight": 360}],
        "compareRunCharts": [
            {
                "uuid": f"{SECTION}-{n}",
                "metricSectionId": SECTION,
                "deleted": False,
                "isGenerated": False,
                **of,
            }
            for n, of in enumerate(charts)
        ],
    }
    return _saved(f"howdeep-{key}", name, state)


def _saved(key: str, name: str, state: dict[str, Any]) -> dict[str, str]:
    """The tag of a view; all are of one time, so that none is ever written twice: the UI lists the newest first."""
    envelope = {"name": name, "createdAt": 0, "state": json.dumps(state, separators=(",", ":"))}
    return {f"{SHARED}{key}": json.dumps(envelope)}


def _over_depth() -> list[dict[str, Any]]:
    x = {"key": NUMBER, "type": "PARAM"}
    return [
        {"type": "SCATTER", "xaxis": x, "yaxis": {"key": name, "type": "METRIC"}, "runsCountToCompare": 100}
        for name in (TEST_SCORE, GAP)
    ]


def _curve(metric: str) -> dict[str, Any]:
    return {
        "type": "LINE", "metricKey": metric, "selectedMetricKeys": [metric], "xAxisKey": "step",
        "scaleType": "linear", "lineSmoothness": 0, "runsCountToCompare": 100,
    }  # fmt: skip
