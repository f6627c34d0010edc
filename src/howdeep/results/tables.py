"""The tables of a study as text: cells, comparisons, gaps, depth across data sets."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from howdeep.results import wording
from howdeep.results.measures import possible
from howdeep.results.scores import CELL, GAPS, SERIES, held, rows_of
from howdeep.results.statistics import Interval
from howdeep.results.wording import MISSING, amount, brackets, change, estimate, number

Seconds = Mapping[tuple[str, int, str], float]
ON_THESE = "on these examples"  # where seeds draw splits, in other splits of the same data


class Text(NamedTuple):
    """One place of a table: what people read, what the column is sorted by, and the link that it carries."""

    text: str
    by: float | str
    link: str = ""


class Table(NamedTuple):
    """Headings, the number of leading columns that hold names, and rows."""

    headings: list[str]
    names: int
    rows: list[list[Text]]


def anchor(entry: str, matching: str, depth: int) -> str:
    """Where the page lists the runs of a cell."""
    return f"runs-{entry}-{matching}-{depth}"


def cells_table(cells: pd.DataFrame, seconds: Seconds | None = None) -> Table:
    """The main table of a task: a row a cell, its verdict beside its scores.

    Args:
        cells: the rows of `scores.judge` that belong to the task.
        seconds: mean seconds of a training by (entry, depth, matching); None leaves the column out.
    """
    score = wording.spoken(cells["score"].iloc[0])
    parts = wording.parts(cells)
    sampled, collapsed = is_sampled(cells), bool(cells["collapsed"].any())
    headings = [
        *("data", "architecture", "depth", "verdict", "difference", "overfitting gap"),
        *([ON_THESE] if sampled else []),
        *(f"test {score}", f"validation {score}"),
        *(wording.joined("gradient ratio", part) for part in parts),
        *("parameters", "training FLOPs", *(["seconds"] if seconds else [])),
        *("not converged", *(["collapsed"] if collapsed else []), "runs"),
    ]
    rows = [
        _cell(cell, list(parts.values()), seconds, sampled=sampled, collapsed=collapsed)
        for _, _, line in wording.series(cells)
        for cell in rows_of(line)
    ]
    return Table(headings, 2, rows)


def _cell(
    cell: wording.Cell, ratios: Sequence[str], seconds: Seconds | None, *, sampled: bool, collapsed: bool
) -> list[Text]:
    finished = cell["runs"] - cell["diverged"]
    verdict, on_these = told(cell["verdict"]), on_these_examples(cell)
    change_ = {
        "difference": cell["difference"],
        "low": cell["difference_low"],
        "high": cell["difference_high"],
    }
    texts = [
        Text(cell["data"], cell["data"]),
        Text(cell["name"], cell["name"]),
        Text(str(cell["depth"]), cell["depth"]),
        Text(verdict, verdict),
        Text(change(change_), cell["difference"]),
        Text(number(cell["gap_loss"]), cell["gap_loss"]),
        *([Text(on_these, on_these)] if sampled else []),
        Text(
            f"{_scored(cell, 'test_score')} {brackets(_on_other_examples(cell))}".rstrip(), cell["test_score"]
        ),
        Text(_scored(cell, "val_score"), cell["val_score"]),
        *(Text(number(cell[name]), cell[name]) for name in ratios),
        Text(f"{cell['parameters']:,}", cell["parameters"]),
        Text(amount(cell["training_flops"]), cell["training_flops"]),
    ]
    if seconds:
        taken = seconds.get((cell["entry"], cell["depth"], cell["matching"]), math.nan)
        texts.append(Text(MISSING if math.isnan(taken) else f"{taken:.1f}", taken))
    texts.append(Text(f"{cell['not_converged']} of {finished}", cell["not_converged"] / max(finished, 1)))
    if collapsed:
        texts.append(Text(f"{cell['collapsed']} of {cell['runs']}", cell["collapsed"] / cell["runs"]))
    runs = str(finished) if finished == cell["runs"] else f"{finished} of {cell['runs']}"
    return [*texts, Text(runs, finished, anchor(cell["entry"], cell["matching"], cell["depth"]))]


def is_sampled(cells: pd.DataFrame) -> bool:
    """Whether the test sample's own error is part of any verdict."""
    return len(cells) > 0 and bool(set(cells["sample_from"].dropna()) - {""})


def on_these_examples(cell: Mapping[str, Any]) -> str:
    """What the seeds alone say, where the verdict says more than that; a dash else."""
    known = isinstance(cell["sample_from"], str) and cell["sample_from"]
    return told(cell["verdict_seeds"]) if known else MISSING


def told(verdict: Any) -> str:
    """A verdict, or a dash where there is none: of the shallowest depth, or of what is not known."""
    return verdict if isinstance(verdict, str) and verdict else MISSING


