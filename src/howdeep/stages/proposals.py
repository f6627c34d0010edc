"""What `howdeep init` is told, and what it proposes: a data set and a study of it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

TEST, VALIDATION = 0.2, 0.25  # shares of the rows, and of the rows that are left
FEW, SHAKY = 4, 50  # test rows: at least, and below which no verdict is likely


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
