"""What was done, told from the data cards and the composed configs."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from howdeep.report.analysis import Analysis
from howdeep.report.tuning import on_edges, saturated
from howdeep.results.ranks import least_wilcoxon
from howdeep.results.scores import SERIES, held, judged, rows_of
from howdeep.results.sentences import seed_counts
from howdeep.results.wording import listing, spoken

# Of no interest where settings are compared: what varies by design, and what the data cards tell.
_LEFT_OUT = (
    *("seed", "model.depth", "model.in_shape", "model.out_features"),
    *("data.name", "data.sources", "data.mirror", "data.licence", "data.homepage"),
    *("data.out_features", "data.examples.in_shape", "data.vocabulary", "data.every_step"),
    *("model.vocabulary", "model.every_step"),
)
MANY = 8  # values of a setting, beyond which their range is told
FEW = 10  # seeds, below which the report warns


def card_facts(name: str, card: Mapping[str, Any] | None, *, drawn: bool = False) -> dict[str, Any]:
    """The rows that the report shows of a data card; without a card, that there is none.

    Args:
        drawn: whether each seed of the study drew test examples of its own: the card is that of one split.
    """
    if card is None:
        return {"name": name, "facts": [("data card", f"none: make it with `howdeep prepare data={name}`")]}
    own = ", of the data's own split" if drawn else ""
    facts = [
        ("training and validation", f"{card['examples']['train']:,}"),
        ("test", f"{card['examples']['test']:,}{', drawn anew for each seed' if drawn else ''}"),
        ("shape of an example", " x ".join(str(size) for size in card["shape"])),
        *([("classes", str(len(card["classes"])))] if "classes" in card else []),
        *([("different symbols", _symbols(card))] if "unknown_in_test" in card else []),
        ("licence", card["licence"]),
        ("homepage", card["homepage"]),
        *((f"SHA-256 of {part}{own}", checksum) for part, checksum in card["checksums"].items()),
    ]
    return {"name": name, "facts": facts}


def _symbols(card: Mapping[str, Any]) -> str:
    """How many different symbols of texts have a number of their own, and how many of the test's have none."""
    known = card["alphabet"] if "alphabet" in card else card["symbols"]
    return f"{len(known)}, and one for all others, which {card['unknown_in_test']:.2%} of the test are"


def settings(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The settings of each entry; one that differs between its runs shows all its values, or the range of many."""
    entries: dict[str, dict[str, list[str]]] = {}
    told: dict[str, dict[str, Any]] = {}
    for record in sorted(records, key=lambda record: (record["entry"], record["depth"], record["seed"])):
        seen, config = entries.setdefault(record["entry"], {}), {**record["config"], "seed": None}
        if config == told.get(record["entry"]):
            continue  # a run beside one that differs from it in its seed alone
        told[record["entry"]] = config
        for name, value in flat(config):
            if not name.startswith(_LEFT_OUT) and not name.endswith("._partial_"):
                values = seen.setdefault(name, [])
                if value not in values:
                    values.append(value)
    return [
        {"entry": entry, "settings": [(name, _listed(values)) for name, values in seen.items()]}
        for entry, seen in entries.items()
    ]


def _listed(values: Sequence[str]) -> str:
    if len(values) <= MANY:
        return ", ".join(values)
    try:
        numbers = sorted(values, key=float)
    except ValueError:
        return ", ".join(values)
    return f"{numbers[0]} to {numbers[-1]}, {len(values)} values"


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """('optimizer.lr', '0.003') and so on, `_target_` as the name of its group: ('optimizer', 'torch.optim.Adam')."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield (
                (prefix[:-1] if name == "_target_" else f"{prefix}{name}"),
                "none" if value is None else str(value),
            )


def _size(runs: pd.DataFrame) -> str:
    """Where a deeper network is also a larger one; nothing where size is held equal throughout."""
    matchings, lines = set(runs["matching"]), runs.groupby("entry")["matching"].agg(set)
    if "width" not in matchings:
        return ""
    larger = "a deeper network has more parameters and costs more to train. Whether depth or size made the difference"
    if matchings == {"width"}:
        return f"All comparisons are at equal width: {larger} is not separated."
    both = sorted(str(entry) for entry, of in lines.items() if len(of) > 1)
    others = listing([held(matching) for matching in sorted(matchings - {"width"})])
    if not both:
        return f"At equal width {larger} is not separated there."
    return (
        f"At equal width {larger} is separated only for {listing(both)}, compared at equal {others} as well."
    )


