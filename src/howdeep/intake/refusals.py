"""What is said of a column that is not as declared: one line, however many places and chunks of a file it is of."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from howdeep.errors import UserError

SHOWN = 3  # places of an error


class Refused(UserError):
    """Values of a column that are not as declared.

    Args:
        column: the file and the column.
        expected, advice: what was, and what to do.
        places: the first of them, each in words.
        count: how many there are.
        absent: whether they are missing, and not wrong.
    """

    def __init__(
        self, column: str, expected: str, places: Sequence[str], count: int, advice: str, *, absent: bool
    ) -> None:
        more = f" and {count - len(places)} more" if count > len(places) else ""
        super().__init__(f"{column}: expected {expected}, got {', '.join(places)}{more}: {advice}")
        self.column, self.expected, self.places = column, expected, list(places)
        self.count, self.advice, self.absent = count, advice, absent

    def and_also(self, later: "Refused") -> "Refused":
        """The same of a longer part of the file."""
        places, count = [*self.places, *later.places][:SHOWN], self.count + later.count
        return Refused(self.column, self.expected, places, count, self.advice, absent=self.absent)


class Where:
    """A column of a file, for messages."""

    def __init__(self, file: str, name: str, lines: Sequence[int]) -> None:
        self.file, self.name, self.lines = file, name, lines

    def refused(
        self,
        expected: str,
        values: Sequence[str],
        wrong: Sequence[int],
        advice: str,
        *,
        absent: bool = False,
    ) -> Refused:
        places = [f"'{values[place]}' in line {self.lines[place]}" for place in wrong[:SHOWN]]
        column = f"{self.file}, column '{self.name}'"
        return Refused(column, expected, places, len(wrong), advice, absent=absent)


class Faults:
    """What is refused of the columns of a file, chunk by chunk, to be told as of the file as a whole."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, bool], Refused] = {}

    @contextmanager
    def noted(self, rank: int) -> Iterator[None]:
        """Keeps what is refused inside.

        Args:
            rank: of the column: that of the lowest rank is told, what is wrong in it before what is missing.
        """
        try:
            yield
        except Refused as fault:
            key = (rank, fault.absent)
            self._found[key] = self._found[key].and_also(fault) if key in self._found else fault

    def __bool__(self) -> bool:
        return bool(self._found)

    def check(self) -> None:
        """Raises the first of what was refused."""
        if self._found:
            raise self._found[min(self._found)]
