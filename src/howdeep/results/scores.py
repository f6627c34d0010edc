"""The tables of a study: a row a run, a row a cell. Pure functions of records."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from howdeep.errors import UserError
from howdeep.results import gaps
from howdeep.results.answers import NO_ANSWERS, Answers, single_scores
from howdeep.results.measures import possible
from howdeep.results.sample_error import NO_OVERLAP, accuracy_error, added_by_splits, crossed
from howdeep.results.skill import collapsed
from howdeep.results.statistics import geometric_mean, mean_interval

# The entry belongs to a cell's name: a study may hold an mlp on digits twice, with different overrides. It comes
# after the architecture, so that the two stand side by side, `digits-mlp` before `digits-mlp-plain`.
SERIES = ["task", "data", "model", "entry", "matching"]
CELL = [*SERIES, "depth"]

GAPS = [
    *("gap_loss", "gap_score", "gap_loss_last", "gap_score_last"),
    *("gap_loss_normalised", "gap_score_normalised", "gap_loss_equal", "equal_train_loss"),
]
_MEASURED = ["train_loss", "val_loss", "val_score", "test_loss", "test_score", *GAPS]
RATIO = "gradient_ratio"  # of a part of the network: gradient_ratio_generator


def scores(records: Sequence[Mapping[str, Any]], test: Mapping[str, Any]) -> pd.DataFrame:
    """A row a run, sorted by cell and seed. A diverged run keeps its row, its scores are missing values.

    `val_*` are those of the best epoch. `train_loss`, `gap_loss` and `gap_score` were measured in evaluation mode
    with the weights of that epoch, `*_last` with those of the last one. `gap_*_normalised` is the gap at the best epoch
    over (chance - training), `gap_loss_equal` the gap in loss at `equal_train_loss`, the lowest training loss that all
    runs of the line reached; see `gaps`. `collapsed` says whether the run ended nearer to chance than to the best run
    of its line; see `skill`. `gradient_ratio` is the last measured:
    the loss gradient's norm at the first hidden layer over that at the last hidden layer. Networks that are trained
    against each other have one each, in columns such as `gradient_ratio_generator`.

    Args:
        records: the content of each record.json.
        test: the content of results/test.json; with no runs in it, the test scores are missing values.

    Raises:
        UserError: there is no record, or the test scores lack a finished run.
    """
    if not records:
        raise UserError(
            "expected the record of at least one run in runs/, found none: train with `dvc repro`"
        )
    measured = [{name for name in set().union(*record["epochs"]) if _is_ratio(name)} for record in records]
    parts = ["gradient/ratio", *sorted(set().union(*measured) - {"gradient/ratio"})]
    baselines, equal = test.get("baselines", {}), _at_equal_loss(records)
    frame = pd.DataFrame(
        [
            _row(record, _tested(record, test["runs"]), parts, own)
            | _normalised(record, baselines.get(record["data"], {}))
            | {"gap_loss_equal": gap, "equal_train_loss": level}
            for record, own, (level, gap) in zip(records, measured, equal, strict=True)
        ]
    )
    types = {name: float for name in (*_MEASURED, *ratios(frame))} | {"best_epoch": "Int64"}
    frame = plain(frame.astype(types)).sort_values([*CELL, "seed"], ignore_index=True)
    return frame.assign(collapsed=_collapsed(frame, baselines))


def _collapsed(frame: pd.DataFrame, baselines: Mapping[str, Any]) -> np.ndarray:
    """Which runs collapsed, by the score that depths are judged by."""
    column, found = judged(frame), np.zeros(len(frame), dtype=bool)
    for places in frame.groupby(SERIES).indices.values():
        data = frame["data"].iloc[places[0]]
        score, higher = frame["score"].iloc[places[0]], bool(frame["higher_is_better"].iloc[places[0]])
        chance = gaps.chance_score(score, baselines.get(data, {}), column.removesuffix("_score"))
        found[places] = collapsed(frame[column].to_numpy()[places], chance, higher_is_better=higher)
    return found


def _tested(record: Mapping[str, Any], runs: Mapping[str, Any]) -> Mapping[str, float]:
    if record["state"] == "finished" and runs:
        if record["key"] not in runs:
            raise UserError(
                f"results/test.json lacks the run {record['entry']}, depth {record['depth']}, seed {record['seed']} "
                f"({record['key']}): score it with `howdeep evaluate`"
            )
        return runs[record["key"]]
    return {}


def _converged(record: Mapping[str, Any]) -> bool:
    """Whether a run was past its best: its patience was out, or, without any, its last epoch was not its best."""
    past = len(record["epochs"]) - 1 - record["best_epoch"]
    return past >= (record["config"].get("patience") or 1)


def _is_ratio(name: str) -> bool:
    return name.startswith("gradient/") and name.endswith("ratio")


def _ratio_column(name: str) -> str:
    """'gradient_ratio_generator' of 'gradient/generator_ratio'."""
    part = name.removeprefix("gradient/").removesuffix("ratio").removesuffix("_")
    return f"{RATIO}_{part}" if part else RATIO


def ratios(frame: pd.DataFrame) -> list[str]:
    """The columns of gradient ratios: one, and one more for each part that trains with a loss of its own."""
    return [name for name in frame.columns if name.startswith(RATIO)]


def _row(
    record: Mapping[str, Any], tested: Mapping[str, float], parts: Sequence[str], own: Collection[str]
) -> dict[str, Any]:
    """A row of `scores`, given all ratios of gradients that the study knows, and those that this run does."""
    score, finished = record["score"]["name"], record["state"] == "finished"
    # A run that diverged may have had good epochs, but no score of it may enter a mean.
    best = _best(record) if finished else {}
    gaps = record["gap"] if finished else {"best": {}, "last": {}}
    return {
        **{
            name: record[name]
            for name in ("key", "entry", "data", "model", "task", "depth", "matching", "seed")
        },
        "state": record["state"],
        "epochs": len(record["epochs"]),
        "best_epoch": record["best_epoch"],
        "converged": finished and _converged(record),
        "train_loss": gaps["best"].get("train_loss"),
        "val_loss": best.get("val/loss"),
        "score": score,
        "higher_is_better": record["score"]["higher_is_better"],
        "val_score": best.get(f"val/{score}"),
        "test_loss": tested.get("loss"),
        "test_score": tested.get(score),
        "gap_loss": gaps["best"].get("loss"),
        "gap_score": gaps["best"].get(score),
        "gap_loss_last": gaps["last"].get("loss"),
        "gap_score_last": gaps["last"].get(score),
        **{_ratio_column(name): _last(record, name) if name in own else None for name in parts},
        **{name: record["cost"][name] for name in ("parameters", "training_flops")},
    }


def _normalised(record: Mapping[str, Any], methods: Mapping[str, Any]) -> dict[str, float]:
    """Both gaps of the best epoch over what was learned beyond chance."""
    if record["state"] != "finished":
        return dict.fromkeys(("gap_loss_normalised", "gap_score_normalised"), np.nan)
    score = record["score"]["name"]  # a record has null for what is no finite number
    gap = {name: np.nan if value is None else value for name, value in record["gap"]["best"].items()}
    train_loss, train_score = gap["train_loss"], gap.get(f"train_{score}", np.nan)
    loss = gaps.chance_loss(score, methods, train_loss, train_score)
    chance, higher = gaps.chance_score(score, methods, "val"), record["score"]["higher_is_better"]
    return {
        "gap_loss_normalised": gaps.normalised(gap["loss"], train_loss, loss),
        "gap_score_normalised": gaps.normalised(
            gap.get(score, np.nan), train_score, chance, higher_is_better=higher
        ),
    }


def _at_equal_loss(records: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """For each run the training loss that all runs of its line reached, and its gap in loss there."""
    lines: dict[tuple, list[int]] = {}
    for place, record in enumerate(records):
        lines.setdefault(tuple(record[name] for name in SERIES), []).append(place)
    found = [(np.nan, np.nan)] * len(records)
    for places in lines.values():
        level, values = gaps.at_equal_loss([gaps.trajectory(records[place]) for place in places])
        for place, gap in zip(places, values, strict=True):
            found[place] = level, gap
    return found


def _best(record: Mapping[str, Any]) -> Mapping[str, float]:
    return next(row for row in record["epochs"] if row["epoch"] == record["best_epoch"])


def _last(record: Mapping[str, Any], name: str) -> float | None:
    newest_first = (row.get(name) for row in reversed(record["epochs"]))
    return next((value for value in newest_first if value is not None), None)


def judged(table: pd.DataFrame) -> str:
    """The score that depths are judged by: the test score, or, before anything was tested, the validation score."""
    return "test_score" if known(table, "test_score").size else "val_score"


def summary(
    scores: pd.DataFrame,
    examples: Mapping[str, int] | None = None,
    answers: Answers = NO_ANSWERS,
    in_time: Collection[str] = (),
    overlap: Mapping[str, float] = NO_OVERLAP,
) -> pd.DataFrame:
    """A row a cell: how many runs, how many diverged or collapsed, and the estimates from those that finished.

    `not_converged` counts the runs that ended before their patience was out, or without any in their best epoch. Scores
    come as mean, `_low` and `_high` (95 % interval over seeds, cut to the values that the score can have), gaps as
    mean, the gradient ratio as geometric mean. `test_sample` is half a 95 % interval of the test score through the
    choice of the test examples alone, known of scores that single examples have. `name` is what to call the cell's
    line within its data set.

    Args:
        scores: a row a run.
        examples: the number of test examples of each entry.
        answers: what `evaluate` kept of each example; without it `test_sample` of accuracies is the binomial's.
        in_time: the entries whose test examples follow one another.
        overlap: of the entries whose seeds drew test examples of their own, see `sample_error.resampled`.
    """
    rows = [
        _cell(runs, (examples or {}).get(runs["entry"].iloc[0]), answers, in_time, overlap)
        for _, runs in scores.groupby(CELL)
    ]
    return plain(pd.DataFrame(rows).assign(name=_names))


def _cell(
    runs: pd.DataFrame,
    examples: int | None,
    answers: Answers,
    in_time: Collection[str],
    overlap: Mapping[str, float],
) -> dict[str, Any]:
    finished = select(runs, state="finished")
    row: dict[str, Any] = {name: runs[name].iloc[0] for name in (*CELL, "score", "higher_is_better")}
    row |= {"runs": len(runs), "diverged": len(runs) - len(finished)}
    row |= {"collapsed": np.count_nonzero(runs["collapsed"])}
    row |= {"not_converged": np.count_nonzero(~finished["converged"].astype(bool))}
    for name in ("val_score", "test_score"):
        estimate = possible(mean_interval(known(finished, name)), row["score"])
        row |= {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    share = overlap.get(row["entry"], 0.0)
    error = (
        added_by_splits(float(finished["test_score"].std()), share)  # type: ignore[arg-type]
        if share
        else _sample_error(finished, row["test_score"], examples, answers, in_time)
    )
    row |= {"test_sample": 1.96 * error}
    row |= {name: finished[name].mean() for name in GAPS}
    row |= {name: geometric_mean(known(finished, name)) for name in ratios(runs)}
    return row | {name: runs[name].iloc[0] for name in ("parameters", "training_flops")}


def _sample_error(
    finished: pd.DataFrame, mean: float, examples: int | None, answers: Answers, in_time: Collection[str]
) -> float:
    """Standard error of a cell's mean test score through the choice of the test examples; NaN if it is not known."""
    if finished.empty:
        return np.nan
    entry = finished["entry"].iloc[0]
    single = single_scores(answers, entry, finished["key"].tolist())
    if single is not None:
        return crossed(single, in_time=entry in in_time).examples
    is_accuracy = finished["score"].iloc[0] == "accuracy"
    return accuracy_error(mean, examples) if examples and is_accuracy else np.nan


