"""Do verdicts hold where the truth is known? python -m benchmarks.calibrate, or `make calibrate`

All families compare one network under several names (`calibration/namesake.py`): in the null families nothing else
differs, so that each verdict "better" or "worse" is false; in the families with a handicap the deeper network is blind
to some of its inputs, so that "worse" is right. Their studies are run by the commands that people type, tuned as
params.yaml of the checkout says, and once more with all seeds new by `howdeep compare --replicate`.

Stopped, it goes on with the same command: what is finished is kept.
"""

import argparse
import contextlib
import io
import itertools
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml
from scipy.stats import binomtest

import howdeep.nets
from benchmarks.measure import ROOT
from howdeep import cli
from howdeep.errors import UserError
from howdeep.files import reading
from howdeep.files.folders import file_aside
from howdeep.results.replication import DIRECTION, OPPOSITE, SAME, TURNED, repeats, told
from howdeep.results.scores import SERIES
from howdeep.stages.replicate import FOLDER, VERDICTS

OWN = Path(__file__).parent / "calibration"
MARK = "# Made by `make calibrate`: one network under several names.\n"
TASKS = {
    "digits": "classification",
    "breast_cancer": "classification",
    "sunspots": "forecasting",
    "elnino": "forecasting",
}
EXAMPLES, BATCHES, SEEN = (60, 120), (16, 32), (0.4, 0.7)
DEPTHS = {"two": [1, 2], "four": [1, 2, 4, 8]}  # families of one comparison, and of three


# --- the studies --------------------------------------------------------------------------------------------------


