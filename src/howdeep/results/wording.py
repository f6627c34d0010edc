"""How the results are put into words and digits, the same in tables, figures and report."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from howdeep.results.measures import measure
from howdeep.results.scores import RATIO, SERIES, known, ratios
from howdeep.results.statistics import Interval

Cell = Mapping[str, Any]  # a row of `summary`
Row = Mapping[str, Any]  # a row of `verdicts`
MISSING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


def in_words(score: str, difference: float) -> str:
    """The size of a difference with its unit: '2.8 points' (hundredths) of an accuracy, '0.071 bits'."""
    of = measure(score)
    size = abs(difference) * of.factor
    return f"{number(size) if of.factor == 1 else f'{size:.1f}'} {of.unit}"


def number(value: float) -> str:
    """Three decimals, fewer for large numbers: 0.985, 27.41, 1,372.0; small ones as 4.1e-05."""
    if math.isnan(value):
        return MISSING
    if 0 < abs(value) < 0.0005:
        return f"{value:.1e}"
    decimals = 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1
    return f"{value:,.{decimals}f}"


def brackets(interval: Interval) -> str:
    """'[0.981, 0.989]', or nothing where there is no interval."""
    return "" if math.isnan(interval.low) else f"[{number(interval.low)}, {number(interval.high)}]"


def amount(value: float) -> str:
    """A count with a unit prefix and three digits: 53.0 k, 1.21 M, 640."""
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:#.3g}".rstrip(".") + f" {prefix}"
    return f"{value:.0f}"


def listing(words: Sequence[object]) -> str:
    """'1', '1 and 2', '1, 2 and 4'."""
    *most, last = [str(word) for word in words]
    return f"{', '.join(most)} and {last}" if most else last


def series(cells: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """The lines of a comparison, sorted: (data, name, its rows of `summary`, the shallowest first)."""
    lines = [rows for _, rows in cells.groupby(SERIES)]
    return [(rows["data"].iloc[0], rows["name"].iloc[0], rows) for rows in lines]


def joined(name: str, part: str) -> str:
    """'gan, generator', or the name alone where there is one part."""
    return f"{name}, {part}" if part else name


def parts(cells: pd.DataFrame) -> dict[str, str]:
    """The networks that are trained with a loss of their own, each with its column of gradient ratios.

    One without a name, unless there are several.
    """
    columns = {name.removeprefix(RATIO).removeprefix("_"): name for name in ratios(cells)}
    measured = {part: name for part, name in columns.items() if known(cells, name).size}
    return measured or {"": RATIO}


def estimate(cell: Cell, score: str) -> Interval:
    """The mean of 'val_score' or 'test_score' with its interval."""
    return Interval(cell[score], cell[f"{score}_low"], cell[f"{score}_high"])


def signed(value: float) -> str:
    """A difference: +0.031, -0.015."""
    if math.isnan(value):
        return MISSING
    if abs(value) < 0.00005:  # nothing but rounding, of scores that were kept in single precision
        return "+0.000"
    size = f"{abs(value):.4f}" if abs(value) < 0.0005 else number(abs(value))
    return f"{'+' if value > 0 else MINUS}{size}"


def difference(row: Row) -> str:
    """A row of `verdicts` in a few words: 'depth 4 better, +0.031 [+0.015, +0.046]', and what the seeds alone say."""
    told = f"depth {row['depth']} {row['verdict']}, {change(row)}"
    if not row["sample_from"] or math.isnan(row["low_seeds"]):
        return told
    seeds = f"[{signed(row['low_seeds'])}, {signed(row['high_seeds'])}]"
    where = "in other splits of these data" if row["sample_from"] == "splits" else "on these test examples"
    return f"{told}, {where} {row['verdict_seeds']}, {seeds}"


def change(row: Row) -> str:
    """'+0.031 [+0.015, +0.046]'."""
    ends = "" if math.isnan(row["low"]) else f" [{signed(row['low'])}, {signed(row['high'])}]"
    return f"{signed(row['difference'])}{ends}"


def spoken(name: str) -> str:
    """The name of a task or a score as words: 'language modelling'."""
    return name.replace("_", " ")