def _names(cells: pd.DataFrame) -> list[str]:
    """What to call a line: its architecture, or its entry where the data set has several of that architecture.

    `digits-cnn-plain` is called `cnn-plain`: the data set is told beside it. An entry with several matchings has a line
    for each, as in `cnn-plain, equal parameters`; another tells its matching only if that is not the width.
    """
    entries: dict[tuple[str, str], set[str]] = {}
    matchings: dict[str, set[str]] = {}
    for cell in rows_of(cells):
        entries.setdefault((cell["data"], cell["model"]), set()).add(cell["entry"])
        matchings.setdefault(cell["entry"], set()).add(cell["matching"])
    return [
        _name(
            cell,
            several=len(entries[cell["data"], cell["model"]]) > 1,
            told=matchings[cell["entry"]] != {"width"},
        )
        for cell in rows_of(cells)
    ]


def _name(cell: Mapping[str, Any], *, several: bool, told: bool) -> str:
    name: str = cell["entry"].removeprefix(f"{cell['data']}-") if several else cell["model"]
    return f"{name}, equal {held(cell['matching'])}" if told else name


def held(matching: str) -> str:
    """What is held equal across depths, as words: 'width', 'parameters', 'training FLOPs'."""
    return "training FLOPs" if matching == "flops" else matching


