"""What a study found, in sentences: the answer, each architecture, where shallow won, what stands on few examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from howdeep.records.cell import MATCHINGS
from howdeep.results.scores import SERIES, cells_of, held, rows_of, select
from howdeep.results.wording import MISSING, SCORES, Cell, Row, change, listing, series, spoken


def finding(data: str, name: str, cells: pd.DataFrame, verdicts: pd.DataFrame) -> str:
    """The verdicts of one line (architecture on a data set) in one sentence, its matching told."""
    rows, equal = rows_of(verdicts), f"equal {held(cells['matching'].iloc[0])}"
    start = f"On {data}, {name.removesuffix(f', {equal}')} at {equal}"
    if not rows:
        return f"{start}: one depth only, nothing to compare.{_failures(rows_of(cells))}"
    parts = [*_decided(rows), *_same(rows), *_lost(rows), *_undecided(rows)]
    return f"{start}: {'; '.join(parts)}.{_failures(rows_of(cells))}"


def outcomes(rows: Sequence[Row]) -> list[str]:
    """The verdicts of a family in few words: 'better at depths 2 and 4 (up to +0.03 [...])', 'undecided at depth 8'."""
    parts = []
    for verdict in ("better", "worse"):
        if found := [row for row in rows if row["verdict"] == verdict]:
            most = max(found, key=lambda row: abs(np.nan_to_num(row["difference"])))
            parts.append(
                f"{verdict} at {_depths(found)} ({'up to ' if len(found) > 1 else ''}{change(most)})"
            )
    open_ = [row for row in rows if row["verdict"] == "inconclusive"]
    return [*parts, *_same(rows), *_lost(rows), *([f"undecided at {_depths(open_)}"] if open_ else [])]


def _decided(rows: Sequence[Row]) -> list[str]:
    parts = []
    for verdict, word in (("better", "better"), ("worse", "worse")):
        found = [row for row in rows if row["verdict"] == verdict]
        if found:
            most = max(found, key=lambda row: abs(np.nan_to_num(row["difference"])))
            also = f", most at depth {most['depth']}" if len(found) > 1 else ""
            score = f"{_part(most)} {spoken(most['score'])} {change(most)}{_small(most)}"
            parts.append(f"{word} than depth {most['against']} at {_depths(found)}{also} ({score})")
    return parts


def _small(row: Row) -> str:
    """A difference that was found although it is smaller than what was declared to matter."""
    return f", below the margin of {row['margin']:g}" if abs(row["difference"]) < row["margin"] else ""


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
    """'depths 2 and 4'."""
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
        parts.append(f"no run finished in {counts['failed']} of {_comparisons(rows)}")
    if counts["no difference"]:
        parts.append(f"no difference beyond the margin in {counts['no difference']} of {_comparisons(rows)}")
    if counts["inconclusive"]:
        parts.append(f"undecided in {counts['inconclusive']} of {_comparisons(rows)}")
    return f"{'; '.join(parts)}."


def _comparisons(rows: Sequence[Row]) -> str:
    return "1 comparison" if len(rows) == 1 else f"{len(rows)} comparisons"


def _most(rows: Sequence[Row]) -> str:
    """The largest difference of several rows: 'accuracy +0.031 [+0.015, +0.046]'."""
    most = max(rows, key=lambda row: abs(np.nan_to_num(row["difference"])))
    return f"{spoken(most['score'])} {'up to ' if len(rows) > 1 else ''}{change(most)}{_small(most)}"


def answer(verdicts: pd.DataFrame, *, seeds: Sequence[int], tuned: bool) -> str:
    """The answer to the question in one sentence, no stronger than the tests that it counts.

    Args:
        seeds: how many seeds the entries have.
    """
    if verdicts.empty:
        return "This study has one depth only: it compares nothing."
    settings = "each run tuned on its own" if tuned else "the same untuned settings at every depth"
    how = f"with {_range(seeds)} seeds and {settings}"
    matchings = [name for name in MATCHINGS if name in set(verdicts["matching"])]
    if len(matchings) == 1:
        told = _counted(verdicts)
        return f"{told[0].upper()}{told[1:]} (at equal {held(matchings[0])}, {how})."
    told = "; ".join(
        f"at equal {held(name)}, {_counted(select(verdicts, matching=name))}" for name in matchings
    )
    return f"{told[0].upper()}{told[1:]} ({how})."


def _counted(verdicts: pd.DataFrame) -> str:
    """In how many entries what was found: 'in 3 of 4 entries none differed ...'."""
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
    parts = [f"in {number_} of {len(lines)} {'entry' if len(lines) == 1 else 'entries'} {first}"]
    return ", ".join([*parts, *(f"in {count} {words}" for words, count in more)])


def other_examples(verdicts: pd.DataFrame) -> str:
    """Whether verdicts allow for other test examples, and how many more these very examples would decide."""
    rows = rows_of(verdicts)
    known = [row for row in rows if row["sample_from"]]
    unknown = {spoken(row["score"]) for row in rows if not row["sample_from"]} - {
        spoken(row["score"]) for row in known
    }
    parts = []
    if known:
        bound = " (for some by its upper bound: their answers were not kept)"
        of = bound if any(row["sample_from"] == "bound" for row in known) else ""
        parts.append(f"They allow for other seeds and for other test examples like these{of}.")
    more = [row for row in known if row["verdict"] == "inconclusive" != row["verdict_seeds"]]
    if more:
        count = "1 more comparison" if len(more) == 1 else f"{len(more)} more comparisons"
        drawn = any(row["sample_from"] == "splits" for row in more)
        parts.append(f"On these very {'' if drawn else 'test '}examples {count} would be decided.")
    if unknown:
        parts.append(f"For {listing(sorted(unknown))} they allow for other seeds only.")
    return " ".join(parts)


def shallow_won(cells: pd.DataFrame, verdicts: pd.DataFrame) -> list[str]:
    """Where depth did not pay: lines with a depth that was worse or failed, and those in which all were equal."""
    told = []
    for data, name, rows in series(cells):
        found = rows_of(cells_of(verdicts, rows))
        hurt = [row for row in found if row["verdict"] in ("worse", "failed")]
        if hurt:
            said = [f"{_depths([r])} {_hurt(r)}" for r in hurt]
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
    """Which depths had runs that diverged, and which had runs that collapsed."""
    lost, near = (
        listing([f"{c[name]} of {c['runs']} runs at depth {c['depth']}" for c in cells if c[name]] or [""])
        for name in ("diverged", "collapsed")
    )
    diverged = f" Diverged: {lost}." if lost else ""
    return diverged + (f" Collapsed towards chance: {near}, so that ranks decide there." if near else "")


def scored(cells: pd.DataFrame) -> list[str]:
    """What each score is and which direction is good: 'accuracy (share of right answers; higher is better)'."""
    kinds = cells[["score", "higher_is_better"]].drop_duplicates().itertuples(index=False, name=None)
    meant = {score: f"{meaning}; " for score, meaning in SCORES.items()}
    return [
        f"{spoken(score)} ({meant.get(score, '')}{'higher' if higher else 'lower'} is better)"
        for score, higher in sorted(kinds)
    ]


def seeds(runs: pd.DataFrame) -> str:
    """The seeds of the study: '0 to 4', or where entries differ 'digits-mlp: 0 and 1; elsewhere: 0 to 4'."""
    of_seeds: dict[tuple[int, ...], list[str]] = {}
    for entry, own in runs.groupby("entry")["seed"]:
        of_seeds.setdefault(tuple(sorted(set(own.tolist()))), []).append(str(entry))
    *others, (most, _) = sorted(of_seeds.items(), key=lambda item: (len(item[1]), item[0]))
    told = [f"{listing(entries)}: {_span(of)}" for of, entries in others]
    return "; ".join([*told, f"{'elsewhere: ' if others else ''}{_span(most)}"])


def _span(numbers: Sequence[int]) -> str:
    """'0 to 4', or '0, 2 and 5'."""
    first, last = numbers[0], numbers[-1]
    together = last - first == len(numbers) - 1 > 1
    return f"{first} to {last}" if together else listing(numbers)


def seed_counts(runs: pd.DataFrame) -> list[int]:
    """How many seeds each entry has."""
    return runs.groupby("entry")["seed"].nunique().tolist()


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
        name = name.removesuffix(f", equal {held(rows['matching'].iloc[0])}")
        base, base_name = first.setdefault((data, model), (entry, name))
        if changed := _changed(of_entry[base], of_entry[entry]):
            pairs.setdefault(listing(changed), []).append(f"{name} from {base_name} on {data}")
    return [f"What distinguishes {listing(those)}: {changed}." for changed, those in pairs.items()]


def _changed(base: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Settings that differ, but for those that were tuned or solved: they vary between the runs of an entry too."""
    vary = [name for of in (base, other) for name, values in of.items() if _several(values)]
    own = {name.partition(".")[0] for name in vary if name.startswith(("optimizer", "matching"))}
    own |= {"reference"} if "matching" in own else set()
    names = [
        name
        for name in {**base, **other}
        if base.get(name) != other.get(name) and name not in vary and name.partition(".")[0] not in own
    ]
    return [f"{name} {other.get(name, MISSING)} instead of {base.get(name, MISSING)}" for name in names]


def _several(values: str) -> bool:
    """Whether runs of an entry have different values of a setting, as `protocol.settings` tells them; no list."""
    return ", " in values and not values.startswith(("[", "("))
