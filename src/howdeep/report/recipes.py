"""The section on the best of all recipes: what depth does where every depth has the recipe that suits it."""

from collections.abc import Sequence

import pandas as pd

from howdeep.results.recipes import BestOfRecipes
from howdeep.results.scores import cells_of, held, rows_of
from howdeep.results.sentences import finding
from howdeep.results.tables import ON_THESE, Table, Text, on_these_examples, probability, told
from howdeep.results.wording import MISSING, Cell, brackets, change, estimate, listing, number, series


def findings(best: BestOfRecipes) -> list[str]:
    """A sentence for each group of recipes and matching: the verdicts, and which recipe the depths chose."""
    said = []
    for data, _, cells in series(best.cells):
        row = cells.iloc[0]
        name = f"the best of {len(row['recipes'].split(', '))} recipes of {row['model']}"
        said.append(f"{finding(data, name, cells, cells_of(best.verdicts, cells))} {_chosen(rows_of(cells))}")
    return said


def _chosen(cells: Sequence[Cell]) -> str:
    """'Chosen by most seeds: cnn-plain at depth 1 (5 of 5 seeds), cnn at depths 2 and 4 (3 and 5 of 5 seeds).'"""
    depths: dict[str, list[tuple[int, int]]] = {}
    for cell in cells:
        for name, count in tally(cell)[:1]:
            depths.setdefault(name, []).append((cell["depth"], count))
    runs = cells[0]["runs"]
    told = [
        f"{name} at depth{'s' if len(of) > 1 else ''} {listing([depth for depth, _ in of])} "
        f"({listing([count for _, count in of])} of {runs} seeds)"
        for name, of in depths.items()
    ]
    return f"Chosen by most seeds: {', '.join(told)}." if told else ""


def tally(cell: Cell) -> list[tuple[str, int]]:
    """How many seeds of a cell chose which recipe, most first: [('cnn', 8), ('cnn-plain', 2)]."""
    counts = [of.rsplit(" ", 1) for of in cell["chosen"].split(", ") if of]
    named = [(name.removeprefix(f"{cell['data']}-"), int(count)) for name, count in counts]
    return sorted(named, key=lambda one: -one[1])


def table(cells: pd.DataFrame) -> Table:
    """A row a depth of each group of recipes.

    Args:
        cells: those of `best_of_recipes`.
    """
    headings = ["data", "architecture", "held equal", "depth", "verdict", "difference", ON_THESE, "p (Holm)"]
    headings += ["test score", "seeds that chose a recipe"]
    rows = [_row(cell) for _, _, line in series(cells) for cell in rows_of(line)] if len(cells) else []
    return Table(headings, 3, rows)


def _row(cell: Cell) -> list[Text]:
    verdict, on_these = told(cell["verdict"]), on_these_examples(cell)
    ends = {"low": cell["difference_low"], "high": cell["difference_high"]}
    score = f"{number(cell['test_score'])} {brackets(estimate(cell, 'test_score'))}".rstrip()
    return [
        *(Text(cell[name], cell[name]) for name in ("data", "model")),
        Text(held(cell["matching"]), cell["matching"]),
        Text(str(cell["depth"]), cell["depth"]),
        Text(verdict, verdict),
        Text(change({"difference": cell["difference"]} | ends), cell["difference"]),
        Text(on_these, on_these),
        Text(probability(cell["p_holm"]), cell["p_holm"]),
        Text(score, cell["test_score"]),
        Text(", ".join(f"{name} {count}" for name, count in tally(cell)) or MISSING, cell["chosen"]),
    ]
