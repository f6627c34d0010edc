"""A file as a table of text: which encoding and separator it has, and its rows with the lines where they stand.

Nothing is typed here: `007`, `1,5` and `NA` stay what was written. A file is read in chunks of rows, so that one of any
size takes little memory; `read` is for those who need all of it.
"""

import codecs
import csv
import io
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from howdeep.errors import UserError
from howdeep.intake.refusals import SHOWN

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
MARKS = {  # at the beginning of a file, the longest first
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "latin-1")
PARQUET = b"PAR1"
OTHERS = {  # what people have instead of text, by how it begins, and what makes text of it
    b"\x1f\x8b": ("a file of gzip", "unpack it"),
    b"BZh": ("a file of bzip2", "unpack it"),
    b"\xfd7zXZ": ("a file of xz", "unpack it"),
    b"\x28\xb5\x2f\xfd": ("a file of zstd", "unpack it"),
    b"PK\x03\x04": ("a zip file or a workbook", "unpack it, or save it as CSV"),
    b"\xd0\xcf\x11\xe0": ("a workbook", "save it as CSV"),
    b"SQLite format 3": ("a database of sqlite", "save a table of it as CSV"),
    b"\x89HDF": ("a file of HDF5", "save a table of it as CSV or Parquet"),
    b"\x93NUMPY": ("an array of NumPy", "save it as CSV or Parquet"),
}
ROW = "row"  # what a first column without a name is called: R and pandas write names of rows so
LOOKED_AT = 200  # rows, for the separator
LONGEST_FIELD = 1 << 20
CELLS = 1 << 14  # of a chunk: more texts than a processor's cache holds take twice the time
BLOCK = 1 << 20  # bytes


class Sheet(NamedTuple):
    """A table of text.

    Args:
        names: of the columns.
        rows: a text a column each.
        lines: of the file, where each row begins; of a file without lines the number of the row.
    """

    names: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, name: str) -> list[str]:
        place = self.names.index(name)
        return [row[place] for row in self.rows]

    def columns(self) -> dict[str, Sequence[str]]:
        """All of them, in a fifth of the time of one after another."""
        turned = zip(*self.rows, strict=True) if self.rows else ([] for _ in self.names)
        return dict(zip(self.names, turned, strict=True))


def encoding_of(path: Path) -> tuple[str, str]:
    """The encoding of a file of text, and why it is taken for that.

    Raises:
        UserError: an empty file, or bytes that are no text in any encoding that is known here.
    """
    with opened(path) as file:
        head = file.read(max(map(len, (*MARKS, *OTHERS))))
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding, "the mark at its beginning"
    if (wrong := _wrong_byte(path, "utf-8")) is None:
        return "utf-8", "it reads as such"
    for begins, (what, remedy) in OTHERS.items():
        if head.startswith(begins):
            raise UserError(f"{path.name}: expected text, or a table in CSV or Parquet, got {what}: {remedy}")
    if other := _wrong_byte(path, "cp1252"):
        line, byte = other
        raise UserError(
            f"{path.name}: expected text in UTF-8, UTF-16 or Windows-1252, got the byte 0x{byte:02x} in line {line}: "
            "save it as UTF-8"
        )
    if any(b"\0" in block for block in _blocks(path)):
        raise UserError(f"{path.name}: expected text, got bytes of 0: save it as CSV in UTF-8")
    return "cp1252", f"line {wrong[0]} is no UTF-8"


def separator_of(path: Path, encoding: str) -> tuple[str, str]:
    """The separator of a table, and why: the one that gives its first rows as many columns as the header, and most.

    A table of a single column has none; it is read with commas.
    """
    found = {}
    for separator in SEPARATORS:
        try:
            rows = list(islice(_rows(path, encoding, separator), LOOKED_AT))
        except csv.Error:
            continue
        sizes = Counter(len(row) for _, row in rows)
        size, often = sizes.most_common(1)[0] if sizes else (0, 0)
        if size > 1:
            found[separator] = (often / sizes.total(), size)
    if not found:
        return ",", "there is one column"
    best = max(found, key=lambda separator: found[separator])
    share, size = found[best]
    whole = "every row" if share == 1 else f"{share:.0%} of the rows"
    return best, f"it gives {whole} {size} columns"


