"""What tuning tried: every learning rate with every optimizer at every depth, and which of them won."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap

from howdeep.figures.figure import DEPTH, INK, PAPER, boards, styled, svg
from howdeep.records.trials import SECOND, TrialRow
from howdeep.results.scores import held
from howdeep.results.tables import Table, Text
from howdeep.results.wording import listing, number, spoken
from howdeep.study.tuning import by_cell, on_edge, winner

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution

WIDTH = 3.0  # inches: of all maps of a board together
NAMED = 8  # learning rates below a map
FEWEST = 20  # trials from which importances are told
ROW, AROUND = 0.34, 1.2  # inches: of a depth, of title, axis and note
COLOURS = ListedColormap(list(DEPTH))
TRIED = ("matching", "depth", "optimizer", "lr", *SECOND, "val_loss", "space")
Trials = Mapping[str, Sequence[TrialRow]]  # by entry


class Tried(NamedTuple):
    """A trial, and whether it won its depth and lies on the edge of what was tried."""

    trial: TrialRow
    won: bool
    edge: bool


def judged(own: Sequence[TrialRow]) -> list[Tried]:
    """The trials of one entry, cell by cell."""
    found = []
    for of_cell in by_cell(own).values():
        best = winner(of_cell)
        found += [Tried(row, row == best, row == best and on_edge(row, of_cell)) for row in of_cell]
    return found


def panels(trials: Trials) -> dict[str, list[TrialRow]]:
    """The trials of a picture by its title: of one entry and, where an entry has several, of one matching."""
    found: dict[str, list[TrialRow]] = {}
    for entry, own in trials.items():
        for row in own:
            title = entry if row.matching == "width" else f"{entry}, equal {held(row.matching)}"
            found.setdefault(title, []).append(row)
    return found


def frame(trials: Trials) -> pd.DataFrame:
    """A row a trial: what was tried, its validation loss, missing where it diverged, and what became of it.

    `rank` is the share of the finished trials of its cell that it beats, 1 for the best; `chosen` says yes of a winner,
    and edge of one beyond whose learning rate nothing was tried.
    """
    rows = [
        (entry, *(getattr(row, name) for name in TRIED), _rank(row, own), won * ("edge" if edge else "yes"))
        for entry, rows in trials.items()
        for own in by_cell(rows).values()
        for row, won, edge in judged(own)
    ]
    return pd.DataFrame(rows, columns=["entry", *TRIED, "rank", "chosen"])


def on_edges(trials: Trials) -> tuple[int, int]:
    """How many cells have a winner beyond whose learning rate nothing was tried, of how many that have a winner."""
    tried = [tried for own in trials.values() for tried in judged(own)]
    winners = [one for one in tried if one.won and one.trial.val_loss is not None]
    return sum(one.edge for one in winners), len(winners)


def table(trials: Trials) -> Table:
    """The winner of each cell of each entry, a row each."""
    second = [name for name in SECOND if any(name in row.point for own in trials.values() for row in own)]
    headings = [
        *("entry", "held equal", "depth", "optimizer", "learning rate", *map(spoken, second)),
        *("validation loss", "trials of the depth", "remark"),
    ]
    rows = []
    for entry, own in trials.items():
        for row, won, edge in judged(own):
            if won:
                loss = "all diverged" if row.val_loss is None else number(row.val_loss)
                n = sum(other.cell == row.cell for other in own)
                rows.append([
                    Text(entry, entry), Text(held(row.matching), row.matching), Text(str(row.depth), row.depth),
                    Text(row.optimizer, row.optimizer), Text(f"{row.lr:g}", row.lr),
                    *(_value(row.point.get(name)) for name in second),
                    Text(loss, math.inf if row.val_loss is None else row.val_loss),
                    Text(str(n), n), Text(edge * "on the edge of what was tried", edge),
                ])  # fmt: skip
    return Table(headings, 2, rows)


def _value(value: float | None) -> Text:
    """A setting that not every optimizer has."""
    return Text("", -1) if value is None else Text(f"{value:g}", value)


def importances(own: Sequence[TrialRow]) -> dict[str, float]:
    """How much of what tells the better trials of an entry from the others each setting explains, 1 in all.

    By PED-ANOVA (Watanabe, Bansal and Hutter, 2023) on the better tenth of the finished trials, in its form for
    settings that not all trials have, such as a momentum; empty where fewer than 20 finished, or all settings explain
    nothing.
    """
    from optuna import create_study, create_trial, logging
    from optuna.distributions import CategoricalDistribution
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    finished = [row for row in own if row.val_loss is not None]
    if len(finished) < FEWEST:
        return {}
    space = {
        "depth": CategoricalDistribution(sorted({row.depth for row in finished})),
        "optimizer": CategoricalDistribution(sorted({row.optimizer for row in finished})),
        "learning rate": _range(finished, "lr", log=True),
        **{
            spoken(name): _range(finished, name, log=name == "weight_decay")
            for name in SECOND
            if any(name in row.point for row in finished)
        },
    }
    space = {name: of for name, of in space.items() if not of.single()}
    logging.set_verbosity(logging.WARNING)
    study = create_study()
    for row in finished:
        values = {"depth": row.depth, "optimizer": row.optimizer, "learning rate": row.lr}
        values |= {spoken(name): value for name, value in row.point.items() if name in SECOND}
        params = {name: value for name, value in values.items() if name in space}
        of_row = {name: space[name] for name in params}
        study.add_trial(create_trial(params=params, distributions=of_row, value=row.val_loss))  # type: ignore[arg-type]
    return get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())


def _range(rows: Sequence[TrialRow], name: str, *, log: bool) -> "FloatDistribution":
    """The range that was tried of a setting."""
    from optuna.distributions import FloatDistribution

    values = [row.point[name] for row in rows if name in row.point]
    return FloatDistribution(min(values), max(values), log=log)


def importance_table(trials: Trials) -> Table:
    """A row an entry: the share of each setting."""
    found = {entry: shares for entry, own in trials.items() if (shares := importances(own))}
    second = [name for name in map(spoken, SECOND) if any(name in shares for shares in found.values())]
    names = ["learning rate", *second, "optimizer", "depth"]
    rows = [
        [
            Text(entry, entry),
            *(Text(f"{shares[n]:.2f}", shares[n]) if n in shares else Text("", -1) for n in names),
        ]
        for entry, shares in found.items()
    ]
    return Table(["entry", *names], 1, rows)


@styled
def heatmap(title: str, own: Sequence[TrialRow]) -> str:
    """Validation loss by learning rate and depth, a map an optimizer; a dot marks the winner of each depth, a ring
    one on the edge of what was tried.

    Colours compare the trials of one depth by rank, since losses of different depths are not what is asked here.
    """
    depths = sorted({row.depth for row in own})
    optimizers = list(dict.fromkeys(row.optimizer for row in own))
    height = AROUND + ROW * len(depths)
    note = "dot: chosen; ring: chosen on an edge; empty: diverged"
    figure, (board,) = boards([title], note, height)
    rates = {name: sorted({row.lr for row in own if row.optimizer == name}) for name in optimizers}
    each, left = WIDTH / sum(map(len, rates.values())), 0.45
    for rank, name in enumerate(optimizers):
        width = each * len(rates[name])
        axis = board.axes(left, 0.62, width - 0.1, ROW * len(depths))
        _map(axis, judged(own), name, depths, rates[name])
        if rank:
            axis.yaxis.set_visible(False)
        else:
            axis.set_ylabel("depth")
        left += width
    across, up = figure.get_size_inches()
    figure.text((0.45 + WIDTH / 2) / across, (board.bottom + 0.02) / up, "learning rate", ha="center")
    return svg(figure, _told(title, own))


def _map(
    axis: Axes, found: Sequence[Tried], optimizer: str, depths: Sequence[int], rates: Sequence[float]
) -> None:
    losses = np.ma.masked_all((len(depths), len(rates)))
    for row, won, edge in found:
        if row.optimizer == optimizer and row.val_loss is not None:
            losses[depths.index(row.depth), rates.index(row.lr)] = _rank(
                row, [other.trial for other in found]
            )
        if won and row.optimizer == optimizer:
            at = rates.index(row.lr) + 0.5, depths.index(row.depth) + 0.5
            axis.plot(*at, "o", color=PAPER["light"], markersize=9)
            axis.plot(*at, "o", color=INK, markerfacecolor=PAPER["light"] if edge else INK, markersize=6)
    axis.pcolormesh(
        np.arange(len(rates) + 1), np.arange(len(depths) + 1), losses, cmap=COLOURS, vmin=0, vmax=1, zorder=0
    )
    axis.set_title(optimizer, fontsize=8.5)
    named = list(enumerate(rates))[:: math.ceil(len(rates) / NAMED)]
    axis.set_xticks(
        [at + 0.5 for at, _ in named], [f"{rate:.2g}" for _, rate in named], rotation=60, fontsize=7
    )
    axis.set_yticks(np.arange(len(depths)) + 0.5, [str(depth) for depth in depths])
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)


def _rank(row: TrialRow, others: Sequence[TrialRow]) -> float | None:
    """The share of the finished trials of its cell that a trial beats, 1 for the best; None of one that diverged."""
    if row.val_loss is None:
        return None
    finished = [o.val_loss for o in others if o.cell == row.cell and o.val_loss is not None]
    worse = sum(loss > row.val_loss for loss in finished)
    return worse / max(1, len(finished) - 1)


def _told(title: str, own: Sequence[TrialRow]) -> str:
    chosen = [f"depth {row.depth} {row.optimizer} {row.lr:g}" for row, won, _ in judged(own) if won]
    return f"{title}: validation loss of {len(own)} trials by learning rate and depth. Chosen: {listing(chosen)}."
