"""What tuning tried: learning rates with every optimizer, for each run of every depth, and which of them won."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
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
from howdeep.study.tuning import by_cell, by_run, on_edge, ranked, tied

if TYPE_CHECKING:
    from optuna.distributions import FloatDistribution

WIDTH = 3.0  # inches: of all maps of a board together
NAMED = 8  # learning rates below a map
FEWEST = 20  # trials from which importances are told
ROW, AROUND = 0.34, 1.2  # inches: of a depth, of title, axis and note
COLOURS = ListedColormap(list(DEPTH))
TRIED = ("matching", "depth", "seed", "optimizer", "lr", *SECOND, "val_loss", "epochs", "last_loss")
Trials = Mapping[str, Sequence[TrialRow]]  # by entry


class Tried(NamedTuple):
    """A trial, whether its run is trained with it, and how it fared.

    Args:
        won: whether it is the one.
        edge: whether it won, in an outer tenth of the learning rates that the runs of its cell tried.
        rank: 1 for the best trial of its run, 0 for the last that did not diverge, None of one that did.
    """

    trial: TrialRow
    won: bool
    edge: bool
    rank: float | None


def judged(own: Sequence[TrialRow]) -> list[Tried]:
    """The trials of one entry, run by run."""
    found = []
    for of_cell in by_cell(own).values():
        for of_run in by_run(of_cell).values():
            best = ranked(of_run)
            places = {id(row): 1 - place / max(1, len(best) - 1) for place, row in enumerate(best)}
            found += [
                Tried(
                    row, row is best[0], row is best[0] and on_edge(row, of_cell),
                    None if row.last_loss is None else places[id(row)],
                )
                for row in of_run
            ]  # fmt: skip
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
    """A row a trial: what was tried, its validation losses, missing where it diverged, and what became of it.

    `rank` is 1 for the best trial of a run and 0 for the last that did not diverge; `chosen` says yes of the one that
    the run is trained with, and edge where that lies in an outer tenth of the learning rates tried.
    """
    rows = [
        (entry, *(getattr(row, name) for name in TRIED), rank, won * ("edge" if edge else "yes"))
        for entry, own in trials.items()
        for row, won, edge, rank in judged(own)
    ]
    return pd.DataFrame(rows, columns=["entry", *TRIED, "rank", "chosen"])


def on_edges(trials: Trials) -> tuple[int, int]:
    """In how many cells half of the chosen learning rates lie in an outer tenth of those tried, and of how many."""
    cells = [_chosen(own) for of in trials.values() for own in by_cell(of).values()]
    cells = [found for found in cells if found]
    return sum(_often(one.edge for one in found) for found in cells), len(cells)


def saturated(trials: Trials) -> list[str]:
    """Entries in which the validation loss could not tell the best setting from the next, for half of a cell's runs."""
    return [
        entry
        for entry, own in trials.items()
        if any(_often(map(tied, by_run(of).values())) for of in by_cell(own).values())
    ]


def _chosen(own: Sequence[TrialRow]) -> list[Tried]:
    """What the runs of a cell are trained with, but for those of which all trials diverged."""
    return [one for one in judged(own) if one.won and one.trial.last_loss is not None]


def _often(flags: Iterable[bool]) -> bool:
    found = list(flags)
    return bool(found) and 2 * sum(found) >= len(found)