def stream(path: Path, encoding: str, separator: str) -> Iterator[Sheet]:
    """The table in a file, CSV with any separator or Parquet, in chunks of rows one after another.

    A mistake is told as of the whole file, wherever it is: the chunks before it may have been given out by then.

    Raises:
        UserError: no file, an empty one, one with a header alone, rows of different lengths, names of columns that are
            empty or there twice (but for a first one that names the rows), bytes that are not of the encoding; each
            with the line.
    """
    if is_parquet(path):
        yield from _parquet(path)
        return
    if separator not in SEPARATORS:
        raise UserError(f"separator must be a comma, a semicolon, a tab or a bar, got {separator!r}")
    try:
        yield from _csv(path, encoding, separator)
    except csv.Error as error:
        if _wrong_byte(path, encoding):  # further on, and what a person has to mend first
            raise _other_bytes(path, encoding) from None
        raise UserError(f"{path.name} is not readable as a table ({error}): correct it") from None


def read(path: Path, encoding: str, separator: str) -> Sheet:
    """The whole table in a file, see `stream`."""
    sheets = list(stream(path, encoding, separator))
    return Sheet(
        sheets[0].names,
        [row for sheet in sheets for row in sheet.rows],
        [line for sheet in sheets for line in sheet.lines],
    )


def read_text(path: Path, encoding: str) -> str:
    """The text of a file.

    Raises:
        UserError: no file, an empty one, or bytes that are not of the encoding.
    """
    if encoding not in ENCODINGS:
        raise UserError(f"encoding must be one of {', '.join(ENCODINGS)}, got {encoding!r}")
    with opened(path) as file:
        content = file.read()
    try:
        return content.decode(encoding)
    except UnicodeError as error:
        where = content.count(b"\n", 0, error.start) + 1 if isinstance(error, UnicodeDecodeError) else 1
        raise UserError(
            f"{path.name}: expected text in {encoding}, got other bytes in line {where}: save it as UTF-8"
        ) from None


def is_parquet(path: Path) -> bool:
    with opened(path) as file:
        return file.read(len(PARQUET)) == PARQUET


def opened(path: Path) -> IO[bytes]:
    """A file to read from its beginning.

    Raises:
        UserError: no file, an empty one, one that may not be read.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise UserError(f"expected a file at {path}, found none") from None
    except IsADirectoryError:
        raise UserError(f"expected a file at {path}, found a folder") from None
    except PermissionError:
        raise UserError(f"cannot read {path}: allow reading it") from None
    if not file.read(1):
        file.close()
        raise UserError(f"{path.name}: expected a table, got an empty file")
    file.seek(0)
    return file


def _blocks(path: Path) -> Iterator[bytes]:
    with opened(path) as file:
        while block := file.read(BLOCK):
            yield block


def _codec(path: Path, encoding: str) -> str:
    """What Python calls an encoding; of UTF-16 and UTF-32 without a mark, which bytes come first."""
    if encoding not in ENCODINGS:
        raise UserError(f"encoding must be one of {', '.join(ENCODINGS)}, got {encoding!r}")
    if encoding in ("utf-16", "utf-32"):
        with opened(path) as file:
            head = file.read(4)
        if not any(head.startswith(mark) for mark, of in MARKS.items() if of == encoding):
            return f"{encoding}-le"
    return encoding


def _wrong_byte(path: Path, encoding: str) -> tuple[int, int] | None:
    """The line and the value of the first byte that is not of an encoding; None where all are."""
    decoder, line = codecs.getincrementaldecoder(_codec(path, encoding))(), 1
    for block in chain(_blocks(path), [b""]):
        kept = decoder.getstate()[0]  # the beginning of a character, which the block before ended with
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            before = error.object[: error.start].count(b"\n") - kept.count(b"\n")
            return line + before, error.object[error.start]
        line += block.count(b"\n")
    return None


def _other_bytes(path: Path, encoding: str) -> UserError:
    line, _ = _wrong_byte(path, encoding) or (1, 0)
    return UserError(
        f"{path.name}: expected text in {encoding}, got other bytes in line {line}: save it as UTF-8"
    )


def _rows(path: Path, encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the line where it begins; text is stripped of blanks around it.

    Raises:
        csv.Error: what is no row, such as one with a quotation mark that nothing closes.
        UserError: bytes that are not of the encoding.
    """
    csv.field_size_limit(LONGEST_FIELD)
    with opened(path) as file, io.TextIOWrapper(file, _codec(path, encoding), newline="") as text:
        reader, begins = csv.reader(text, delimiter=separator, strict=True), 1
        try:
            for fields in reader:
                row = list(map(str.strip, fields))
                if any(row):
                    yield begins, row
                begins = reader.line_num + 1
        except UnicodeDecodeError:
            raise _other_bytes(path, encoding) from None


