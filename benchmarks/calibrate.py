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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
from howdeep.files.writing import yaml_text
from howdeep.results.replication import DIRECTION, OPPOSITE, SAME, TURNED, repeats, told
from howdeep.results.scores import SERIES, rows_of
from howdeep.stages.replicate import FOLDER, VERDICTS

OWN = Path(__file__).parent / "calibration"
MARK = "# Made by `make calibrate`: one network under several names.\n"
TASKS = {
    "digits": "classification",
    "breast_cancer": "classification",
    "sunspots": "forecasting",
    "elnino": "forecasting",
}
# of training examples the number, the batch size; the normalisation
SETTINGS = list(itertools.product((80, 160), (16, 32), ("batch", "none")))
SEEN = (0.5, 0.8)  # share of the inputs that a network with a handicap sees
DEPTHS = {"two": [1, 2], "four": [1, 2, 4, 8]}  # families of one comparison, and of three


# --- the studies --------------------------------------------------------------------------------------------------


def families(kind: str, count: int, *, first_seed: int, seeds: int, epochs: int) -> dict[str, dict[str, Any]]:
    """Entries of params.yaml, small ones that differ in data, width, normalisation, number of examples and batch size.

    No two have a seed in common: they are independent of one another. Their widths differ as well, since entries that
    differ in the number of examples alone would be points of one learning curve.

    Args:
        kind: "null-two" or "null-four", or "handicap", of which half see fewer inputs than the others.
        first_seed: of the first family.
        seeds: of each family.
    """
    found = {}
    for number in range(count):
        turn, place = divmod(number, len(TASKS))
        data, task = list(TASKS.items())[place]
        examples, batch_size, normalisation = SETTINGS[turn % len(SETTINGS)]
        model = {"width": 16 + turn, "normalisation": normalisation}
        if kind == "handicap":
            model["seen"] = SEEN[turn // 2 % 2]  # each with both normalisations
        found[f"{kind}-{number + 1:02}-{data}"] = {
            "data": data,
            "model": "namesake",
            "task": task,
            "seeds": [first_seed + number * seeds + seed for seed in range(seeds)],
            "overrides": {
                "model": model,
                "train_examples": examples,
                "batch_size": batch_size,
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
    null = families("null-two", count, first_seed=0, **size)
    handicap = families("handicap", -(-count // 2), first_seed=count * seeds, **size)
    # Far from the seeds of the first study, and from those that its replication will have.
    four = families("null-four", -(-count // 3), first_seed=10_000, **size)
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
        aside.write_text(MARK + yaml_text(content))
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


def total(counts: Iterable[Count]) -> Count:
    """Of several studies together."""
    return Count(*map(sum, zip(*counts, strict=True)))


def seeds_alone(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of `verdicts` with what the seeds alone say in place of the verdict and its interval."""
    own = {name: rows[f"{name}_seeds"] for name in ("verdict", "low", "high")}
    return rows.assign(**own)


def with_a_verdict(rows: pd.DataFrame) -> Count:
    """The families with a verdict "better" or "worse", of all."""
    return _any(rows_of(rows), lambda row: row["verdict"] in OPPOSITE)


def without_zero(rows: pd.DataFrame) -> Count:
    """The families with an interval that leaves out zero, of those with an interval."""
    known = [row for row in rows_of(rows) if np.isfinite(row["low"])]
    return _any(known, lambda row: row["low"] > 0 or row["high"] < 0)


def _any(rows: Iterable[Mapping[str, Any]], holds: Callable[[Mapping[str, Any]], bool]) -> Count:
    """In how many families something holds of any comparison."""
    found: dict[tuple[Any, ...], bool] = {}
    for row in rows:
        family = tuple(row[name] for name in SERIES)
        found[family] = found.get(family, False) or bool(holds(row))
    return Count(sum(found.values()), len(found))


def with_verdict(rows: pd.DataFrame, verdict: str) -> Count:
    """The comparisons with this verdict, of all."""
    return Count(rows["verdict"].tolist().count(verdict), len(rows))


def repeated(found: pd.DataFrame, *outcomes: str) -> Count:
    """Of the verdicts "better" and "worse" of the first study, those with one of these outcomes in the second.

    Args:
        found: as `repeats` gives it.
    """
    decided = [row["outcome"] for row in rows_of(found) if row["verdict"] in OPPOSITE]
    return Count(sum(outcome in outcomes for outcome in decided), len(decided))


def agreeing(found: pd.DataFrame) -> Count:
    """The comparisons whose two differences are as near as their intervals say, of those with two intervals.

    The half widths of two independent 95 % intervals add in squares to that of their difference, which holds its true
    value, zero, in 95 % of cases, or a little more often, as Student's t has more degrees of freedom then.

    Args:
        found: as `repeats` gives it, of families of one comparison.
    """
    one, other = ((found[f"high{of}"] - found[f"low{of}"]).to_numpy() / 2 for of in ("", "_again"))
    half = np.hypot(one, other)
    apart = np.abs((found["difference"] - found["difference_again"]).to_numpy())
    return Count(int(np.sum(apart <= half)), int(np.isfinite(half).sum()))


# --- the page -----------------------------------------------------------------------------------------------------

Pair = tuple[pd.DataFrame, pd.DataFrame]  # rows of `verdicts`: of the first study, and of the second


def verdicts_of(folder: Path) -> Pair:
    """The verdicts of a calibration, of all depths together."""

    def read(place: str) -> pd.DataFrame:
        return pd.concat(
            [pd.read_csv(folder / name / place / "results" / VERDICTS) for name in DEPTHS], ignore_index=True
        )

    return read(""), read(FOLDER)


def _of(pair: Pair, kind: str) -> Pair:
    first, again = (rows.loc[[entry.startswith(kind) for entry in rows["entry"]]] for rows in pair)
    return first, again


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    rules = ["---"] * len(headings)
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in [headings, rules, *rows])


Row = tuple[str, Callable[[Pair], Count], str]  # what is counted, how, and what to aim at


def _both(count: Callable[[pd.DataFrame], Count]) -> Callable[[Pair], Count]:
    return lambda pair: total(map(count, pair))


def _second(*outcomes: str) -> Callable[[Pair], Count]:
    return lambda pair: repeated(repeats(*pair), *outcomes)


def _null(kind: str, count: Callable[[pd.DataFrame], Count]) -> Callable[[Pair], Count]:
    return lambda pair: _both(count)(_of(pair, kind))


NULL: list[Row] = [
    *(
        (f"{families}: {what}", _null(kind, count), "at most 5 %")
        for what, count in (
            ("a verdict better or worse", with_a_verdict),
            ("an interval without zero", without_zero),
        )
        for kind, families in (
            ("null-two", "families of two depths"),
            ("null-four", "families of four depths"),
            ("null", "all families"),
        )
    ),
    ("verdicts of the first study: the same in the second", _second(SAME), "none"),
]
HANDICAP: list[Row] = [
    ("comparisons: worse", _both(lambda rows: with_verdict(rows, "worse")), ""),
    ("comparisons: better", _both(lambda rows: with_verdict(rows, "better")), "none"),
    (
        "verdicts of the first study: the same direction in the second",
        _second(SAME, DIRECTION),
        "at least 95 %",
    ),
    ("- the same verdict", _second(SAME), "at least 80 %"),
    ("- the opposite verdict", _second(TURNED), "none"),
    (
        "comparisons: both studies agree within their intervals",
        lambda pair: agreeing(repeats(*pair)),
        "about 95 %",
    ),
]


def counted(rows: Sequence[Row], pair: Pair) -> str:
    """A table of counts: of the verdicts as they are reported, and of the seeds alone."""
    alone = seeds_alone(pair[0]), seeds_alone(pair[1])
    return table(
        ["what was counted", "seeds and test examples", "seeds alone", "aim"],
        [(what, count(pair), count(alone), aim) for what, count, aim in rows],
    )


def page(pair: Pair, *, seeds: int, epochs: int) -> str:
    """The page, as Markdown; the same verdicts give the same page.

    Args:
        seeds, epochs: of each cell, of each run.
    """
    handicap, text = _of(pair, "handicap"), (OWN / "page.md").read_text(encoding="utf-8")
    return text.format(
        seeds=seeds,
        epochs=epochs,
        null=counted(NULL, _of(pair, "null")),
        handicap=counted(HANDICAP, handicap),
        comparisons=told(repeats(*handicap)).strip(),
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--families",
        type=int,
        default=30,
        help="null families of two depths (default: 30); half as many have a handicap, a third as many four depths",
    )
    parser.add_argument("--seeds", type=int, default=10, help="of each cell (default: 10)")
    parser.add_argument("--epochs", type=int, default=20, help="of each run (default: 20)")
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
    text = page(verdicts_of(options.folder), seeds=options.seeds, epochs=options.epochs)
    with file_aside(options.page) as aside:
        aside.write_text(text, encoding="utf-8")
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
