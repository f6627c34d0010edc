"""How the results are put into words and digits, the same in tables, figures and report."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from howdeep.results.scores import RATIO, SERIES, known, ratios, rows_of
from howdeep.results.statistics import Interval, overlap

Cell = Mapping[str, Any]  # a row of `summary`
MISSING = "\N{EN DASH}"


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


def best(cells: Sequence[Cell]) -> Cell:
    """The cell with the best mean validation score, the shallowest of equals."""
    sign = 1 if cells[0]["higher_is_better"] else -1
    return max(cells, key=lambda cell: (sign * cell["val_score"], -cell["depth"]))


def finding(data: str, name: str, line: pd.DataFrame) -> str:
    """One neutral sentence on a line: which depth did best, and whether its interval meets depth 1's."""
    cells = rows_of(line)
    known = [cell for cell in cells if cell["diverged"] < cell["runs"]]
    if not known:
        return f"On {data}, every run of {name} diverged."
    top = best(known)
    score = f"best mean validation {spoken(top['score'])}"
    said = f"On {data}, {name} had its {score} at depth {top['depth']}: {_mean(top)}"
    return f"{said}; {_against(top, [cell for cell in known if cell is not top])}{_failures(cells)}"


def _mean(cell: Cell) -> str:
    interval = estimate(cell, "val_score")
    return f"{number(interval.mean)} {brackets(interval)}".rstrip()


def _against(top: Cell, others: Sequence[Cell]) -> str:
    """The comparison with the shallowest other depth, or, for the shallowest, with all deeper ones."""
    if not others:
        return "no other depth finished a run."
    if others[0]["depth"] < top["depth"]:
        [verb] = _meetings(top, others[:1])
        return f"its interval {verb} that of depth {others[0]['depth']}, {_mean(others[0])}."
    parts = [f"{verb} {_those(deeper)}" for verb, deeper in _meetings(top, others).items()]
    return f"its interval {listing(parts)}."


def _meetings(top: Cell, others: Sequence[Cell]) -> dict[str, list[int]]:
    """The depths whose intervals overlap that of `top`, those whose do not, those for which nobody knows."""
    verbs = {
        True: "overlaps",
        False: "does not overlap",
        None: "cannot be compared, for want of runs, with",
    }
    depths: dict[str, list[int]] = {verb: [] for verb in verbs.values()}
    for other in others:
        depths[verbs[overlap(estimate(top, "val_score"), estimate(other, "val_score"))]].append(
            other["depth"]
        )
    return {verb: found for verb, found in depths.items() if found}


def _those(depths: Sequence[int]) -> str:
    return f"those of depths {listing(depths)}" if len(depths) > 1 else f"that of depth {depths[0]}"


def _failures(cells: Sequence[Cell]) -> str:
    told = [f"{c['diverged']} of {c['runs']} runs at depth {c['depth']}" for c in cells if c["diverged"]]
    return f" Not in these means: {listing(told)} diverged." if told else ""


def differences(cells: pd.DataFrame, settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """In which settings the further entries of an architecture on a data set differ from the first.

    Args:
        cells: the rows of `summary` of a task.
        settings: what `protocol.settings` tells of each entry.
    """
    of_entry = {told["entry"]: dict(told["settings"]) for told in settings}
    first: dict[tuple[str, str], tuple[str, str]] = {}
    pairs: dict[str, list[str]] = {}  # those that differ alike are told together
    for data, name, rows in series(cells):
        entry, model = rows["entry"].iloc[0], rows["model"].iloc[0]
        base, base_name = first.setdefault((data, model), (entry, name))
        if changed := _changed(of_entry[base], of_entry[entry]):
            pairs.setdefault(listing(changed), []).append(f"{name} from {base_name} on {data}")
    return [f"What distinguishes {listing(those)}: {changed}." for changed, those in pairs.items()]


def _changed(base: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    names = [name for name in {**base, **other} if base.get(name) != other.get(name)]
    return [f"{name} {other.get(name, MISSING)} instead of {base.get(name, MISSING)}" for name in names]


def spoken(name: str) -> str:
    """The name of a task or a score as words: 'language modelling'."""
    return name.replace("_", " ")
