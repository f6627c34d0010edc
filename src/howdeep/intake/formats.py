"""How the texts of a column are written: numbers, dates, yes and no, codes, numbers of rows."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from howdeep.intake.columns import number_of

YES = {"true": "false", "yes": "no", "y": "n", "t": "f", "ja": "nein", "oui": "non"}
FORMATS = (
    *("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M", "%Y-%m"),
    *("%Y-%m-%d %H:%M:%S%z", "%Y-%m-%d %H:%M%z", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M%z"),
    *(
        "%Y/%m/%d",
        "%d.%m.%Y",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d-%m-%Y",
        "%b %d %Y",
        "%d %b %Y",
        "%d %B %Y",
        "%B %d, %Y",
    ),
    *("%Y%m%d", "%m/%d/%y", "%d.%m.%y"),
)
STYLES = (
    (".", None),
    (",", None),
    (".", ","),
    (",", "."),
    (".", " "),
    (",", " "),
    (".", "'"),
)  # decimal, thousands
LONGEST_NUMBER = 15  # digits: more are a code, and do not fit into a float


def yes_and_no(distinct: Iterable[str]) -> list[str] | None:
    words = sorted(distinct)
    lower = {word.lower(): word for word in words}
    if len(words) == 2 and len(lower) == 2:
        for yes, no in YES.items():
            if set(lower) == {yes, no}:
                return [lower[yes], lower[no]]
    return None


def style_of(there: Sequence[str]) -> tuple[str, str | None] | None:
    """How all these texts are written, if they are all numbers."""
    for decimal, thousands in STYLES:
        if all(number_of(text, decimal, thousands) is not None for text in there):
            if (decimal, thousands) == (",", None) and all(
                re.fullmatch(r"[+-]?\d{1,3}(,\d{3})*", text) for text in there
            ):
                continue  # 1,234 and nothing but groups of three: thousands
            return decimal, thousands
    return None


def code_of(there: Sequence[str]) -> str | None:
    for text in there:
        if re.fullmatch(r"0\d+", text):
            return f"'{text}' begins with a nought"
        if re.fullmatch(rf"\d{{{LONGEST_NUMBER + 1},}}", text):
            return f"'{text}' has {len(text)} digits"
    return None


def counts_rows(there: Sequence[str], rows: int, lines: Sequence[int]) -> bool:
    """Whether these are 0, 1, 2 and so on, or 1, 2, 3, in all rows; of a sample, whether they grow as its lines do."""
    numbers = [int(text) for text in there]
    if not len(there) == rows > 2:
        return False
    apart = {number - line for number, line in zip(numbers, lines, strict=True)}
    return numbers in (list(range(rows)), list(range(1, rows + 1))) or (
        len(apart) == 1 and apart <= {-2, -1, 0}
    )


def names_rows(name: str) -> bool:
    return re.search(r"(^|[^a-z])(id|key|index|nr|no|number|row|rownames)$", name.lower()) is not None


def format_of(there: Sequence[str]) -> str | None:
    """The first format that all of these dates have."""
    for form in FORMATS:
        try:
            for text in there:
                datetime.strptime(text, form)
        except ValueError:
            continue
        return form
    return None