def families(kind: str, count: int, *, first_seed: int, seeds: int, epochs: int) -> dict[str, dict[str, Any]]:
    """Entries of params.yaml, small ones that differ in data, width, number of examples and batch size.

    No two have a seed in common: they are independent of one another. Their widths differ as well, since entries that
    differ in the number of examples alone would be points of one learning curve.

    Args:
        kind: "null", or "handicap", of which half see fewer inputs than the others.
        first_seed: of the first family.
        seeds: of each family.
    """
    data = itertools.cycle(TASKS)
    found = {}
    for number, (name, turn) in enumerate(zip(data, range(count), strict=False)):
        round_ = turn // len(TASKS)
        model = {"width": 8 + round_} | ({"seen": SEEN[round_ % 2]} if kind == "handicap" else {})
        start = first_seed + number * seeds
        found[f"{kind}-{number + 1:02}-{name}"] = {
            "data": name,
            "model": "namesake",
            "task": TASKS[name],
            "seeds": list(range(start, start + seeds)),
            "overrides": {
                "model": model,
                "train_examples": EXAMPLES[round_ % 2],
                "batch_size": BATCHES[round_ // 2 % 2],
                "trainer": {"max_epochs": epochs},
            },
        }
    return found


def studies(content: dict[str, Any], count: int, seeds: int, epochs: int) -> dict[str, dict[str, Any]]:
    """The content of the params.yaml of each study: this one's protocol, with entries and depths of its own.

    Args:
        content: of a params.yaml.
        count: of null families of two depths; there are half as many with a handicap, a third as many of four depths.
    """
    size: dict[str, Any] = {"seeds": seeds, "epochs": epochs}
    null = families("null", count, first_seed=0, **size)
    handicap = families("handicap", -(-count // 2), first_seed=count * seeds, **size)
    # Far from the seeds of the first study, and from those that its replication will have.
    four = families("null", -(-count // 3), first_seed=10_000, **size)
    entries = {"two": null | handicap, "four": four}
    shared = content | {"data": list(TASKS), "matching": ["width"]}
    return {
        name: shared | {"study": f"calibration-{name}", "depths": depths, "entries": entries[name]}
        for name, depths in DEPTHS.items()
    }


@contextlib.contextmanager
def nets_beside() -> Iterator[None]:
    """Within it the package `howdeep.nets` also holds the network of this folder; workers are forks, and inherit it."""
    howdeep.nets.__path__.append(str(OWN))
    try:
        yield
    finally:
        howdeep.nets.__path__.remove(str(OWN))


def prepare(folder: Path, content: dict[str, Any]) -> None:
    """A project with the checkout's conf/, the network of this folder, and a params.yaml of its own; nothing tracked.

    Raises:
        UserError: somebody's own files lie there.
    """
    params, conf = folder / "params.yaml", folder / "conf"
    if folder.exists() and not (params.is_file() and params.read_text().startswith(MARK)):
        raise UserError(
            f"expected a calibration in {folder}, or nothing, found what it did not make: move it away, then try again"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with file_aside(params) as aside:
        aside.write_text(MARK + yaml.safe_dump(content, sort_keys=False))
    shutil.rmtree(conf, ignore_errors=True)
    shutil.copytree(ROOT / "conf", conf)
    shutil.copy(OWN / "namesake.yaml", conf / "model")
    train = reading.yaml_of(conf / "train.yaml") | {"tracking": {"uri": None, "experiment": "calibration"}}
    (conf / "train.yaml").write_text(yaml.safe_dump(train, sort_keys=False))


def commands(content: dict[str, Any]) -> list[list[str]]:
    """What a person would type to run a study without DVC, and then to repeat it with new seeds."""
    stages = [[stage, name] for name in content["entries"] for stage in ("tune-entry", "train-entry")]
    return [["plan"], *stages, ["evaluate"], ["compare"], ["compare", "--replicate"]]


def run(folder: Path, content: dict[str, Any]) -> int:
    """Runs a study and its replication; returns the exit code of the command that failed or was stopped, or 0."""
    prepare(folder, content)
    with contextlib.chdir(folder), nets_beside():
        for command in commands(content):
            with contextlib.redirect_stdout(io.StringIO()):  # the table of what repeats is in the page
                code = cli.main(command)
            if code:
                return code
    return 0


# --- the counts ---------------------------------------------------------------------------------------------------


class Count(NamedTuple):
    """How many of how many."""

    found: int
    of: int

    def __str__(self) -> str:
        """With the share in percent and its exact interval: 2 of 104: 1.9 % [0.2, 6.8].

        Source: Clopper, Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial"
        (1934).
        """
        if not self.of:
            return "0 of 0"
        low, high = binomtest(self.found, self.of).proportion_ci(0.95, method="exact")
        return f"{self.found} of {self.of}: {100 * self.found / self.of:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def seeds_alone(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of `verdicts` with what the seeds alone say in place of the verdict and its interval."""
    own = {name: rows[f"{name}_seeds"] for name in ("verdict", "low", "high")}
    return rows.assign(**own)


def with_a_verdict(rows: pd.DataFrame) -> Count:
    """The families with a verdict "better" or "worse", of all."""
    return _any(rows["verdict"].isin(OPPOSITE), rows)


def without_zero(rows: pd.DataFrame) -> Count:
    """The families with an interval that leaves out zero, of those with an interval."""
    known = rows[rows["low"].notna()]
    return _any((known["low"] > 0) | (known["high"] < 0), known)


def _any(what: pd.Series, rows: pd.DataFrame) -> Count:
    """In how many families something holds of any comparison."""
    each = what.groupby([rows[name] for name in ("study", *SERIES)]).any()
    return Count(int(each.sum()), len(each))


def with_verdict(rows: pd.DataFrame, verdict: str) -> Count:
    """The comparisons with this verdict, of all."""
    return Count(int((rows["verdict"] == verdict).sum()), len(rows))


def repeated(found: pd.DataFrame, *outcomes: str) -> Count:
    """Of the verdicts "better" and "worse" of the first study, those with one of these outcomes in the second.

    Args:
        found: as `repeats` gives it.
    """
    decided = found[found["verdict"].isin(OPPOSITE)]
    return Count(int(decided["outcome"].isin(outcomes).sum()), len(decided))


def agreeing(found: pd.DataFrame) -> Count:
    """The comparisons whose two differences are as near as their intervals say, of those with two intervals.

    The half widths of two independent 95 % intervals add in squares to that of their difference, which holds its true
    value, zero, in 95 % of cases, or a little more often, as Student's t has more degrees of freedom then.

    Args:
        found: as `repeats` gives it, of families of one comparison.
    """
    half = np.hypot(found["high"] - found["low"], found["high_again"] - found["low_again"]) / 2
    apart = (found["difference"] - found["difference_again"]).abs()[half.notna()]
    return Count(int((apart <= half[half.notna()]).sum()), len(apart))


# --- the page -----------------------------------------------------------------------------------------------------


def verdicts_of(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of `verdicts` of both studies of a calibration, each with its `study`: the first, and the second."""
    first, again = (
        pd.concat(
            [pd.read_csv(folder / name / place / "results" / VERDICTS).assign(study=name) for name in DEPTHS]
        ).reset_index(drop=True)
        for place in ("", FOLDER)
    )
    return first, again


def _of(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    return rows[rows["entry"].str.startswith(f"{kind}-")]


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    rules = ["---"] * len(headings)
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in [headings, rules, *rows])


def null_rows(first: pd.DataFrame, again: pd.DataFrame) -> list[list[object]]:
    """The rows of the null families: what was counted, and the count with and without the test sample's error."""
    both = pd.concat([first, again.assign(study=again["study"] + "-again")], ignore_index=True)
    sides = [of(both) for of in (lambda rows: rows, seeds_alone)]
    parts = {
        name: [side[side["study"].str.startswith(name)] for side in sides] for name in ("two", "four", "")
    }
    words = {"two": "families of two depths", "four": "families of four depths", "": "all families"}
    questions = {
        "a verdict better or worse": with_a_verdict,
        "an interval without zero": without_zero,
    }
    found: list[list[object]] = [
        [f"{words[name]}: {what}", *(ask(side) for side in parts[name]), "at most 5 %"]
        for what, ask in questions.items()
        for name in parts
    ]
    pairs = [_repeats(of(first), of(again)) for of in (lambda rows: rows, seeds_alone)]
    return [
        *found,
        ["verdicts of the first study: the same in the second", *(repeated(p, SAME) for p in pairs), "none"],
    ]


def _repeats(first: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """As `repeats`, of several studies."""
    return pd.concat(
        [repeats(rows, again[again["study"] == study]) for study, rows in first.groupby("study", sort=False)]
    )


def handicap_rows(first: pd.DataFrame, again: pd.DataFrame) -> list[list[object]]:
    """The rows of the families with a handicap, as `null_rows`."""
    sides = [tuple(of(rows) for rows in (first, again)) for of in (lambda rows: rows, seeds_alone)]
    both, pairs = [pd.concat(side) for side in sides], [repeats(*side) for side in sides]
    return [
        ["comparisons: worse", *(with_verdict(rows, "worse") for rows in both), ""],
        ["comparisons: better", *(with_verdict(rows, "better") for rows in both), "none"],
        [
            "verdicts of the first study: the same direction in the second",
            *(repeated(found, SAME, DIRECTION) for found in pairs),
            "at least 95 %",
        ],
        ["- the same verdict", *(repeated(found, SAME) for found in pairs), "at least 80 %"],
        ["- the opposite verdict", *(repeated(found, TURNED) for found in pairs), "none"],
        ["comparisons: both studies agree within their intervals", *map(agreeing, pairs), "about 95 %"],
    ]


def page(first: pd.DataFrame, again: pd.DataFrame, *, seeds: int, epochs: int) -> str:
    """The page, as Markdown; the same verdicts give the same page.

    Args:
        first, again: as `verdicts_of` gives them.
        seeds, epochs: of each cell, of each run.
    """
    headings = ["what was counted", "seeds and test examples", "seeds alone", "aim"]
    null, handicap = ([_of(rows, kind) for rows in (first, again)] for kind in ("null", "handicap"))
    text = (OWN / "page.md").read_text()
    return text.format(
        seeds=seeds,
        epochs=epochs,
        null=table(headings, null_rows(*null)),
        handicap=table(headings, handicap_rows(*handicap)),
        comparisons=told(repeats(*handicap)),
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--families",
        type=int,
        default=40,
        help="null families of two depths (default: 40); half as many have a handicap, a third as many four depths",
    )
    parser.add_argument("--seeds", type=int, default=10, help="of each cell (default: 10)")
    parser.add_argument("--epochs", type=int, default=10, help="of each run (default: 10)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "scratch/calibration",
        help="where the studies go (default: scratch/calibration)",
    )
    parser.add_argument(
        "--page", type=Path, default=ROOT / "docs/calibration.md", help="(default: docs/calibration.md)"
    )
    options = parser.parse_args(argv)
    contents = studies(reading.yaml_of(ROOT / "params.yaml"), options.families, options.seeds, options.epochs)
    try:
        for name, content in contents.items():
            if code := run(options.folder / name, content):
                return code
    except UserError as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 1
    text = page(*verdicts_of(options.folder), seeds=options.seeds, epochs=options.epochs)
    with file_aside(options.page) as aside:
        aside.write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
