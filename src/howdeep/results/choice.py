"""Which depth should I choose? The cheapest that is not shown to be worse than the best.

Asked under the first matching of an entry, the width where there is one: under the others depths cost the same. The
best is the depth with the best mean validation score, so that the test examples judge it as they judge the others: by
the rules of the verdicts on depth, each other depth against it.
"""

from collections.abc import Collection, Mapping

import pandas as pd

from howdeep.records.cell import MATCHINGS
from howdeep.results.answers import NO_ANSWERS, Answers
from howdeep.results.sample_error import NO_OVERLAP
from howdeep.results.scores import SERIES, cells_of, rows_of, select
from howdeep.results.verdict import verdicts

SHOWN_WORSE = ("worse", "failed")
ALIKE = 1.1  # times the training FLOPs: no saving that anybody would notice
COLUMNS = (*SERIES, "best", "depth", "against_best", "cost", "beats_simple")


def choices(
    runs: pd.DataFrame,
    cells: pd.DataFrame,
    baselines: pd.DataFrame,
    margins: Mapping[str, float],
    examples: Mapping[str, int] | None = None,
    answers: Answers = NO_ANSWERS,
    in_time: Collection[str] = (),
    overlap: Mapping[str, float] = NO_OVERLAP,
) -> pd.DataFrame:
    """A row an entry with several depths: `depth` is the cheapest (by training FLOPs) not shown worse than `best`.

    Of depths that cost about the same, within a tenth, the shallowest counts as the cheapest. `against_best` is its
    verdict against the best, missing where it is the best; `cost` its training FLOPs over those of the shallowest;
    `beats_simple` its verdict against the best simple method, missing where none was tried.

    Args:
        runs: a row a run, see `scores.scores`.
        cells: the rows of `summary`.
        baselines: those of `against_baselines`.
        margins, examples, answers, in_time, overlap: see `verdict.verdicts`.
    """
    lines: dict[tuple, pd.DataFrame] = {}
    for matching in MATCHINGS:
        for key, line in select(cells, matching=matching).groupby(SERIES):
            assert isinstance(key, tuple)
            if len(line) > 1 and not any(key[:-1] == known[:-1] for known in lines):
                lines[key] = line
    lines = dict(sorted(lines.items()))
    best = {key: depth for key, line in lines.items() if (depth := _best(line)) is not None}
    judged = verdicts(runs, margins, examples, answers, in_time, overlap, reference=best)
    rows = []
    for key, depth in best.items():
        line = lines[key]
        found = {row["depth"]: row["verdict"] for row in rows_of(cells_of(judged, line))}
        allowed = [cell for cell in rows_of(line) if found.get(cell["depth"]) not in SHOWN_WORSE]
        least = min(cell["training_flops"] for cell in allowed)
        chosen = next(cell for cell in allowed if cell["training_flops"] <= ALIKE * least)
        simple = (
            {row["depth"]: row["verdict"] for row in rows_of(cells_of(baselines, line))}
            if len(baselines)
            else {}
        )
        rows.append(
            dict(zip(SERIES, key, strict=True))
            | {
                "best": depth,
                "depth": chosen["depth"],
                "against_best": found.get(chosen["depth"]),
                "cost": chosen["training_flops"] / line["training_flops"].iloc[0],
                "beats_simple": simple.get(chosen["depth"]),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _best(line: pd.DataFrame) -> int | None:
    """The depth with the best mean validation score; None where no run finished."""
    sign = 1 if line["higher_is_better"].iloc[0] else -1
    scored = [
        (sign * cell["val_score"], -cell["depth"])
        for cell in rows_of(line)
        if cell["val_score"] == cell["val_score"]
    ]
    return -max(scored)[1] if scored else None