def _scored(cell: wording.Cell, name: str) -> str:
    return f"{number(cell[name])} {brackets(estimate(cell, name))}".rstrip()


def _on_other_examples(cell: wording.Cell) -> Interval:
    """The 95 % interval of the mean test score through the choice of the test examples alone."""
    mean, half = cell["test_score"], cell["test_sample"]
    return possible(Interval(mean, mean - half, mean + half), cell["score"])


def verdicts_table(verdicts: pd.DataFrame, names: Mapping[tuple[str, str], str]) -> Table:
    """What each verdict of a task rests on.

    Args:
        names: what to call a line, by (entry, matching).
    """
    headings = [
        *("data", "architecture", "depth", "verdict", "difference", ON_THESE, "pairs"),
        *("p (Holm)", "p (whole study)", "p (signed rank)", "effect size", "probability of improvement"),
        *("chance to repeat", "seeds to decide"),
    ]
    rows = [_comparison(row, names[row["entry"], row["matching"]]) for row in rows_of(verdicts)]
    return Table(headings, 2, rows)


def _comparison(row: wording.Row, name: str) -> list[Text]:
    seeds = MISSING
    if row["sample_from"]:
        seeds = f"{row['verdict_seeds']}, {brackets_signed(row['low_seeds'], row['high_seeds'])}"
    how = {"bound": ", the error of others an upper bound", "splits": ", of other splits of these data"}
    bound = how.get(row["sample_from"], "")
    reach = "" if row["wilcoxon_least_p"] <= 0.05 else f" (least {probability(row['wilcoxon_least_p'])})"
    test = "" if row["test"] == "t" else f", {row['test']} test"
    least = f" (least {probability(row['least_p'])})" if row["least_p"] > 0.01 else ""
    needed = row["seeds_needed"]
    failed, collapsed = (row[name] + row[f"{name}_shallow"] for name in ("failed", "collapsed"))
    lost = (f", {failed} failed" if failed else "") + (f", {collapsed} collapsed" if collapsed else "")
    ahead = brackets(Interval(row["improvement"], row["improvement_low"], row["improvement_high"]))
    return [
        Text(row["data"], row["data"]),
        Text(name, name),
        Text(str(row["depth"]), row["depth"]),
        Text(row["verdict"], row["verdict"]),
        Text(change(row), row["difference"]),
        Text(seeds + bound, row["low_seeds"]),
        Text(f"{row['pairs']}{lost}", row["pairs"]),
        Text(probability(row["p_holm"]) + test + least, row["p_holm"]),
        Text(probability(row["p_study"]), row["p_study"]),
        Text(probability(row["wilcoxon_p"]) + reach, row["wilcoxon_p"]),
        Text(wording.signed(row["effect"]), row["effect"]),
        Text(f"{number(row['improvement'])} {ahead}".rstrip(), row["improvement"]),
        Text(percent(row["chance_to_repeat"]), row["chance_to_repeat"]),
        Text(MISSING if pd.isna(needed) else str(needed), math.nan if pd.isna(needed) else float(needed)),
    ]


def baselines_table(found: pd.DataFrame, names: Mapping[tuple[str, str], str]) -> Table:
    """Each cell against the best of the simple methods.

    Args:
        found: the rows of `against_baselines`.
        names: what to call a line, by (entry, matching).
    """
    headings = [
        "data",
        "architecture",
        "depth",
        "best simple method",
        "its score",
        "verdict",
        "difference",
        "p (Holm)",
    ]
    rows = [
        [
            Text(row["data"], row["data"]),
            Text(name := names[row["entry"], row["matching"]], name),
            Text(str(row["depth"]), row["depth"]),
            Text(row["method"], row["method"]),
            Text(number(row["method_score"]), row["method_score"]),
            Text(row["verdict"], row["verdict"]),
            Text(change(row), row["difference"]),
            Text(probability(row["p_holm"]), row["p_holm"]),
        ]
        for row in rows_of(found)
    ]
    return Table(headings, 2, rows)


def choices_table(choices: pd.DataFrame, cells: pd.DataFrame) -> Table:
    """Which depth to choose: a row a line.

    Args:
        choices: the rows of `choice.choices`.
        cells: those of `summary`.
    """
    headings = [
        *("data", "architecture", "depth to choose", "why", "score", "cost", "overfitting gap"),
        *("against the best simple method", "warning"),
    ]
    found = {tuple(cell[name] for name in CELL): cell for cell in rows_of(cells)}
    rows = []
    for row in rows_of(choices):
        line = tuple(row[name] for name in SERIES)
        cell = found[*line, row["depth"]]
        best = row["best"] == row["depth"]
        why = (
            "the best"
            if best
            else f"cheaper than {row['best']}, not shown worse ({told(row['against_best'])})"
        )
        part = "val_score" if math.isnan(cell["test_score"]) else "test_score"
        score = f"{wording.spoken(cell['score'])} {_scored(cell, part)}"
        warning = _warning(cell)
        rows.append(
            [
                Text(cell["data"], cell["data"]),
                Text(name := cell["name"].removesuffix(f", equal {held(row['matching'])}"), name),
                Text(str(row["depth"]), row["depth"]),
                Text(why, row["best"]),
                Text(score, cell[part]),
                Text(f"\N{MULTIPLICATION SIGN} {row['cost']:.1f}", row["cost"]),
                Text(wording.signed(cell["gap_loss"]), cell["gap_loss"]),
                Text(told(row["beats_simple"]), told(row["beats_simple"])),
                Text(warning, warning),
            ]
        )
    return Table(headings, 2, rows)


