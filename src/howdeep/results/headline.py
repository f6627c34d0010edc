"""The answer of a study in a few plain sentences, no stronger than the verdicts that they count."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from howdeep.records.cell import MATCHINGS
from howdeep.results.scores import held, known, rows_of
from howdeep.results.verdict import BETTER, FAILED, SAME, WORSE
from howdeep.results.verdict import OPEN as UNDECIDED
from howdeep.results.wording import listing

MOST_NAMES = 6  # entries of a kind; more of them are counted
BEAT, LOST, BOTH, EQUAL, OPEN = "better", "worse", "both", "equal", "open"


def headline(cells: pd.DataFrame, verdicts: pd.DataFrame, baselines: pd.DataFrame) -> list[str]:
    """What more layers did, entry by entry over all matchings, and whether any network beat a simple method.

    Args:
        cells: the rows of `summary`.
        verdicts: those of `verdicts`.
        baselines: those of `against_baselines`.
    """
    if verdicts.empty:
        return ["This study has one depth only: it compares nothing."]
    names = {
        cell["entry"]: (cell["name"].removesuffix(f", equal {held(cell['matching'])}"), cell["data"])
        for cell in rows_of(cells)
    }
    kinds: dict[str, list[str]] = {}
    for entry, found in outcomes(verdicts).items():
        kinds.setdefault(_kind(found), []).append(entry)
    helped = [f"{_named(kinds[kind], names)}{where}" for kind, where in HELPED.items() if kind in kinds]
    said = [f"More layers helped {'; '.join(helped)}." if helped else "More layers helped no network."]
    if LOST in kinds:
        said.append(f"They hurt {_named(kinds[LOST], names)}.")
    if EQUAL in kinds:
        said.append(f"They made no difference that matters to {_named(kinds[EQUAL], names)}.")
    if OPEN in kinds:
        open_ = kinds[OPEN]
        others = len(kinds) > 1 and len(open_) > 1
        said.append(
            f"{f'The other {len(open_)} are' if others else f'For {_named(open_, names)} it is'} undecided."
        )
    return [*said, *_against_simple(baselines, names)]


def outcomes(verdicts: pd.DataFrame) -> dict[str, dict[str, str]]:
    """What each entry comes to under each matching."""
    found: dict[str, dict[str, set[str]]] = {}
    for row in rows_of(verdicts):
        found.setdefault(row["entry"], {}).setdefault(row["matching"], set()).add(row["verdict"])
    return {
        entry: {name: _outcome(of[name]) for name in MATCHINGS if name in of} for entry, of in found.items()
    }


def _outcome(found: set[str]) -> str:
    if found == {"no difference"}:
        return EQUAL
    beat, lost = "better" in found, bool(found & {"worse", "failed"})
    return {(True, False): BEAT, (False, True): LOST, (True, True): BOTH, (False, False): OPEN}[beat, lost]


EVERYWHERE, SMALL, LARGER, AT_WIDTH, MIXED = "everywhere", "small", "larger", "width", "mixed"
HELPED = {
    EVERYWHERE: " whatever was held equal",
    SMALL: " with equally many parameters",
    AT_WIDTH: " at equal width",
    LARGER: " at equal width, but not with equally many parameters: only as larger networks",
    MIXED: " at some depths, and hurt at others",
}


def _kind(found: Mapping[str, str]) -> str:
    """One word for what an entry comes to under all matchings."""
    beat = {name for name, outcome in found.items() if outcome == BEAT}
    if BOTH in found.values():
        return MIXED
    if not beat:
        values = set(found.values())
        return LOST if LOST in values else EQUAL if values == {EQUAL} else OPEN
    if len(beat) == len(found) > 1:
        return EVERYWHERE
    if beat == {"width"}:
        return LARGER if len(found) > 1 else AT_WIDTH
    return SMALL


def _named(entries: Sequence[str], names: Mapping[str, tuple[str, str]]) -> str:
    """'cnn and mlp on digits and lstm on torch_docs', or how many there are if they are many."""
    if len(entries) > MOST_NAMES:
        return f"{len(entries)} of {len(names)} networks"
    on: dict[str, list[str]] = {}
    for entry in entries:
        name, data = names[entry]
        on.setdefault(data, []).append(f"the {name}")
    together: dict[str, list[str]] = {}  # one architecture on several data sets
    for data, of in on.items():
        together.setdefault(listing(of), []).append(data)
    return listing([f"{of} on {listing(data)}" for of, data in together.items()])


def _against_simple(baselines: pd.DataFrame, names: Mapping[str, tuple[str, str]]) -> list[str]:
    """How many networks are better than the best simple method of their data at some depth; a single one is named."""
    if baselines.empty:
        return []
    judged = baselines.groupby("entry", sort=False)["verdict"].agg(set)
    beat = [str(entry) for entry, found in judged.items() if "better" in found]
    methods = set(baselines["method"])
    one = f"{methods.pop()}, the best simple method" if len(methods) == 1 else None
    if not beat:
        undecided = any("inconclusive" in found for found in judged)
        beats = "was shown to beat" if undecided else "beat"
        which = "No network" if one else f"None of {len(judged)} networks"
        simple = f"{one}," if one else "the best simple method for its data"
        return [f"{which} {beats} {simple} at any depth."]
    verb = "beats" if len(beat) == 1 else "beat"
    which = f": {_named(beat, names)}" if len(beat) < len(judged) else ""
    whose = "its" if len(beat) == 1 else "their"
    simple = one or f"the best simple method for {whose} data"
    return [f"{len(beat)} of {len(judged)} networks {verb} {simple}{which}."]


def metrics(cells: pd.DataFrame, baselines: pd.DataFrame) -> dict[str, float]:
    """The study in a few numbers, which `dvc metrics show` sets in one line and `dvc exp show` beside each other.

    `n_runs` (`dvc exp show` fails where a metric has the name of a folder, `runs`), and how many of them are
    `untrained`: diverged, or ended near chance. How many depths are `better` and `worse` than the shallowest, or
    failed; for how many it makes `no_difference` that matters, and how many are `undecided`. How many cells are better
    than the best simple method (`beat_simple`). `gap`: the median over cells of the normalised overfitting gap, the
    share of what was learned that holds for the training examples alone.

    Args:
        cells: the rows of `judge`.
        baselines: those of `against_baselines`.
    """
    verdicts = cells["verdict"]
    found = {
        "n_runs": cells["runs"].sum(),
        "untrained": (cells["diverged"] + cells["collapsed"]).sum(),
        "better": (verdicts == BETTER).sum(),
        "worse": verdicts.isin([WORSE, FAILED]).sum(),
        "no_difference": (verdicts == SAME).sum(),
        "undecided": (verdicts == UNDECIDED).sum(),
        "beat_simple": 0 if baselines.empty else (baselines["verdict"] == BETTER).sum(),
    }
    gaps = known(cells, "gap_loss_normalised")
    gap = {"gap": round(float(np.median(gaps)), 4)} if len(gaps) else {}
    return {**{name: int(of) for name, of in found.items()}, **gap}
