"""Do verdicts repeat? Two studies that differ in nothing but their seeds, comparison by comparison."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from howdeep.results.scores import SERIES, rows_of
from howdeep.results.wording import change

COMPARISON = [*SERIES, "depth"]
OPPOSITE = {"better": "worse", "worse": "better"}
SAME, DIRECTION, TURNED, OTHER = "repeats", "same direction", "turns round", "other direction"


def repeats(first: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """A row for each comparison that both studies made: its verdicts, and what has become of the first.

    `outcome` is 'repeats' where the verdict is the same; where it is not, of better and worse 'turns round' for the
    opposite verdict, else 'same direction' or 'other direction' of the difference; of others it is empty.

    Args:
        first, again: the rows of `verdicts`.
    """
    kept = ["score", "higher_is_better", "verdict", "difference", "low", "high", "chance_to_repeat"]
    both = first[[*COMPARISON, *kept]].merge(
        again[[*COMPARISON, "verdict", "difference", "low", "high"]], on=COMPARISON, suffixes=("", "_again")
    )
    return both.assign(outcome=[_outcome(row) for row in rows_of(both)])


def _outcome(row: Mapping[str, Any]) -> str:
    if row["verdict"] == row["verdict_again"]:
        return SAME
    if row["verdict"] not in OPPOSITE:
        return ""
    if row["verdict_again"] == OPPOSITE[row["verdict"]]:
        return TURNED
    return DIRECTION if np.sign(row["difference"]) == np.sign(row["difference_again"]) else OTHER


def told(found: pd.DataFrame) -> str:
    """How many verdicts repeat, and a table of all comparisons, as Markdown.

    Args:
        found: as `repeats` gives it.
    """
    decided, same = found[found["verdict"].isin(OPPOSITE)], found[found["verdict"] == "no difference"]
    count = {name: np.count_nonzero(decided["outcome"] == name) for name in (SAME, DIRECTION, TURNED)}
    directions = count[SAME] + count[DIRECTION]
    said = [
        f"{len(found)} comparisons in both studies, {len(decided)} of them better or worse in the first: "
        f"{_share(count[SAME], len(decided))} have the same verdict in the second, where "
        f"{decided['chance_to_repeat'].sum():.0f} were to be expected by their p, "
        f"{_share(directions, len(decided))} the same direction, {count[TURNED]} the opposite verdict."
    ]
    if len(same):
        again = np.count_nonzero(same["outcome"] == SAME)
        said.append(f"Of {len(same)} of no difference {_share(again, len(same))} are so again.")
    new = np.count_nonzero(~found["verdict"].isin(OPPOSITE) & found["verdict_again"].isin(OPPOSITE))
    said.append(f"{new} others are better or worse in the second alone.")
    headings = ["entry", "held equal", "depth", "first", "second", "outcome"]
    lines = [headings, ["---", "---", "---:", "---", "---", "---"]]
    lines += [
        [
            row["entry"],
            row["matching"],
            str(row["depth"]),
            _verdict(row, ""),
            _verdict(row, "_again"),
            row["outcome"],
        ]
        for row in rows_of(found)
    ]
    return " ".join(said) + "\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _share(count: Any, of: int) -> str:
    return f"{count} ({100 * count / of:.0f} %)" if of else str(count)


def _verdict(row: Mapping[str, Any], suffix: str) -> str:
    of = {name: row[f"{name}{suffix}"] for name in ("difference", "low", "high")}
    return f"{row[f'verdict{suffix}']}, {change(of)}"
