"""What changed in scores and verdicts between two states of the results."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from howdeep.results import wording
from howdeep.results.scores import CELL, rows_of
from howdeep.results.wording import MISSING, listing, number, signed

NAMES = ["entry", "matching", "depth"]
Row = Mapping[str, Any]


def changes(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """The differences between two tables of cells (results/summary.csv), which older ones without verdicts may be."""
    old, new = _by_cell(before), _by_cell(after)
    both = [key for key in new if key in old]
    changed = [(old[key], new[key]) for key in both if _told(old[key]) != _told(new[key])]
    parts = []
    if came := [key for key in new if key not in old]:
        parts.append(f"{_cells(len(came))} came ({_entries(came)})")
    if went := [key for key in old if key not in new]:
        parts.append(f"{_cells(len(went))} went ({_entries(went)})")
    verdicts = sum(_verdict(o) != _verdict(n) for o, n in changed)
    parts.append(f"{_cells(len(changed))} of {len(both)} changed, {verdicts} of them in the verdict")
    return f"{'; '.join(parts)}.\n{_table(changed)}"


def _by_cell(table: pd.DataFrame) -> dict[tuple, Row]:
    return {tuple(row[name] for name in CELL): row for row in rows_of(table)}


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _entries(keys: list[tuple]) -> str:
    return listing(sorted({key[CELL.index("entry")] for key in keys}))


def _told(row: Row) -> tuple:
    return (*(_digits(row[name]) for name in ("test_score", "val_score")), row["diverged"], _verdict(row))


def _digits(value: float) -> str:
    return f"{value:.6g}"


def _verdict(row: Row) -> str:
    verdict = row.get("verdict")  # results of before there were verdicts have none
    return verdict if isinstance(verdict, str) else MISSING


def _table(changed: list[tuple[Row, Row]]) -> str:
    if not changed:
        return ""
    headings = ["entry", "matching", "depth", "score", "test before", "test after", "change", "verdict"]
    rows = [
        [
            *(str(new[name]) for name in NAMES),
            wording.spoken(new["score"]),
            number(old["test_score"]),
            number(new["test_score"]),
            signed(new["test_score"] - old["test_score"]),
            _verdict(new) if _verdict(old) == _verdict(new) else f"{_verdict(old)} -> {_verdict(new)}",
        ]
        for old, new in changed
    ]
    rule = ["---", "---", "---:", "---", "---:", "---:", "---:", "---"]
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in [headings, rule, *rows])