def _splits_vary(records: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the seeds of a data set drew several validation sets."""
    drawn = {
        (record["data"], record["config"].get("data", {}).get("examples", {}).get("seed"))
        for record in records
    }
    return len(drawn) > len({data for data, _ in drawn})


def margins(verdicts: pd.DataFrame, reasons: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """('accuracy', '0.01', its reason, or nothing) for each score of the study."""
    pairs = verdicts[["score", "margin"]].drop_duplicates().itertuples(index=False, name=None)
    return sorted((spoken(score), f"{margin:g}", reasons.get(score, "")) for score, margin in pairs)


def limits(analysis: Analysis) -> list[str]:
    """What a sceptical reader should hold against the verdicts, as far as the results themselves tell."""
    verdicts, runs = analysis.verdicts, analysis.runs
    said = [*_few(seed_counts(runs))]
    said.append(
        "Each run got the optimizer and learning rate that did best on its validation examples, in as many trials for "
        "every depth: the spread of the runs, and with it each interval, holds the luck of their tunings. Width and "
        f"batch size were not tuned.{_edges(analysis)}{_saturated(analysis)}"
        if analysis.tuned
        else "Learning rate and optimizer were not tuned for each depth: a depth that lost may have lost to its "
        "settings."
    )
    if said_of_margin := _fine_margins(verdicts, analysis.examples):
        said.append(said_of_margin)
    if said_of_ends := _not_converged(analysis.cells):
        said.append(said_of_ends)
    if said_of_size := _size(runs):
        said.append(said_of_size)
    points = analysis.learning.verdicts.reindex(columns=SERIES).dropna()
    families = len(pd.concat([verdicts[SERIES], points]).drop_duplicates())
    families += len(analysis.recipes.verdicts[SERIES].drop_duplicates())
    if families > 1:
        said.append(
            "The error rate of 5 % holds for one family: the depths of one entry (an architecture with its settings on "
            f"one data set) under one matching. There are {families} families: if depth made no difference anywhere, "
            f"up to {math.ceil(0.5 * families) / 10:g} of them on average would show one by chance."
        )
    if said_of_repeats := _repeats(verdicts):
        said.append(said_of_repeats)
    said.append(_what_seeds_vary(analysis))
    if judged(runs) == "test_score":
        where = " elsewhere" if analysis.resampled else ""
        more = f" Other training examples would add an error that nothing here knows{where}."
        everywhere = set(runs["entry"]) <= set(analysis.resampled)
        said.append(f"{_test_sample(verdicts)}{'' if everywhere else more}")
    said.append(
        "Student's intervals take the differences over seeds for normal, which a handful cannot show."
    )
    return said


def _repeats(verdicts: pd.DataFrame) -> str:
    """How many verdicts a second study would probably give again; nothing where there are none."""
    chances = verdicts["chance_to_repeat"].dropna()
    if chances.empty:
        return ""
    return (
        f"If the whole study were run again with new seeds, about {chances.sum():.0f} of the {len(chances)} verdicts "
        "of better or worse would be given again, by their p alone (Goodman, 1992); others would be in the same "
        "direction but undecided. The table of verdicts gives each its chance, an upper guess, since what was found "
        "is likely to be smaller than it looks. howdeep compare --replicate runs that second study."
    )


def _what_seeds_vary(analysis: Analysis) -> str:
    """What other seeds would have changed, and so what intervals over seeds tell of."""
    if analysis.resampled:
        kept = sorted(set(analysis.runs["data"]) - drawn_data(analysis))
        but = f" The test examples of {listing(kept)} stay, official or the last in time." if kept else ""
        return (
            "Seeds vary the initial weights, the order of the examples, and which of them train, validate and test."
            f"{but}"
        )
    if _splits_vary(analysis.records):
        return (
            "Seeds vary the initial weights, the order of the examples and which of them validate; the test examples "
            "are the same for all runs, and what is split in time has one split."
        )
    return (
        "Seeds vary the initial weights and the order of the examples. The split is the same for all runs, so "
        "that intervals over seeds tell nothing of other data."
    )


def drawn_data(analysis: Analysis) -> set[str]:
    """The data sets of which each seed drew test examples of its own."""
    return {record["data"] for record in analysis.records if record["entry"] in analysis.resampled}


def _edges(analysis: Analysis) -> str:
    """How many chosen settings may not be the best, since nothing was tried beyond them."""
    edges, cells = on_edges(analysis.trials)
    if not edges:
        return ""
    return (
        f" In {edges} of {cells} cells at least half of the chosen learning rates lie on the edge of what was tried: a "
        "better may lie beyond."
    )


def _saturated(analysis: Analysis) -> str:
    """Where validation is too easy to choose settings by."""
    found = saturated(analysis.trials)
    if not found:
        return ""
    return f" In {listing(found)} the best settings often have the same validation loss: the first of them was taken."


def _fine_margins(verdicts: pd.DataFrame, examples: Mapping[str, int]) -> str:
    """Where the margin of an accuracy is less than two test examples; nothing where it is nowhere."""
    fine = {
        f"{row['entry']} ({examples[row['entry']]})"
        for row in rows_of(verdicts)
        if row["score"] == "accuracy" and 0 < row["margin"] * examples.get(row["entry"], 0) < 2
    }
    if not fine:
        return ""
    return (
        f"The margin of accuracy is less than two test examples of {listing(sorted(fine))}: no difference within it "
        "can be told from that of one example."
    )


def _not_converged(cells: pd.DataFrame) -> str:
    """Where training ended too early to tell how good a depth becomes; nothing where it did nowhere."""
    early = cells[2 * cells["not_converged"] >= (cells["runs"] - cells["diverged"]).clip(lower=1)]
    if early.empty:
        return ""
    where = listing(sorted(set(early["entry"])))
    return (
        f"In {len(early)} of {len(cells)} cells at least half of the runs had not converged when their epochs were "
        f"over ({where}): they compare how fast depths learn as much as how well."
    )


def _few(counts: Sequence[int]) -> list[str]:
    """What to hold against fewer than ten seeds, given how many each entry has."""
    few = [count for count in counts if count < FEW]
    if not few:
        return []
    least = least_wilcoxon(min(few))
    whose = "" if len(few) == len(counts) else f" of {len(few)} of {len(counts)} entries"
    pairs = listing(sorted(set(few)))
    return [
        f"{pairs} seeds{whose} are few, fewer than ten: intervals are wide, and many comparisons stay open. "
        f"The signed-rank test, a check of the t-tests, cannot go below p = {least:.3g} "
        f"with {min(few)} pairs{', and so never below .05' if least > 0.05 else ''}."
    ]


def _test_sample(verdicts: pd.DataFrame) -> str:
    """How far other test examples are accounted for."""
    origins = set(verdicts["sample_from"])
    said = []
    if "answers" in origins:
        said.append(
            "Verdicts hold the error of the test sample, estimated from the scores of single examples; where a handful "
            "of examples makes a difference, it is a rough guess."
        )
    if "bound" in origins:
        said.append(
            "Where answers to single examples were not kept, it is the largest error that two accuracies allow: the "
            "true one is smaller where networks err on the same examples."
        )
    if "splits" in origins:
        said.append(
            "Where each seed drew test examples of its own, splits of the same data overlap: by how much their spread "
            "falls short is estimated by a rule of thumb (Nadeau and Bengio, 2003), and where a run failed not at all."
        )
    unknown = sorted({spoken(of) for of in verdicts["score"]} - _known_scores(verdicts))
    if unknown:
        said.append(f"Verdicts on {listing(unknown)} hold for these test examples: that error is not known.")
    return " ".join(said)


def _known_scores(verdicts: pd.DataFrame) -> set[str]:
    known = verdicts["sample_from"] != ""
    return {spoken(score) for score in verdicts.loc[known, "score"]}
