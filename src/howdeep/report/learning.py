"""Learning curves: score and overfitting gap against the number of training examples, by depth.

Entries of params.yaml that differ in `train_examples` alone are points of one curve. They are tuned, trained, tested
and compared like any other, but are no pair of architecture and data of their own: the answers of the report count
the point with most examples alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd

from howdeep.figures.figure import FAINT, Axes, count_axis, depth_colours, legend, panels, styled, svg
from howdeep.figures.pictures import Drawing, one
from howdeep.results import sentences, wording
from howdeep.results.answers import NO_ANSWERS, Answers, single_scores
from howdeep.results.measures import measure
from howdeep.results.sample_error import NO_OVERLAP, crossed, resampled, with_sample_error
from howdeep.results.scores import CELL, held, judge, judged, known, rows_of, select, summary
from howdeep.results.statistics import LEVEL, against_shallow, mean_interval
from howdeep.results.tables import (
    ON_THESE,
    Table,
    Text,
    brackets_signed,
    is_sampled,
    on_these_examples,
    probability,
    told,
)
from howdeep.results.verdict import ends, score_by_depth, verdicts
from howdeep.results.wording import brackets, change, estimate, listing, number

# Of each curve the entry with most examples, which the rest of the report shows, then its other points.
Curves = Mapping[str, Sequence[str]]
NO_CURVES: Curves = {}
CURVE = ["data", "curve", "matching"]
GROWTH = (
    *(*CURVE, "depth", "against", "fewest", "most", "score"),
    *("pairs", "growth", "low", "high", "p_holm", "low_seeds", "high_seeds", "p_seeds"),
)


@dataclass
class Learning:
    """The learning curves of a study; all tables are empty where it has none.

    Args:
        runs: a row a run of every point, with the columns `curve`, the entry with most examples, and `train_examples`.
        cells: a row a depth of a point, sorted by curve, examples and depth, likewise; the verdict as in `judge`, the
            gap with its interval over seeds.
        verdicts: a row a comparison with the shallowest depth of the same point.
        growth: a row a deeper depth of a curve; see `growth`.
    """

    runs: pd.DataFrame
    cells: pd.DataFrame
    verdicts: pd.DataFrame
    growth: pd.DataFrame

    @cached_property
    def drawing(self) -> Drawing:
        return Drawing(
            [partial(one, "learning", draw, cells) for cells in self._curves() for draw in (score, gap)]
        )

    @property
    def pictures(self) -> list[str]:
        """Score and gap of each curve, an SVG text each."""
        return self.drawing.pictures.get("learning", [])

    @property
    def findings(self) -> list[str]:
        """What each curve shows, in two sentences."""
        return [
            finding(cells, _of_curve(self.verdicts, cells), _of_curve(self.growth, cells))
            for cells in self._curves()
        ]

    def _curves(self) -> list[pd.DataFrame]:
        return [cells for _, cells in self.cells.groupby(CURVE)]


def _of_curve(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    return select(table, **{name: cells[name].iloc[0] for name in CURVE})


def learning(
    runs: pd.DataFrame,
    curves: Curves,
    margins: Mapping[str, float],
    test: Mapping[str, Any],
    answers: Answers = NO_ANSWERS,
) -> Learning:
    """The tables of the learning curves.

    Args:
        runs: a row a run of the whole study, see `scores.scores`.
        curves: see `study.params.learning_curves`.
        margins: of each score, the smallest difference that matters.
        test: the content of results/test.json, with the number of training examples of each entry.
        answers: the content of results/answers.safetensors.
    """
    curve_of = {entry: name for name, points in curves.items() for entry in (name, *points)}
    sizes = test.get("train_examples", {})
    runs = _with_several_sizes(runs, curve_of, sizes)
    if runs.empty:
        return Learning(*(pd.DataFrame(columns=list(names)) for names in (CURVE, CURVE, CURVE, GROWTH)))
    examples, in_time, overlap = (test.get(name, {}) for name in ("examples", "in_time", "resampled"))
    compared = verdicts(runs, margins, examples, answers, in_time, overlap)
    cells = judge(summary(runs, examples, answers, in_time, overlap), compared)
    gaps = [_gap(select(runs, **{name: cell[name] for name in CELL})) for cell in rows_of(cells)]
    cells = cells.assign(gap_loss_low=[low for low, _ in gaps], gap_loss_high=[high for _, high in gaps])
    for table in (runs, cells, compared):
        table["curve"] = [curve_of[entry] for entry in table["entry"]]
        table["train_examples"] = [sizes[entry] for entry in table["entry"]]
    order = [*CURVE, "train_examples", "depth"]
    return Learning(
        runs.sort_values([*order, "seed"], ignore_index=True),
        cells.sort_values(order, ignore_index=True),
        compared.sort_values(order, ignore_index=True),
        growth(runs, answers, in_time, overlap),
    )


def _with_several_sizes(
    runs: pd.DataFrame, curve_of: Mapping[str, str], sizes: Mapping[str, int]
) -> pd.DataFrame:
    """The runs of curves: an entry may have a matching that none of its other points has."""
    found: dict[tuple[str, str], set[str]] = {}
    for run in rows_of(runs.drop_duplicates(["entry", "matching"])):
        if run["entry"] in curve_of and run["entry"] in sizes:
            found.setdefault((curve_of[run["entry"]], run["matching"]), set()).add(run["entry"])
    kept = {(entry, of[1]) for of, entries in found.items() if len(entries) > 1 for entry in entries}
    return runs.loc[[of in kept for of in zip(runs["entry"], runs["matching"], strict=True)]].copy()


def _gap(runs: pd.DataFrame) -> tuple[float, float]:
    interval = mean_interval(known(runs, "gap_loss"))
    return interval.low, interval.high


def growth(
    runs: pd.DataFrame,
    answers: Answers = NO_ANSWERS,
    in_time: Collection[str] = (),
    overlap: Mapping[str, float] = NO_OVERLAP,
) -> pd.DataFrame:
    """How much more depth gained with most examples than with fewest: a row a deeper depth of a curve.

    `growth` is (deep - shallow with most examples) - (deep - shallow with fewest), paired by seed, above 0 where more
    examples favoured the deeper network whichever direction of the score is good; `low` and `high` are the ends of its
    interval, simultaneous for the depths of the curve, and `p_holm` is Holm's p of the paired t-test. A depth of which
    any run failed, deep or shallow, has none of them: no difference would hold its worst outcome. They hold the test
    sample's own error, where answers tell it; `low_seeds`, `high_seeds` and `p_seeds` do not; see `verdict.verdicts`.

    Args:
        runs: of all points, with the columns `curve` and `train_examples`.
        answers: the content of results/answers.safetensors.
        in_time, overlap: see `verdict.verdicts`.
    """
    rows = [
        row for _, of_curve in runs.groupby(CURVE) for row in _growth(of_curve, answers, in_time, overlap)
    ]
    return pd.DataFrame(rows, columns=list(GROWTH))


def _growth(
    runs: pd.DataFrame, answers: Answers, in_time: Collection[str], overlap: Mapping[str, float]
) -> list[dict[str, object]]:
    column, sign = judged(runs), 1 if runs["higher_is_better"].iloc[0] else -1
    fewest, most = runs["train_examples"].min(), runs["train_examples"].max()
    ends_of_curve = [select(runs, train_examples=size) for size in (fewest, most)]
    few, many = (score_by_depth(of_size, column) for of_size in ends_of_curve)
    seeds = few.columns.intersection(many.columns)
    few, many = few[seeds], many[seeds]
    gains = [sign * (table.iloc[1:].to_numpy() - table.iloc[0].to_numpy()) for table in (few, many)]
    grown = gains[1] - gains[0]  # (depths, seeds)
    whole = ~np.isnan(grown).any(axis=1)
    pairs = against_shallow(np.zeros(grown.shape[1]), grown[whole]) if whole.any() else []
    if share := overlap.get(runs["entry"].iloc[0], 0.0) if column == "test_score" else 0.0:
        with_samples = resampled(pairs, share)
    else:
        depths = few.index[1:][whole].tolist()
        errors = _sample_errors(ends_of_curve, depths, seeds.tolist(), answers, in_time)
        with_samples = with_sample_error(pairs, errors)
    found = iter(zip(pairs, with_samples, strict=True))
    reach = 2 * measure(runs["score"].iloc[0]).reach  # of a difference of differences
    rows = []
    for depth, is_whole in zip(few.index[1:], whole, strict=True):
        row = {name: runs[name].iloc[0] for name in (*CURVE, "score")}
        row |= {"depth": depth, "against": few.index[0], "fewest": fewest, "most": most, "pairs": 0}
        row |= dict.fromkeys(
            ("growth", "low", "high", "p_holm", "low_seeds", "high_seeds", "p_seeds"), np.nan
        )
        if is_whole:
            pair, with_sample = next(found)
            row |= {"pairs": pair.pairs, "growth": pair.difference.mean, "p_holm": with_sample.adjusted}
            row["low"], row["high"] = ends(with_sample.difference, 1, reach)
            row["low_seeds"], row["high_seeds"] = ends(pair.difference, 1, reach)
            row["p_seeds"] = pair.adjusted
        rows.append(row)
    return rows


def _sample_errors(
    ends_of_curve: Sequence[pd.DataFrame],
    depths: Sequence[int],
    seeds: Sequence[int],
    answers: Answers,
    in_time: Collection[str],
) -> list[float]:
    """What the test examples add to the error of each depth's growth; NaN where nobody knows what was answered.

    Args:
        ends_of_curve: the runs with fewest and with most examples.
    """
    entries = [runs["entry"].iloc[0] for runs in ends_of_curve]
    keys = [score_by_depth(runs, "key")[seeds] for runs in ends_of_curve]

    def gain(depth: int, place: int) -> np.ndarray | None:
        deep, shallow = (
            single_scores(answers, entries[place], keys[place].loc[of].tolist())
            for of in (depth, keys[place].index[0])
        )
        return None if deep is None or shallow is None else deep - shallow

    def error(depth: int) -> float:
        few, many = gain(depth, 0), gain(depth, 1)
        if few is None or many is None:
            return np.nan
        return crossed(many - few, in_time=entries[0] in in_time).added

    return [error(depth) if seeds else np.nan for depth in depths]


def finding(cells: pd.DataFrame, compared: pd.DataFrame, grown: pd.DataFrame) -> str:
    """What depth gained at each size, and whether it gained more with more examples; no more than was tested."""
    title = ", ".join(_named(rows_of(cells)[0]))
    if compared.empty:
        return f"{title}: one depth only, nothing to compare."
    found = [
        f"with {size:,} examples {', '.join(sentences.outcomes(rows_of(of)))}"
        for size, of in compared.groupby("train_examples")
    ]
    on = {"val": "validation"}.get(compared["on"].iloc[0], "test")
    score = f"{on} {wording.spoken(compared['score'].iloc[0])}"
    against = compared["against"].iloc[0]
    return f"{title}: {_needs_more(rows_of(grown))} Size by size, {score} against depth {against}: {'; '.join(found)}."


def _needs_more(rows: Sequence[wording.Row]) -> str:
    """Whether deeper networks need more data, as far as the tests tell."""
    fewest, most = rows[0]["fewest"], rows[0]["most"]
    against = rows[0]["against"]
    span = f"with {most:,} examples instead of {fewest:,}"
    shown = [row for row in rows if row["p_holm"] <= 1 - LEVEL]
    if not shown:
        return f"no deeper network was shown to gain more or less than depth {against} {span}."
    parts = []
    for word, of in (
        ("more", [row for row in shown if row["growth"] > 0]),
        ("less", [row for row in shown if row["growth"] < 0]),
    ):
        gained = [f"depth {row['depth']} (by {_grown(row)})" for row in of]
        parts += [f"{listing(gained)} gained {word} than depth {against}"] if gained else []
    return f"{span} {', '.join(parts)}."


def _grown(row: wording.Row) -> str:
    return change({"difference": row["growth"], "low": row["low"], "high": row["high"]})


def _named(row: wording.Row) -> tuple[str, str]:
    """The data set and what to call the curve within it: ('digits', 'mlp')."""
    name = row["curve"].removeprefix(f"{row['data']}-")
    return row["data"], name if row["matching"] == "width" else f"{name}, equal {held(row['matching'])}"


@styled
def score(cells: pd.DataFrame) -> str:
    """Test score against training examples, a colour a depth: means with 95 % intervals over seeds."""
    column = judged(cells)
    part = "test" if column == "test_score" else "validation"
    direction = "higher" if cells["higher_is_better"].iloc[0] else "lower"
    label = f"{part} {wording.spoken(cells['score'].iloc[0])}"
    return _panel(cells, column, f"{label}\n({direction} is better)", f"Mean {label}")


@styled
def gap(cells: pd.DataFrame) -> str:
    """The overfitting gap in loss at the best epoch against training examples, likewise."""
    return _panel(cells, "gap_loss", "validation - training loss", "Mean overfitting gap in loss", zero=True)


def _panel(cells: pd.DataFrame, column: str, label: str, what: str, *, zero: bool = False) -> str:
    title = ", ".join(_named(rows_of(cells)[0]))
    figure, [axis] = panels([title], "mean with 95 % interval over seeds")
    if zero:
        axis.axhline(0, color=FAINT, linewidth=0.8)
    colours = depth_colours(sorted(set(cells["depth"].tolist())))
    for rank, (depth, colour) in enumerate(colours.items()):
        _line(axis, select(cells, depth=depth), column, colour, rank - (len(colours) - 1) / 2)
    count_axis(axis, sorted(set(cells["train_examples"].tolist())))
    axis.set_xlabel("training examples")
    axis.set_ylabel(label)
    legend(axis, columns=8)
    said = [
        f"{size:,} examples: "
        + "; ".join(
            f"depth {cell['depth']}: {number(cell[column])} {brackets(estimate(cell, column))}"
            for cell in rows_of(of)
        )
        for size, of in cells.groupby("train_examples")
    ]
    return svg(figure, f"{what} against training examples, {title}. {'. '.join(said)}.")


def _line(axis: Axes, rows: pd.DataFrame, column: str, colour: str, rank: float) -> None:
    depth = rows["depth"].iloc[0]
    x = rows["train_examples"] * 1.03**rank  # or the intervals would cover each other
    axis.vlines(x, rows[f"{column}_low"], rows[f"{column}_high"], color=colour)
    name = str(depth) if depth > 1 else f"depth {depth}"
    axis.plot(x, rows[column], "o-", color=colour, markersize=4.5, label=name)


def table(cells: pd.DataFrame) -> Table:
    """A row a depth of a point."""
    sampled = is_sampled(cells)
    headings = ["data", "architecture", "examples", "depth", "verdict", "difference"]
    headings += [
        *([ON_THESE] if sampled else []),
        "test score",
        "validation score",
        "overfitting gap",
        "runs",
    ]
    return Table(headings, 2, [_row(cell, sampled=sampled) for cell in rows_of(cells)])


def _row(cell: wording.Cell, *, sampled: bool) -> list[Text]:
    verdict, on_these = told(cell["verdict"]), on_these_examples(cell)
    ends_ = {name: cell[f"difference_{name}"] for name in ("low", "high")}
    finished = cell["runs"] - cell["diverged"]
    return [
        *(Text(name, name) for name in _named(cell)),
        Text(f"{cell['train_examples']:,}", cell["train_examples"]),
        Text(str(cell["depth"]), cell["depth"]),
        Text(verdict, verdict),
        Text(change({"difference": cell["difference"], **ends_}), cell["difference"]),
        *([Text(on_these, on_these)] if sampled else []),
        *(
            Text(f"{number(cell[column])} {brackets(estimate(cell, column))}".rstrip(), cell[column])
            for column in ("test_score", "val_score", "gap_loss")
        ),
        Text(str(finished) if finished == cell["runs"] else f"{finished} of {cell['runs']}", finished),
    ]


def growth_table(growth: pd.DataFrame) -> Table:
    """What each depth gained with more examples beyond what the shallowest did."""
    headings = [
        "data",
        "architecture",
        "depth",
        "from",
        "to",
        "growth of the difference",
        ON_THESE,
        "pairs",
        "p (Holm)",
    ]
    rows = [
        [
            *(Text(name, name) for name in _named(row)),
            Text(str(row["depth"]), row["depth"]),
            *(Text(f"{row[name]:,}", row[name]) for name in ("fewest", "most")),
            Text(_grown(row), row["growth"]),
            Text(brackets_signed(row["low_seeds"], row["high_seeds"]), row["low_seeds"]),
            Text(str(row["pairs"]), row["pairs"]),
            Text(probability(row["p_holm"]), row["p_holm"]),
        ]
        for row in rows_of(growth)
    ]
    return Table(headings, 2, rows)
