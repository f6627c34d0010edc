"""How the results are put into words and digits, the same in tables, figures and report."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from howdeep.records import MATCHINGS
from howdeep.results.scores import RATIO, SERIES, cells_of, known, ratios, rows_of, select
from howdeep.results.statistics import Interval

Cell = Mapping[str, Any]  # a row of `summary`
Row = Mapping[str, Any]  # a row of `verdicts`
MISSING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"


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
    size = f"{abs(value):.4f}" if 0 < abs(value) < 0.0005 else number(abs(value))
    return f"{'+' if value >= 0 else MINUS}{size}"


def difference(row: Row) -> str:
    """A row of `verdicts` in a few words: 'depth 4 better, +0.031 [+0.015, +0.046]'."""
    return f"depth {row['depth']} {row['verdict']}, {change(row)}"


def change(row: Row) -> str:
    """'+0.031 [+0.015, +0.046]'."""
    ends = "" if math.isnan(row["low"]) else f" [{signed(row['low'])}, {signed(row['high'])}]"
    return f"{signed(row['difference'])}{ends}"


def finding(data: str, name: str, cells: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """The verdicts of one line (architecture on a data set) in one sentence, its matching told."""
    rows, matching = rows_of(verdicts), cells["matching"].iloc[0]
    start = f"On {data}, {name.removesuffix(f', equal {matching}')} at equal {matching}"
    if not rows:
        return f"{start}: one depth only, nothing to compare.{_failures(rows_of(cells))}"
    parts = [*_decided(rows), *_same(rows), *_lost(rows), *_undecided(rows)]
    return f"{start}: {'; '.join(parts)}.{_failures(rows_of(cells))}"


def _decided(rows: Sequence[Row]) -> list[str]:
    parts = []
    for verdict, word in (("better", "better"), ("worse", "worse")):
        found = [row for row in rows if row["verdict"] == verdict]
        if found:
            most = max(found, key=lambda row: abs(np.nan_to_num(row["difference"])))
            also = f", most at depth {most['depth']}" if len(found) > 1 else ""
            score = f"{_part(most)} {spoken(most['score'])} {change(most)}"
            parts.append(f"{word} than depth {most['against']} at {_depths(found)}{also} ({score})")
    return parts


def _same(rows: Sequence[Row]) -> list[str]:
    found = [row for row in rows if row["verdict"] == "no difference"]
    return [f"no difference beyond {found[0]['margin']:g} at {_depths(found)}"] if found else []


def _lost(rows: Sequence[Row]) -> list[str]:
    found = [row for row in rows if row["verdict"] == "failed"]
    return [f"no run finished at {_depths(found)}"] if found else []


def _undecided(rows: Sequence[Row]) -> list[str]:
    found = [row for row in rows if row["verdict"] == "inconclusive"]
    if not found:
        return []
    needed = [int(row["seeds_needed"]) for row in found if not pd.isna(row["seeds_needed"])]
    seeds = f", where about {_range(needed)} seeds might decide" if needed else ""
    return [f"undecided at {_depths(found)}{seeds}"]


def _range(values: Sequence[int]) -> str:
    return str(values[0]) if len(set(values)) == 1 else f"{min(values)} to {max(values)}"


def _depths(rows: Sequence[Row]) -> str:
    return f"depth{'s' if len(rows) > 1 else ''} {listing([row['depth'] for row in rows])}"


def _part(row: Row) -> str:
    return "validation" if row["on"] == "val" else "test"


def architectures(cells: pd.DataFrame, verdicts: pd.DataFrame) -> list[tuple[str, str]]:
    """For each architecture its name and one sentence: where depth helped, where it hurt, what stays open."""
    names = {(row["data"], row["entry"], row["matching"]): row["name"] for row in rows_of(cells)}
    models = sorted(set(cells["model"]))
    judged = rows_of(verdicts)
    return [(model, _architecture([r for r in judged if r["model"] == model], names)) for model in models]


def _architecture(rows: Sequence[Row], names: Mapping[tuple, str]) -> str:
    if not rows:
        return "one depth only, nothing to compare."
    against = rows[0]["against"]
    parts = []
    for verdict in ("better", "worse"):
        found = [row for row in rows if row["verdict"] == verdict]
        lines: dict[str, list[Row]] = {}
        for row in found:
            name = names[row["data"], row["entry"], row["matching"]]
            place = row["data"] if name == row["model"] else f"{row['data']} ({name})"
            lines.setdefault(place, []).append(row)
        if lines:
            told = [f"on {place} at {_depths(of)} ({_most(of)})" for place, of in lines.items()]
            parts.append(f"{verdict} than depth {against} {listing(told)}")
    counts = {
        v: sum(row["verdict"] == v for row in rows) for v in ("no difference", "failed", "inconclusive")
    }
    if counts["failed"]:
        parts.append(f"no run finished in {counts['failed']} of {len(rows)} comparisons")
    if counts["no difference"]:
        parts.append(
            f"no difference beyond the margin in {counts['no difference']} of {len(rows)} comparisons"
        )
    if counts["inconclusive"]:
        parts.append(f"undecided in {counts['inconclusive']} of {len(rows)}")
    return f"{'; '.join(parts)}."


def _most(rows: Sequence[Row]) -> str:
    """The largest difference of several rows: 'accuracy +0.031 [+0.015, +0.046]'."""
    most = max(rows, key=lambda row: abs(np.nan_to_num(row["difference"])))
    return f"{spoken(most['score'])} {'up to ' if len(rows) > 1 else ''}{change(most)}"


def answer(verdicts: pd.DataFrame, *, seeds: int, tuned: bool) -> str:
    """The answer to the question in one sentence, no stronger than the tests that it counts."""
    if verdicts.empty:
        return "This study has one depth only: it compares nothing."
    settings = "each depth tuned on its own" if tuned else "the same untuned settings at every depth"
    how = f"with {seeds} seeds and {settings}"
    matchings = [name for name in MATCHINGS if name in set(verdicts["matching"])]
    if len(matchings) == 1:
        told = _counted(verdicts)
        return f"{told[0].upper()}{told[1:]} (at equal {matchings[0]}, {how})."
    told = "; ".join(f"at equal {name} {_counted(select(verdicts, matching=name))}" for name in matchings)
    return f"{told[0].upper()}{told[1:]} ({how})."


def _counted(verdicts: pd.DataFrame) -> str:
    """In how many lines what was found: 'in 3 of 4 pairs of architecture and data none differed ...'."""
    lines = [set(of["verdict"]) for _, of in verdicts.groupby(SERIES)]
    outcomes = [("better" in found, bool(found & {"worse", "failed"})) for found in lines]
    against = min(verdicts["against"])
    counts = {
        f"some deeper network beat depth {against} and none lost to it": outcomes.count((True, False)),
        f"some lost to depth {against} and none beat it": outcomes.count((False, True)),
        f"some beat depth {against} and some lost to it": outcomes.count((True, True)),
        f"none differed from depth {against} by more than the margin": lines.count({"no difference"}),
    }
    counts["it stayed open"] = len(lines) - sum(counts.values())
    (first, number_), *more = [(words, count) for words, count in counts.items() if count]
    parts = [f"in {number_} of {len(lines)} pairs of architecture and data {first}"]
    return ", ".join([*parts, *(f"in {count} {words}" for words, count in more)])


def other_examples(verdicts: pd.DataFrame) -> str:
    """How many findings also hold for other test examples, as far as that is known."""
    found = [row for row in rows_of(verdicts) if row["verdict"] in ("better", "worse")]
    known_ = [row for row in found if row["beyond"]]
    if not found:
        return ""
    still = sum(row["beyond"] == "yes" for row in known_)
    open_ = len(found) - len(known_)
    parts = (
        [
            f"{still} of {len(known_)} stand when the largest error through the choice of test examples is added"
        ]
        if known_
        else []
    )
    parts += [f"of {open_} that error is not known"] if open_ else []
    return f"Of the {len(found)} findings of better or worse, {'; '.join(parts)}."


def shallow_won(cells: pd.DataFrame, verdicts: pd.DataFrame) -> list[str]:
    """Where depth did not pay: lines with a depth that was worse or failed, and those in which all were equal."""
    told = []
    for data, name, rows in series(cells):
        found = rows_of(cells_of(verdicts, rows))
        hurt = [row for row in found if row["verdict"] in ("worse", "failed")]
        if hurt:
            said = [f"depth {r['depth']} {_hurt(r)}" for r in hurt]
            told.append(f"{data}, {name}: {listing(said)}.")
        elif found and all(row["verdict"] == "no difference" for row in found):
            cost = rows["training_flops"].iloc[-1] / rows["training_flops"].iloc[0]
            told.append(
                f"{data}, {name}: no depth differs from depth {found[0]['against']} by more than "
                f"{found[0]['margin']:g}, and depth {found[-1]['depth']} costs {cost:.1f} times as much."
            )
    return told


def _hurt(row: Row) -> str:
    return (
        "finished no run"
        if row["verdict"] == "failed"
        else f"was worse ({spoken(row['score'])} {change(row)})"
    )


def _failures(cells: Sequence[Cell]) -> str:
    told = [f"{c['diverged']} of {c['runs']} runs at depth {c['depth']}" for c in cells if c["diverged"]]
    return f" Diverged: {listing(told)}." if told else ""


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