def judge(summary: pd.DataFrame, verdicts: pd.DataFrame) -> pd.DataFrame:
    """The same with what `verdicts` says of the deeper cells: difference, interval, p, verdict, seeds alone."""
    kept = verdicts[[*CELL, "difference", "p_holm", "verdict", "verdict_seeds", "sample_from"]]
    kept = kept.assign(difference_low=verdicts["low"], difference_high=verdicts["high"])
    return summary.merge(kept, how="left", on=CELL)


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """The same with texts as Python's own: a report selects some thousand times from small tables of few texts.

    Pandas keeps texts as Arrow does, which is made for columns of millions: each look at one takes many times as long.
    """
    texts = [name for name in frame.columns if isinstance(frame[name].dtype, pd.StringDtype)]
    return frame.astype(dict.fromkeys(texts, object))


def select(frame: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """The rows in which each named column has the given value."""
    # Compared as arrays: comparing columns takes twice as long, and a report selects some thousand times.
    chosen = np.logical_and.reduce([frame[name].array == value for name, value in values.items()])
    return frame.loc[chosen]


def baselines_of(baselines: Mapping[str, Any], data: str, score: str) -> dict[str, tuple[float, float]]:
    """Validation and test score of each method that was tried on a data set and knows this score."""
    methods = baselines.get(data, {})
    return {m: (of["val"][score], of["test"][score]) for m, of in methods.items() if score in of["val"]}


def known(frame: pd.DataFrame, name: str) -> np.ndarray:
    """The values of a column that are not missing."""
    values = np.asarray(frame[name], dtype=np.float64)
    return values[~np.isnan(values)]


def cells_of(frame: pd.DataFrame, line: pd.DataFrame) -> pd.DataFrame:
    """The rows of another table that belong to the line (architecture on a data set) of `line`."""
    return select(frame, **{name: line[name].iloc[0] for name in SERIES})


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Each row as a plain dict, in order."""
    names = [str(name) for name in frame.columns]
    columns = [
        frame[name].tolist() for name in frame.columns
    ]  # to_dict("records") takes several times as long
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def csv(frame: pd.DataFrame) -> str:
    """The table with six significant digits: more would be noise, and differ between processors."""
    return frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