def _warning(cell: wording.Cell) -> str:
    """What makes a cell doubtful, in a word or two."""
    finished = cell["runs"] - cell["diverged"]
    found = []
    if 2 * cell["not_converged"] >= max(finished, 1):
        found.append("not converged")
    if lost := cell["diverged"] + cell["collapsed"]:
        found.append(f"{lost} of {cell['runs']} runs lost")
    return ", ".join(found) or MISSING


def percent(share: float) -> str:
    """'86 %'."""
    return MISSING if math.isnan(share) else f"{100 * share:.0f} %"


def probability(p: float) -> str:
    """Three decimals, '< .001' below them."""
    return MISSING if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def brackets_signed(low: float, high: float) -> str:
    return MISSING if math.isnan(low) else f"[{wording.signed(low)}, {wording.signed(high)}]"


GAP_HEADINGS = (
    *("loss, best epoch", "score, best epoch", "loss, last epoch", "score, last epoch"),
    *("loss, normalised", "score, normalised", "loss, at equal training loss", "that training loss"),
)


def gaps_table(cells: pd.DataFrame) -> Table:
    """The overfitting gap in its four views: a row a cell."""
    rows = [
        [
            *(Text(cell[name], cell[name]) for name in ("data", "name")),
            Text(str(cell["depth"]), cell["depth"]),
            *(Text(number(cell[name]), cell[name]) for name in GAPS),
        ]
        for _, _, line in wording.series(cells)
        for cell in rows_of(line)
    ]
    return Table(["data", "architecture", "depth", *GAP_HEADINGS], 2, rows)


def across_table(across: pd.DataFrame) -> Table:
    """Depth across data sets: a row a depth of a variant."""
    headings = ["architecture", "held equal", "depth", "data sets", "skill, interquartile mean", "mean rank"]
    rows = [
        [
            Text(row["variant"], row["variant"]),
            Text(held(row["matching"]), row["matching"]),
            *(Text(str(row[name]), row[name]) for name in ("depth", "data_sets")),
            Text(f"{number(row['iqm'])} [{number(row['low'])}, {number(row['high'])}]", row["iqm"]),
            Text(_rank(row), row["rank"]),
        ]
        for row in rows_of(across)
    ]
    return Table(headings, 2, rows)


def _rank(row: Mapping[str, Any]) -> str:
    if math.isnan(row["rank"]):
        return MISSING
    nemenyi = "" if math.isnan(row["nemenyi_p"]) else f", p {probability(row['nemenyi_p'])}"
    return f"{row['rank']:.2f} (Friedman p {probability(row['friedman_p'])}{nemenyi})"


def runs_table(runs: pd.DataFrame, names: Mapping[tuple[str, str], str]) -> Table:
    """Every run of a task under its key, which names its record and its run in MLflow."""
    headings = [
        *("key", "data", "architecture", "depth", "seed", "state", "test score", "validation score"),
        *("overfitting gap", "best epoch"),
    ]
    rows, seen = [], set()
    for run in rows_of(runs):
        cell = anchor(run["entry"], run["matching"], run["depth"])
        name = names[run["entry"], run["matching"]]
        rows.append(
            [
                Text(run["key"], run["key"], "" if cell in seen else cell),
                Text(run["data"], run["data"]),
                Text(name, name),
                *(Text(str(run[column]), run[column]) for column in ("depth", "seed")),
                Text(run["state"], run["state"]),
                *(
                    Text(number(run[column]), run[column])
                    for column in ("test_score", "val_score", "gap_loss")
                ),
                Text(MISSING if pd.isna(run["best_epoch"]) else str(run["best_epoch"] + 1), run["epochs"]),
            ]
        )
        seen.add(cell)
    return Table(headings, 3, rows)


def markdown(table: Table) -> str:
    """The table for a README; nothing of nothing."""
    if not table.rows:
        return ""
    rule = ["---" if place < table.names else "---:" for place in range(len(table.headings))]
    lines = [table.headings, rule, *([text.text for text in row] for row in table.rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
