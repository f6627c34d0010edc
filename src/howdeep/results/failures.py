"""What failed, and why as far as the networks themselves tell. Derived from verdicts and measures, never by hand."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from howdeep.results.headline import LOST, outcomes
from howdeep.results.scores import rows_of
from howdeep.results.verdict_map import did_train
from howdeep.results.wording import Cell, joined, listing, number, parts, series

VANISHED, EXPLODED = 1e-3, 1e3  # of the gradient at the first hidden layer over that at the last


def recipes_matter(
    verdicts: pd.DataFrame, groups: Mapping[str, Sequence[str]], names: Mapping[tuple[str, str], str]
) -> str:
    """Whether depth hurt networks with one recipe and not with another; nothing where there is one recipe each.

    Args:
        groups: entries that differ in their recipe alone, by the first of them; see `study.recipes`.
        names: what to call a line, by (entry, matching).
    """
    found = {entry: LOST in of.values() for entry, of in outcomes(verdicts).items()}
    called = {entry: name.partition(", equal")[0] for (entry, _), name in names.items()}
    pairs = [
        (first, other)
        for first, entries in groups.items()
        for other in entries
        if other != first and first in found and other in found
    ]
    if not pairs:
        return ""
    firsts, others = (list(dict.fromkeys(of)) for of in zip(*pairs, strict=True))
    hurt = [[entry for entry in of if found[entry]] for of in (firsts, others)]
    ours, theirs = (listing([called[entry] for entry in of]) for of in (firsts, others))
    return (
        f"With one recipe ({ours}) depth hurt {_share(hurt[0], firsts)}; with another ({theirs}) it hurt "
        f"{_share(hurt[1], others)}."
    )


def _share(hurt: Sequence[str], of: Sequence[str]) -> str:
    return f"{len(hurt) or 'none'} of {len(of)} networks"


def untrained(cells: pd.DataFrame) -> list[tuple[str, str]]:
    """A sentence for each line with a depth that did not train, and the task whose section shows its gradients."""
    told = []
    for data, name, rows in series(cells):
        lost = [cell for cell in rows_of(rows) if not did_train(cell)]
        if lost:
            said = "; ".join(f"depth {cell['depth']}, {_how(cell)}{_gradient(cell, rows)}" for cell in lost)
            told.append((f"{name} on {data} did not train at {said}.", rows["task"].iloc[0]))
    return told


def _how(cell: Cell) -> str:
    kinds = [(cell["diverged"], "diverged"), (cell["collapsed"], "ended near chance")]
    return listing([f"{count} of {cell['runs']} runs {what}" for count, what in kinds if count])


def _gradient(cell: Cell, rows: pd.DataFrame) -> str:
    """What the gradient does on its way to the first layer, where that is out of the ordinary."""
    for part, column in parts(rows).items():
        ratio = cell[column]
        if np.isfinite(ratio) and not VANISHED < ratio < EXPLODED:
            word = "vanishes" if ratio <= VANISHED else "explodes"
            of = joined("the gradient", part)
            return f" ({of} {word}: at the first hidden layer it is {number(ratio)} of that at the last)"
    return ""