def _csv(path: Path, encoding: str, separator: str) -> Iterator[Sheet]:
    rows = _rows(path, encoding, separator)
    if (header := next(rows, None)) is None:
        raise UserError(f"{path.name}: expected a table, got an empty file")
    names = header[1]
    if not names[0] and _is_each_once(row[0] for _, row in islice(_rows(path, encoding, separator), 1, None)):
        names = [next(name for name in (ROW, f"{ROW}_", f"{ROW}__") if name not in names), *names[1:]]
    _check_names(names, path.name)
    ragged, told, there = 0, [], False
    while chunk := list(islice(rows, _size(names))):
        there = True
        for line, row in chunk:
            if len(row) != len(names):
                ragged += 1
                if ragged <= SHOWN:
                    told.append(f"line {line} has {len(row)}")
        if not ragged:  # else what follows is read for its mistakes alone
            yield Sheet(names, [row for _, row in chunk], [line for line, _ in chunk])
    if not there:
        raise UserError(f"{path.name}: expected rows below the header, got none")
    if ragged:
        more = f" and {ragged - SHOWN} more" if ragged > SHOWN else ""
        raise UserError(
            f"{path.name}: expected {len(names)} columns in every row, as in the header, but {', '.join(told)}{more}: "
            "correct them"
        )


def _size(names: Sequence[str]) -> int:
    """Rows of a chunk."""
    return max(1, CELLS // len(names))


def _is_each_once(texts: Iterator[str]) -> bool:
    """Whether there are texts, none of them twice: of millions only their hashes are kept."""
    hashes = array("q", map(hash, texts))
    return len(np.unique(hashes)) == len(hashes) > 0


def _check_names(names: Sequence[str], file: str) -> None:
    for place, name in enumerate(names, 1):
        if not name:
            raise UserError(
                f"{file}: expected a name for every column, but column {place} has none: write one"
            )
    for name, often in Counter(names).items():
        if often > 1:
            raise UserError(
                f"{file}: expected a name of its own for every column, but '{name}' is there {often} times: rename them"
            )


def _parquet(path: Path) -> Iterator[Sheet]:
    """A table that has types already, as text: dates as ISO 8601, what is missing as ''."""
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            _check_names(names, path.name)
            if not file.metadata.num_rows:
                raise UserError(f"{path.name}: expected rows, got none")
            first = 1
            for batch in file.iter_batches(_size(names)):
                columns = [_texts(column) for column in batch.columns]
                rows = [list(row) for row in zip(*columns, strict=True)]
                yield Sheet(names, rows, list(range(first, first + len(rows))))
                first += len(rows)
    except pyarrow.ArrowException as error:
        raise UserError(f"{path.name}: expected a Parquet file, got a broken one ({error})") from None


def _texts(column: Any) -> list[str]:
    return [_told(value) for value in column.to_pylist()]


def _told(value: object) -> str:
    if isinstance(value, str):
        return value
    if value is None or value != value:  # NaN
        return ""
    if hasattr(value, "isoformat"):
        return value.isoformat()  # type: ignore[attr-defined]
    return str(value)
