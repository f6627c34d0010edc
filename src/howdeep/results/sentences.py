"""What a study found, in sentences: the answer, each architecture, where shallow won, what stands on few examples."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from howdeep.records.cell import MATCHINGS
from howdeep.results.measures import measure
from howdeep.results.scores import cells_of, held, rows_of
from howdeep.results.wording import MISSING, Cell, Row, change, listing, series, spoken


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


def architectures(
    cells: pd.DataFrame, verdicts: pd.DataFrame, best: pd.DataFrame | None = None
) -> list[tuple[str, str]]:
    """For each architecture its name and a sentence: what depth did on each data set, under each matching side by side.

    So a gain at equal width that is none at equal parameters is seen to be one of size.

    Args:
        best: the verdicts on the best of all recipes, see `recipes.best_of_recipes`; they stand beside those of the
            entry that their group is named after.
    """
    names = {of["entry"]: of["name"].removesuffix(f", equal {held(of['matching'])}") for of in rows_of(cells)}
    lines: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows_of(verdicts):
        lines.setdefault((row["model"], row["data"], row["entry"]), []).append(row)
    chosen = [] if best is None else rows_of(best)
    found: dict[str, list[tuple[bool, str, str]]] = {model: [] for model in sorted(set(cells["model"]))}
    for (model, data, entry), rows in sorted(lines.items(), key=lambda line: line[0]):
        place = data if names[entry] == model else f"{data} ({names[entry]})"
        said = _under_each(rows)
        if of_best := [row for row in chosen if row["entry"] == entry]:
            said += f", with the best recipe {_under_each(of_best, numbers=False)}"
        found[model].append((not any(row["verdict"] in WORDS for row in rows), said, place))
    return [
        (model, _places(of) if of else "one depth only, nothing to compare.") for model, of in found.items()
    ]


def _places(found: Sequence[tuple[bool, str, str]]) -> str:
    """'on digits better at ...; on elnino and sunspots undecided at ....': where something was decided comes first."""
    alike: dict[tuple[bool, str], list[str]] = {}
    for open_, said, place in found:
        alike.setdefault((open_, said), []).append(place)
    in_order = sorted(alike.items(), key=lambda item: item[0][0])
    return f"{'; '.join(f'on {listing(places)} {said}' for (_, said), places in in_order)}."


WORDS = {"better": "better", "worse": "worse", "failed": "no run finished"}  # of what was decided


def _under_each(rows: Sequence[Row], *, numbers: bool = True) -> str:
    """'better at equal width (depth 4: accuracy +0.031 [+0.015, +0.046]), undecided at equal parameters'."""
    together: dict[str, list[str]] = {}  # what was found under several matchings is said once
    for name in MATCHINGS:
        if family := [row for row in rows if row["matching"] == name]:
            for word, detail in _words(family):
                together.setdefault(word, []).append(f"{held(name)}{detail if numbers else ''}")
    return ", ".join(f"{word} at equal {listing(places)}" for word, places in together.items())


def _words(family: Sequence[Row]) -> list[tuple[str, str]]:
    """What a family comes to, each with its depths and the largest difference; without them where none is decided."""
    decided = []
    for verdict, word in WORDS.items():
        if found := [row for row in family if row["verdict"] == verdict]:
            most = "" if verdict == "failed" else f": {_most(found)}"
            decided.append((word, f" ({_depths(found)}{most})"))
    if decided:
        return decided
    return [("no difference" if {row["verdict"] for row in family} == {"no difference"} else "undecided", "")]


def _most(rows: Sequence[Row]) -> str:
    """The largest difference of several rows: 'accuracy +0.031 [+0.015, +0.046]'."""
    most = max(rows, key=lambda row: abs(np.nan_to_num(row["difference"])))
    return f"{spoken(most['score'])} {'up to ' if len(rows) > 1 else ''}{change(most)}{_small(most)}"


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
    """The lines with a depth that was worse or failed."""
    told = []
    for data, name, rows in series(cells):
        hurt = [row for row in rows_of(cells_of(verdicts, rows)) if row["verdict"] in ("worse", "failed")]
        if hurt:
            told.append(f"{data}, {name}: {listing([f'{_depths([row])} {_hurt(row)}' for row in hurt])}.")
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
    return [
        f"{spoken(score)} ({measure(score).meaning}; {'higher' if higher else 'lower'} is better)"
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
