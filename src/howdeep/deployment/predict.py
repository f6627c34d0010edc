"""`howdeep predict`: new rows in, the same rows with what a network says of them out."""

import csv
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol

from howdeep.deployment.models import predictor_of
from howdeep.encoding.images import COLUMN, Images
from howdeep.encoding.inputs import Source
from howdeep.encoding.predictor import Predictions, Predictor
from howdeep.encoding.texts import RunningText, Texts
from howdeep.errors import UserError
from howdeep.files.folders import file_aside
from howdeep.intake import folders, reading
from howdeep.intake.images import is_image
from howdeep.intake.reading import Sheet

ERROR, SHOWN = "error", 5
TABLES = (".csv", ".tsv", ".parquet")


def predict(model: str, inputs: Sequence[str], output: str | None, *, ensemble: bool = False) -> None:
    """Writes every row that is asked about, with `prediction`, what is known beside it, and `error`.

    `error` is there where a row is wrong: it says why, and has no prediction. At the end standard error says how many.

    Args:
        model: see `models.predictor_of`.
        inputs: a table, a text, or images and folders of them.
        output: a CSV, TSV or Parquet file; None: standard output, as CSV.
        ensemble: whether the networks of all seeds answer together.

    Raises:
        UserError: no such model, a file that cannot be read, a table without a column that is needed.
    """
    ending = Path(output).suffix.lower() if output else None
    if ending is not None and ending not in TABLES:
        raise UserError(f"--output must end in {', '.join(TABLES)}, got '{output}'")
    predictor = predictor_of(model, ensemble=ensemble)
    total = wrong = 0
    unseen: Counter[tuple[str, str]] = Counter()
    with _writer(Path(output) if output else None, predictor.columns) as writer:
        for sheet, source in read(predictor, inputs):
            found = predictor.predict(sheet, source)
            writer.write(_table(found))
            total, wrong = total + len(found.errors), wrong + sum(error is not None for error in found.errors)
            unseen.update(found.unseen)
    for (column, word), times in unseen.most_common(SHOWN):
        print(
            f"howdeep: column '{column}' has '{word}' {times} times, which training did not have: it counts as unknown",
            file=sys.stderr,
        )
    if len(unseen) > SHOWN:
        print(f"howdeep: and {len(unseen) - SHOWN} more such words", file=sys.stderr)
    if wrong:
        print(f"howdeep: {wrong} of {total} rows are wrong, see their column '{ERROR}'", file=sys.stderr)


def read(predictor: Predictor, inputs: Sequence[str]) -> Iterator[tuple[Sheet, Source]]:
    """What is asked about, a part at a time, so that long tables need no more memory than short ones.

    Raises:
        UserError: a file that cannot be read.
    """
    paths = [Path(word) for word in inputs]
    for path in paths:
        if not path.exists():
            raise UserError(f"expected a file or a folder at {path}, found none")
    kind = predictor.inputs
    if isinstance(kind, Images):
        files = [path for path in paths if path.is_dir() or _is_image(path)]
        if files and len(files) < len(paths):
            other = next(path for path in paths if path not in files)
            raise UserError(f"expected images or tables, got both: ask about {other} alone")
        if files:
            names = [name for path in files for name in _images(path)]
            yield (
                Sheet([COLUMN], [[name] for name in names], list(range(1, len(names) + 1))),
                Source("images", Path()),
            )
            return
    for path in paths:
        if path.is_dir():
            raise UserError(f"expected a file, found the folder {path}")
        if path.suffix.lower() == ".txt" and isinstance(kind, Texts | RunningText):
            yield _text(path, kind), Source(path.name, path.parent)
        else:
            yield from _of_table(path, whole=not kind.by_row)


def _of_table(path: Path, *, whole: bool) -> Iterator[tuple[Sheet, Source]]:
    encoding, separator = "utf-8", ","
    if not reading.is_parquet(path):
        encoding, _ = reading.encoding_of(path)
        separator, _ = reading.separator_of(path, encoding)
    source = Source(path.name, path.parent)
    if whole:
        yield reading.read(path, encoding, separator), source
    else:
        for sheet in reading.stream(path, encoding, separator):
            yield sheet, source


def _text(path: Path, kind: Texts | RunningText) -> Sheet:
    """A text a line; of a running text the whole is one."""
    text = reading.read_text(path, reading.encoding_of(path)[0]).replace("\r\n", "\n")
    if isinstance(kind, RunningText):
        return Sheet(["text"], [[text]], [1])
    lines = text.rstrip("\n").split("\n")
    return Sheet([kind.column], [[line.strip()] for line in lines], list(range(1, len(lines) + 1)))


def _is_image(path: Path) -> bool:
    if path.suffix.lower() in folders.ENDINGS:  # one that is none is told as an image that is no good
        return True
    with path.open("rb") as file:
        return is_image(file)


def _images(path: Path) -> list[str]:
    if path.is_file():
        return [str(path)]
    found = folders.find(path).images
    if not found:
        raise UserError(f"expected images in {path}, found none")
    return [str(path / name) for name in found]


Table = Mapping[str, Sequence[Any]]


def _table(found: Predictions) -> Table:
    """The rows, and beside them what is told of them; a name that is taken has _ after it."""
    table: dict[str, Sequence[Any]] = {name: found.rows.column(name) for name in found.rows.names}
    for name, column in {**found.columns, ERROR: found.errors}.items():
        while name in table:
            name += "_"
        table[name] = column
    return table


class _Writer(Protocol):
    def write(self, table: Table) -> None: ...


@contextmanager
def _writer(path: Path | None, kinds: Mapping[str, type]) -> Iterator[_Writer]:
    """Where tables go, one below the other; a file is there whole or not at all."""
    if path is None:
        yield _Csv(sys.stdout, ",")
        return
    with file_aside(path) as aside:
        if path.suffix.lower() == ".parquet":
            with _Parquet(aside, kinds) as writer:
                yield writer
        else:
            with aside.open("w", encoding="utf-8", newline="") as file:
                yield _Csv(file, "\t" if path.suffix.lower() == ".tsv" else ",")


def _check(names: Sequence[str], table: Table) -> None:
    if list(names) != list(table):
        raise UserError(
            f"expected files with the same columns, got {', '.join(names)} and {', '.join(table)}: ask about each alone"
        )


class _Csv:
    def __init__(self, file: IO[str], separator: str) -> None:
        self.writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        self.names: list[str] | None = None

    def write(self, table: Table) -> None:
        if self.names is None:
            self.names = list(table)
            self.writer.writerow(self.names)
        _check(self.names, table)
        self.writer.writerows(
            [f"{value:.7g}" if isinstance(value, float) else value for value in row]
            for row in zip(*table.values(), strict=True)
        )


class _Parquet:
    """Rows stay text, as they were read; what is told of them has the types of `kinds`."""

    def __init__(self, path: Path, kinds: Mapping[str, type]) -> None:
        self.path, self.kinds, self.writer = path, kinds, None

    def __enter__(self) -> "_Parquet":
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def write(self, table: Table) -> None:
        import pyarrow
        from pyarrow import parquet

        of = {float: pyarrow.float64(), int: pyarrow.int64(), str: pyarrow.string()}
        schema = pyarrow.schema([(name, of[self.kinds.get(name, str)]) for name in table])
        if self.writer is None:
            self.writer = parquet.ParquetWriter(self.path, schema)
        _check(self.writer.schema.names, table)
        self.writer.write_table(pyarrow.table(dict(table), schema=schema))
