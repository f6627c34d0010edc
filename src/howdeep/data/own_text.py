"""Texts of somebody's own with a label each: sequences of characters or words, as numbers."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from howdeep.data import prepared, running_text
from howdeep.data.splits import stratified
from howdeep.encoding.texts import PADDING, RESERVED, UNKNOWN, Texts, encoded, symbols_of
from howdeep.errors import UserError
from howdeep.intake import columns as declared
from howdeep.intake.columns import Target, Text
from howdeep.intake.reading import read, read_text
from howdeep.intake.refusals import Where

ENCODING = f"{Texts.__module__}.{Texts.__name__}"  # how new texts become the same numbers


def prepare(
    raw: Path,
    *,
    file: str,
    encoding: str,
    separator: str,
    columns: Mapping[str, Mapping[str, Any]],
    unit: str,
    length: int,
    vocabulary: int,
    test_fraction: float,
    seed: int,
) -> prepared.Prepared:
    """x (n, length) int64, the last `length` symbols of each text, and y (n,), the index of its class.

    Texts are brought to Unicode's normal form C. The symbols are the most frequent ones of the training texts; all
    others are one sign, and shorter texts have padding before them.

    Args:
        raw: the folder of the file.
        file, encoding, separator: see `intake.reading`.
        columns: what each column is: one text, one of classes.
        unit: characters, or words, without regard to capitals.
        length: symbols of an example.
        vocabulary: how many symbols there are, padding and the unknown one among them.
        test_fraction, seed: share of the texts that are the test, at random, class by class.

    Raises:
        UserError: a file or a column that is not as declared, an empty text, an option that means nothing.
    """
    if unit not in ("characters", "words"):
        raise UserError(f"data.prepare.unit must be characters or words, got {unit!r}")
    for name, value in (("length", length), ("vocabulary", vocabulary)):
        if type(value) is not int or value <= RESERVED:
            raise UserError(f"data.prepare.{name} must be a whole number above {RESERVED}, got {value!r}")
    sheet, of = read(raw / file, encoding, separator), declared.declared(columns, "data.prepare.columns")
    declared.check_names(of, sheet, file)
    (text,), (label,) = (
        [name for name, column in of.items() if isinstance(column, kind)] or [None] for kind in (Text, Target)
    )
    if text is None or label is None:
        raise UserError(
            f"expected a column of {file} with kind text, and one with kind classes, in data.prepare.columns"
        )
    values = sheet.column(text)
    if empty := [place for place, value in enumerate(values) if not value]:
        raise Where(file, text, sheet.lines).refused(
            "a text in every row", values, empty, "leave out such rows"
        )
    target = of[label]
    assert isinstance(target, Target)
    y = target.labels(sheet.column(label), Where(file, label, sheet.lines))
    kept, held_out = stratified(y, test_fraction, seed)
    texts = [symbols_of(value, unit) for value in values]
    known = symbols((texts[place] for place in kept), vocabulary)
    x = encoded(texts, known, length)
    content = prepared.unscaled(
        train=(x[kept], y[kept]), test=(x[held_out], y[held_out]), classes=target.classes
    )
    unknown = float((x[held_out] == UNKNOWN).sum() / max(1, (x[held_out] != PADDING).sum()))
    told = {
        "file": file,
        "unit": unit,
        "symbols": list(known),
        "unknown_in_test": unknown,
        "encoding": ENCODING,
    }
    return prepared.Prepared(content.train, content.test, content.card | told)


def language(
    raw: Path, *, file: str, encoding: str, vocabulary: int, test_fraction: float
) -> prepared.Prepared:
    """A running text for language modelling, see `running_text`.

    Args:
        raw: the folder of the file.
        file, encoding: see `intake.reading`.
        vocabulary, test_fraction: see `running_text.numbered`.

    Raises:
        UserError: bytes that are not of the encoding, an option that means nothing.
    """
    text = read_text(raw / file, encoding).replace("\r\n", "\n")
    content = running_text.numbered(text, vocabulary=vocabulary, test_fraction=test_fraction)
    return prepared.Prepared(content.train, content.test, content.card | {"file": file})


def symbols(texts: Iterable[Sequence[str]], vocabulary: int) -> list[str]:
    """The most frequent symbols, as many as there are numbers for; equally frequent ones by their code."""
    counts = Counter(symbol for text in texts for symbol in text)
    return sorted(counts, key=lambda symbol: (-counts[symbol], symbol))[: vocabulary - RESERVED]
