"""What `howdeep init` is told, and what it proposes: a data set and a study of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from howdeep.errors import UserError, near
from howdeep.files.seals import checksum
from howdeep.intake.guessing import Guess
from howdeep.intake.reading import SEPARATORS, Sheet, encoding_of, is_parquet, read, separator_of, stream
from howdeep.intake.sampling import Sample, sample
from howdeep.names import is_name

TEST, VALIDATION = 0.2, 0.25  # shares of the rows, and of the rows that are left
FEW, SHAKY = 4, 50  # test rows: at least, and below which no verdict is likely
MARGIN_OF_CLASSES = ("accuracy", 0.01, "one right answer of a hundred; say what matters to you")


class Asked(NamedTuple):
    """What was typed, see `howdeep init --help`."""

    folder: Path
    data: Path
    target: Sequence[str] = ()
    kind: str | None = None
    group: str | None = None
    time: str | None = None
    name: str | None = None
    task: str | None = None
    missing: Sequence[str] = ()
    drop_missing_targets: bool = False
    horizon: int | None = None
    known: Sequence[str] = ()
    dry_run: bool = False


class Proposal(NamedTuple):
    """A data set and a study of it.

    Args:
        name: of the data set.
        lines: what is told of it.
        config: the content of conf/data/NAME.yaml.
        models: architectures that suit, each with its epochs.
        rows: of the data, or images.
        margin: the smallest difference that matters, by the score, and why.
        bring: writes the files of the data set into a folder and says what its `sources` are; None: it is the file
            that was named.
        notes: what stands beside a key of the config, as in `in_shape` or `prepare.size`.
    """

    name: str
    lines: list[str]
    config: dict[str, Any]
    task: str
    models: Sequence[str]
    rows: int
    margin: tuple[str, float, str]
    bring: Callable[[Path], list[dict[str, Any]]] | None = None
    notes: Mapping[str, str] = {"in_shape": "the inputs of all columns, see howdeep's docs on own data"}


def file_of(asked: Asked, name: str) -> str:
    """What a file is called in the project: as it is, if that can be the name of a source."""
    return asked.data.name if is_name(asked.data.name) else f"{name}{asked.data.suffix.lower()}"


def check_columns(asked: Asked, sheet: Sheet, *options: str) -> None:
    """Raises `UserError` if an option names a column that there is not."""
    named = {
        "--target": asked.target,
        "--group": [asked.group],
        "--time": [asked.time],
        "--known": asked.known,
    }
    for option in options:
        for column in named[option]:
            if column is not None and "${" in column:
                raise UserError(
                    f"expected a column without ${{ in its name as {option}, got '{column}': rename it"
                )
            if column is not None and column not in sheet.names:
                raise UserError(
                    f"expected a column of {asked.data.name} as {option}, got '{column}'{near(column, sheet.names)}"
                )


def refuse(asked: Asked, what: str, *options: str) -> None:
    """Raises `UserError` if an option was given that means nothing for such data."""
    given = {
        "--target": asked.target, "--group": asked.group, "--time": asked.time, "--task": asked.task,
        "--missing": asked.missing, "--drop-missing-targets": asked.drop_missing_targets, "--horizon": asked.horizon,
        "--known": asked.known,
    }  # fmt: skip
    for option in options:
        if given[option]:
            raise UserError(f"expected no {option} for {what}: leave it out")


def read_table(asked: Asked) -> tuple[Sheet, dict[str, Any], list[str]]:
    """The whole table, how it is read, and what is told of that."""
    reading, how = _how(asked)
    sheet = read(asked.data, **reading)
    return sheet, reading, [f"{asked.data.name}: {len(sheet.rows)} rows{how}"]


def sample_table(asked: Asked) -> tuple[Sample, dict[str, Any], list[str]]:
    """The table, or a sample of a large one, how it is read, and what is told of that."""
    reading, how = _how(asked)
    found = sample(stream(asked.data, **reading))
    lines = [f"{asked.data.name}: {found.rows} rows{how}"]
    if not found.is_whole:
        lines.append(
            f"guessed from {len(found.sheet.rows)} of them, the first {found.first} and evenly spaced ones, of which "
            "all counts below are; what does not fit in another row is refused by `dvc repro` with its line"
        )
    return found, reading, lines


def _how(asked: Asked) -> tuple[dict[str, Any], str]:
    """How a table is read, and that in words."""
    path = asked.data
    if path.is_dir():
        raise UserError(f"expected a file with a table at {path}, found a folder")
    if not path.exists():
        raise UserError(f"expected a file or folder as --data, found none at {path}")
    if is_parquet(path):
        return {"encoding": "utf-8", "separator": ","}, ", Parquet"
    encoding, because = encoding_of(path)
    separator, why = separator_of(path, encoding)
    told = f"; encoding {encoding} ({because}); separated by {SEPARATORS[separator]}s ({why})"
    return {"encoding": encoding, "separator": separator}, told


def few_told(tests: int, what: str) -> list[str]:
    """A warning where there are few test examples, else none."""
    told = f"beware: {tests} test {what} are few: only large differences between depths will be found"
    return [told] if tests < SHAKY else []


def columns_told(found: dict[str, Guess]) -> list[str]:
    """A table of the columns for a terminal."""
    head = ("column", "taken for", "missing", "what happens", "why")
    rows = [
        (name, of.kind.replace("_", " "), str(of.missing or ""), of.happens, of.why)
        for name, of in found.items()
    ]
    widths = [min(30, max(len(row[place]) for row in (head, *rows))) for place in range(4)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in (head, *rows)
    ]


def config_of(
    asked: Asked,
    name: str,
    task: str,
    prepare: dict[str, Any],
    examples: dict[str, Any],
    in_shape: list[Any],
    out_features: int | str,
    **others: Any,
) -> dict[str, Any]:
    """The content of conf/data/NAME.yaml; its one source is the file that was named, until `Proposal.bring` says more.

    Args:
        others: more keys of it, such as `context`.
    """
    sources = []
    if asked.data.is_file():
        file, digest = file_of(asked, name), checksum(asked.data)
        sources = [{"file": file, "local": f"source/{file}", "sha256": digest}]
    return {
        "defaults": [{"override /task@_global_.task": task}, "_self_"],
        "name": name,
        "sources": sources,
        "licence": "unknown",
        "homepage": "unknown",
        "prepare": prepare,
        "examples": examples,
        **others,
        "in_shape": in_shape,
        "out_features": out_features,
    }
