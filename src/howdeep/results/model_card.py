"""What a person should know of a trained network before using it, in Markdown.

Source: Mitchell et al., "Model cards for model reporting" (2019).
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from howdeep.results.scores import rows_of
from howdeep.results.wording import amount, brackets, change, estimate, number, spoken

LIMITS = (
    "It knows rows like those that it was trained on, and answers others all the same.",
    "The score is a mean over the seeds of its cell; this network is the one of them with the lowest validation loss.",
    "The interval is that of the mean score over seeds, on one test set: other data may give another score.",
)


def model_card(
    run: Mapping[str, Any],
    data: Mapping[str, Any],
    cells: pd.DataFrame,
    verdicts: pd.DataFrame,
    baselines: pd.DataFrame,
) -> str:
    """
    Args:
        run: its record.
        data: the data card.
        cells, verdicts, baselines: the tables of the study, see `summary`, `verdict.verdicts`, `against_baselines`.
    """
    (cell,) = _of(cells, run)
    score = spoken(run["score"]["name"])
    test = estimate(cell, "test_score")
    lines = [
        f"# {run['entry']}, depth {run['depth']}",
        "",
        f"A network of the kind {run['model']} for {spoken(run['task'])}, trained by howdeep (seed {run['seed']}, run "
        f"{run['key']}).",
        "",
        "| | |",
        "| --- | --- |",
        f"| data | {run['data']}, digest {data['digest'][:16]}, licence: {data['licence']} |",
        f"| examples | {_examples(data)} |",
        f"| test {score} | {number(test.mean)} {brackets(test)}, mean of {cell['runs']} seeds |",
        f"| depth | {_verdicts(_of(verdicts, run), run)} |",
        f"| best simple method | {_baselines(_of(baselines, run), score)} |",
        f"| overfitting gap | {number(cell['gap_loss'])} of the loss (validation less training) |",
        f"| cost | {amount(cell['parameters'])} parameters, {amount(cell['training_flops'])} FLOPs an example |",
        "",
        "## Limits",
        "",
        *(f"- {limit}" for limit in LIMITS),
    ]
    return "\n".join(lines) + "\n"


def verdict_of(run: Mapping[str, Any], verdicts: pd.DataFrame) -> str:
    """The verdict on the depth of a run in a word or two; of the shallowest there is none."""
    found = _of(verdicts, run)
    return found[0]["verdict"] if found else "shallowest"


def _of(table: pd.DataFrame, run: Mapping[str, Any]) -> list[Any]:
    """The rows of the cell of a run."""
    same = (
        (table["entry"] == run["entry"])
        & (table["matching"] == run["matching"])
        & (table["depth"] == run["depth"])
    )
    return rows_of(table.loc[same])


def _examples(data: Mapping[str, Any]) -> str:
    counts = data.get("examples", {})
    return (
        ", ".join(f"{count} {part}" for part, count in counts.items() if not isinstance(count, dict))
        or "unknown"
    )


def _verdicts(found: list[Any], run: Mapping[str, Any]) -> str:
    if not found:
        return f"{run['depth']}, the shallowest: others are compared with it"
    return "; ".join(
        f"{run['depth']}, {row['verdict']} against depth {row['against']}: {change(row)}" for row in found
    )


def _baselines(found: list[Any], score: str) -> str:
    if not found:
        return "none was tried"
    return "; ".join(
        f"{row['method']}, {score} {number(row['method_score'])}: the network is {row['verdict']}, {change(row)}"
        for row in found
    )