def table(trials: Trials) -> Table:
    """What the runs of each cell of each entry are trained with, a row a cell."""
    second = [name for name in SECOND if any(name in row.point for own in trials.values() for row in own)]
    headings = [
        *("entry", "held equal", "depth", "optimizer", "learning rate", *map(spoken, second)),
        *("validation loss", "trials of a run", "remark"),
    ]
    rows = []
    for entry, own in trials.items():
        for of_cell in by_cell(own).values():
            runs, found = by_run(of_cell), [one for one in judged(of_cell) if one.won]
            row, chosen = of_cell[0], [one.trial for one in found]
            counts = Counter(one.optimizer for one in chosen).most_common()
            most = [one for one in chosen if one.optimizer == counts[0][0]]
            losses = [one.last_loss for one in chosen if one.last_loss is not None]
            failed = len(runs) - len(losses)
            mean = sum(losses) / len(losses) if losses else math.inf
            remarks = [
                f"{failed} of {len(runs)} runs: all trials diverged" * bool(failed),
                "on the edge of what was tried" * _often(one.edge for one in found),
                "validation cannot tell settings apart" * _often(map(tied, runs.values())),
            ]
            named = counts[0][0] if len(counts) == 1 else ", ".join(f"{name} {n}" for name, n in counts)
            rows.append([
                Text(entry, entry), Text(held(row.matching), row.matching), Text(str(row.depth), row.depth),
                Text(named, named), _spread([one.lr for one in most]),
                *(_spread([one.point[name] for one in most if name in one.point]) for name in second),
                Text(number(mean) if losses else "all diverged", mean),
                Text(str(len(of_cell) // len(runs)), len(of_cell) // len(runs)),
                Text("; ".join(filter(None, remarks)), sum(map(bool, remarks))),
            ])  # fmt: skip
    return Table(headings, 2, rows)


def _spread(values: Sequence[float]) -> Text:
    """The median of a setting, and its range where it has one; nothing where the optimizer does not have it."""
    if not values:
        return Text("", -1)
    middle, low, high = float(np.median(values)), min(values), max(values)
    told = f"{middle:.3g}" if low == high else f"{middle:.2g} ({low:.2g} to {high:.2g})"
    return Text(told, middle)


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
    """How trials fared by learning rate and depth, a map an optimizer; a number says how many runs chose it.

    The rates of a column are those of the same part of the range, another one for each seed. Colours compare the trials
    of one run by rank, mean over runs, since losses of different depths are not what is asked here.
    """
    depths = sorted({row.depth for row in own})
    optimizers = list(dict.fromkeys(row.optimizer for row in own))
    height = AROUND + ROW * len(depths)
    note = "number: runs that chose it; empty: diverged"
    figure, (board,) = boards([title], note, height)
    parts = {name: _parts([row for row in own if row.optimizer == name]) for name in optimizers}
    rates = {
        name: _middles(parts[name], [row for row in own if row.optimizer == name]) for name in optimizers
    }
    each, left = WIDTH / sum(map(len, rates.values())), 0.45
    found = judged(own)
    for rank, name in enumerate(optimizers):
        width = each * len(rates[name])
        axis = board.axes(left, 0.62, width - 0.1, ROW * len(depths))
        _map(axis, [one for one in found if one.trial.optimizer == name], parts[name], depths, rates[name])
        axis.set_title(name, fontsize=8.5)
        if rank:
            axis.yaxis.set_visible(False)
        else:
            axis.set_ylabel("depth")
        left += width
    across, up = figure.get_size_inches()
    figure.text((0.45 + WIDTH / 2) / across, (board.bottom + 0.02) / up, "learning rate", ha="center")
    return svg(figure, _told(title, own))


def _parts(rows: Sequence[TrialRow]) -> dict[int, int]:
    """The part of the range that each trial of an optimizer lies in: the rank of its rate among those of its run."""
    return {
        id(row): part
        for of_run in by_run(rows).values()
        for part, row in enumerate(sorted(of_run, key=lambda row: row.lr))
    }


def _middles(parts: Mapping[int, int], rows: Sequence[TrialRow]) -> list[float]:
    """The geometric mean of the rates of each part."""
    logs: dict[int, list[float]] = {}
    for row in rows:
        logs.setdefault(parts[id(row)], []).append(math.log(row.lr))
    return [math.exp(sum(logs[part]) / len(logs[part])) for part in sorted(logs)]


def _map(
    axis: Axes,
    found: Sequence[Tried],
    parts: Mapping[int, int],
    depths: Sequence[int],
    rates: Sequence[float],
) -> None:
    ranks: dict[tuple[int, int], list[float]] = {}
    chosen: Counter[tuple[int, int]] = Counter()
    for row, won, _, rank in found:
        place = depths.index(row.depth), parts[id(row)]
        if rank is not None:
            ranks.setdefault(place, []).append(rank)
        chosen[place] += won
    losses = np.ma.masked_all((len(depths), len(rates)))
    for place, own in ranks.items():
        losses[place] = sum(own) / len(own)
    for (row, column), count in chosen.items():
        if count:
            axis.text(
                column + 0.5, row + 0.5, str(count), ha="center", va="center", fontsize=8.5, color=INK,
                bbox={"boxstyle": "circle,pad=0.15", "facecolor": PAPER["light"], "edgecolor": "none"},
            )  # fmt: skip
    axis.pcolormesh(
        np.arange(len(rates) + 1), np.arange(len(depths) + 1), losses, cmap=COLOURS, vmin=0, vmax=1, zorder=0
    )
    named = list(enumerate(rates))[:: math.ceil(len(rates) / NAMED)]
    axis.set_xticks(
        [at + 0.5 for at, _ in named], [f"{rate:.2g}" for _, rate in named], rotation=60, fontsize=7
    )
    axis.set_yticks(np.arange(len(depths)) + 0.5, [str(depth) for depth in depths])
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)


def _told(title: str, own: Sequence[TrialRow]) -> str:
    chosen = [
        f"depth {of_cell[0].depth} {', '.join(f'{name} {n}' for name, n in counts.most_common())}"
        for of_cell in by_cell(own).values()
        for counts in [Counter(one.trial.optimizer for one in judged(of_cell) if one.won)]
    ]
    return f"{title}: how {len(own)} trials fared by learning rate and depth. Runs that chose: {listing(chosen)}."
