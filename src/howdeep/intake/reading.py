"""A file as a table of text: which encoding and separator it has, and its rows with the lines where they stand.

Nothing is typed here: `007`, `1,5` and `NA` stay what was written.
"""

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from howdeep.errors import UserError

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
ROW = "row"  # what a first column without a name is called: R and pandas write names of rows so
LOOKED_AT = 200  # rows, for the separator
LONGEST_FIELD = 1 << 20


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


def encoding_of(path: Path) -> tuple[str, str]:
    """The encoding of a file of text, and why it is taken for that.

    Raises:
        UserError: an empty file, or bytes that are no text in any encoding that is known here.
    """
    content = _content(path)
    for mark, encoding in MARKS.items():
        if content.startswith(mark):
            return encoding, "the mark at its beginning"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        try:
            content.decode("cp1252")
        except UnicodeDecodeError as other:
            line = content.count(b"\n", 0, other.start) + 1
            raise UserError(
                f"{path.name}: expected text in UTF-8, UTF-16 or Windows-1252, got the byte "
                f"0x{content[other.start]:02x} in line {line}: save it as UTF-8"
            ) from None
        if b"\0" in content:
            raise UserError(f"{path.name}: expected text, got bytes of 0: save it as CSV in UTF-8") from None
        return "cp1252", f"line {line} is no UTF-8"
    return "utf-8", "it reads as such"


def separator_of(path: Path, encoding: str) -> tuple[str, str]:
    """The separator of a table, and why: the one that gives its first rows as many columns as the header, and most.

    A table of a single column has none; it is read with commas.
    """
    found = {}
    for separator in SEPARATORS:
        try:
            rows = [row for row, _ in zip(_rows(path, encoding, separator), range(LOOKED_AT), strict=False)]
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


def read(path: Path, encoding: str, separator: str) -> Sheet:
    """The table in a file: CSV with any separator, or Parquet.

    Raises:
        UserError: no file, an empty one, one with a header alone, rows of different lengths, names of columns that are
            empty or there twice (but for a first one that names the rows), bytes that are not of the encoding; each
            with the line.
    """
    if is_parquet(path):
        return _parquet(path)
    if separator not in SEPARATORS:
        raise UserError(f"separator must be a comma, a semicolon, a tab or a bar, got {separator!r}")
    try:
        found = list(_rows(path, encoding, separator))
    except csv.Error as error:
        raise UserError(f"{path.name} is not readable as a table ({error}): correct it") from None
    if not found:
        raise UserError(f"{path.name}: expected a table, got an empty file")
    (_, names), *rows = found
    if not names[0] and len({row[0] for _, row in rows}) == len(rows) > 0:
        names = [next(name for name in (ROW, f"{ROW}_", f"{ROW}__") if name not in names), *names[1:]]
    _check_names(names, path.name)
    if not rows:
        raise UserError(f"{path.name}: expected rows below the header, got none")
    if ragged := [(line, len(row)) for line, row in rows if len(row) != len(names)]:
        told = ", ".join(f"line {line} has {size}" for line, size in ragged[:3])
        more = f" and {len(ragged) - 3} more" if len(ragged) > 3 else ""
        raise UserError(
            f"{path.name}: expected {len(names)} columns in every row, as in the header, but {told}{more}: correct them"
        )
    return Sheet(names, [row for _, row in rows], [line for line, _ in rows])


def read_text(path: Path, encoding: str) -> str:
    """The text of a file.

    Raises:
        UserError: no file, an empty one, or bytes that are not of the encoding.
    """
    if encoding not in ENCODINGS:
        raise UserError(f"encoding must be one of {', '.join(ENCODINGS)}, got {encoding!r}")
    content = _content(path)
    try:
        return content.decode(encoding)
    except UnicodeError as error:
        where = content.count(b"\n", 0, error.start) + 1 if isinstance(error, UnicodeDecodeError) else 1
        raise UserError(
            f"{path.name}: expected text in {encoding}, got other bytes in line {where}: save it as UTF-8"
        ) from None


def is_parquet(path: Path) -> bool:
    return _content(path)[:4] == PARQUET


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"expected a file at {path}, found none") from None
    except IsADirectoryError:
        raise UserError(f"expected a file at {path}, found a folder") from None
    except PermissionError:
        raise UserError(f"cannot read {path}: allow reading it") from None
    if not content:
        raise UserError(f"{path.name}: expected a table, got an empty file")
    return content


def _rows(path: Path, encoding: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not empty, each with the line where it begins; text is stripped of blanks around it."""
    text = read_text(path, encoding)
    csv.field_size_limit(LONGEST_FIELD)
    reader, begins = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), 1
    for row in reader:
        if any(field.strip() for field in row):
            yield begins, [field.strip() for field in row]
        begins = reader.line_num + 1


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


def _parquet(path: Path) -> Sheet:
    """A table that has types already, as text: dates as ISO 8601, what is missing as ''."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise UserError(f"{path.name}: expected a Parquet file, got a broken one ({error})") from None
    names = list(table.column_names)
    _check_names(names, path.name)
    if not table.num_rows:
        raise UserError(f"{path.name}: expected rows, got none")
    columns = [[_told(value) for value in table.column(place).to_pylist()] for place in range(len(names))]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return Sheet(names, rows, list(range(1, len(rows) + 1)))


def _told(value: object) -> str:
    if value is None or value != value:  # NaN
        return ""
    if hasattr(value, "isoformat"):
        return value.isoformat()  # type: ignore[attr-defined]
    return str(value)
