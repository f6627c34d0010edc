"""A table of somebody's own: its columns as the data set's YAML declares them, and what is told from them.

The file is read once, in chunks of rows; what is kept of each text is a number, in a file beside it. So a table of any
size is prepared in little memory.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from howdeep.data import prepared
from howdeep.data.examples import Split, parted, read_labelled
from howdeep.data.running import Statistics
from howdeep.data.splits import chronological, held_out_size, random_state, stratified
from howdeep.data.table_rows import Keys, Rows, targets_of
from howdeep.encoding import table as encoding
from howdeep.encoding.table_inputs import applied, expanded, seen
from howdeep.errors import UserError
from howdeep.files.spill import Spill
from howdeep.files.tensors import Blocks
from howdeep.intake import columns as declared
from howdeep.intake.columns import Category, Column, Target
from howdeep.intake.reading import stream

ENCODING = f"{encoding.__name__}.{encoding.Table.__name__}"  # how new rows become the same inputs
SPLITS = ("stratified", "random", "group", "time", "given")
# Numbers of a block: the statistics of a table that fits into one are those of all of it at once.
CELLS = 1 << 22
IN_MEMORY = 1 << 26  # bytes of inputs that are not made block by block


def prepare(
    raw: Path,
    *,
    file: str,
    encoding: str,
    separator: str,
    columns: Mapping[str, Mapping[str, Any]],
    split: str,
    by: str | None = None,
    test_fraction: float | None = None,
    seed: int | None = None,
    test: Sequence[str] = (),
    validation: Sequence[str] = (),
    drop_missing_targets: bool = False,
) -> prepared.Prepared:
    """Reads the table, splits off the test rows, and fills and standardises with what the training rows say.

    x (n, inputs) has the inputs of each column in the order of the file, see `intake.columns`. With a column of kind
    `classes`, y (n,) is the index of each row's class; with columns of kind `number_target`, y (n, targets) are their
    values, each standardised as the training rows say: an error of 1 is what their mean reaches.

    Args:
        raw: the folder of the file.
        file, encoding, separator: see `intake.reading`.
        columns: what each column of the file is.
        split: how test rows are chosen. stratified: at random, class by class; random; group: all rows with one value
            of the column `by` are on one side; time: the last ones by the dates or numbers of `by`, or of the file
            where there is no `by`; given: those whose value of `by` is among `test`.
        test_fraction: share of the rows that are the test; not where they are given.
        seed: of the draw.
        test, validation: values of `by` where the parts are given.
        drop_missing_targets: whether rows without a target are left out.

    Raises:
        UserError: a file or a column that is not as declared, a row without a target, a part without rows.
    """
    of = declared.declared(columns, "data.prepare.columns")
    targets = targets_of(of, file)
    if not (width := sum(column.width for column in of.values())):
        raise UserError(
            f"{file}: expected a column that networks learn from, but all are excluded or targets"
        )
    _check_split(split, by, of, file, test_fraction, seed)
    keys = Keys(split, by, of, file, test, validation)
    rows = Rows(stream(raw / file, encoding, separator), of, file, drop=drop_missing_targets, keys=keys)
    codes, y = Spill(rows.codes(), len(seen(of)), raw), rows.y()
    kept, held_out, beside = _split(split, by, keys.whole(), file, y, test_fraction, seed)
    if y.ndim == 2:
        prepared.check_targets(y[kept], list(targets))
    table = Table(codes, of, width)
    x, unseen = table.standardised(kept, held_out)
    if y.ndim == 1:
        classes = next(column.classes for column in targets.values() if isinstance(column, Target))
        content = prepared.with_classes(x, train=y[kept], test=y[held_out], classes=classes)
    else:
        content = prepared.with_numbers(x, train=y[kept], test=y[held_out], targets=list(targets))
    return prepared.Prepared(
        content.train | beside,
        content.test,
        content.card | {"not_listed": unseen, "file": file, "encoding": ENCODING},
    )


class Table:
    """The rows of a table as codes, and the inputs that they become: all, or block by block where they are many.

    Args:
        codes: of all rows.
        columns: what each column is.
        width: the number of inputs.
    """

    def __init__(self, codes: Spill, columns: Mapping[str, Column], width: int) -> None:
        self._codes, self._columns, self._width = codes, columns, width

    def standardised(
        self, kept: np.ndarray, held_out: np.ndarray
    ) -> tuple[prepared.Standardised, dict[str, dict[str, int]]]:
        """The inputs of both parts, filled and standardised as the training rows say; and of each category that has
        any, how many words of each part are not listed.

        Args:
            kept, held_out: (n,) the training and the test rows, in the order that they shall have.
        """
        statistics, unseen = Statistics(self._width), {"train": {}, "test": {}}
        for part, rows in (("train", kept), ("test", held_out)):
            for block in self._blocks(rows):
                self._count(block, unseen[part])
                if part == "train":
                    statistics.add(expanded(block, self._columns))
        moments = statistics.moments()
        x_train, x_test = (self._inputs(rows, moments) for rows in (kept, held_out))
        card = statistics.card({"train": len(kept), "test": len(held_out)})
        told = {
            name: {part: unseen[part].get(name, 0) for part in unseen}
            for name in self._columns
            if name in unseen["train"] or name in unseen["test"]
        }
        return prepared.Standardised(x_train, x_test, card), told

    def _blocks(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """The codes of rows, so many at a time as become `CELLS` inputs."""
        size = max(1, CELLS // self._width)
        for first in range(0, len(rows), size):
            yield self._codes.take(rows[first : first + size])

    def _inputs(self, rows: np.ndarray, moments: tuple[np.ndarray, np.ndarray]) -> np.ndarray | Blocks:
        def blocks() -> Iterator[np.ndarray]:
            for block in self._blocks(rows):
                yield applied(block, self._columns, *moments)

        found = Blocks((len(rows), self._width), np.dtype(np.float32), blocks)
        return found if found.nbytes > IN_MEMORY else found.whole()

    def _count(self, codes: np.ndarray, unseen: dict[str, int]) -> None:
        """Counts the words that are not listed."""
        for place, (name, column) in enumerate(seen(self._columns).items()):
            if isinstance(column, Category) and (n := int((codes[:, place] == len(column.values)).sum())):
                unseen[name] = unseen.get(name, 0) + n


def grouped(
    train_file: Path,
    test_file: Path | None,
    *,
    in_shape: Sequence[int],
    validation_fraction: float,
    seed: int,
) -> Split:
    """As `examples.labelled`, but all rows of a group, `group` (n,), are on one side: no network is judged by rows of
    somebody whom it has seen.

    Raises:
        UserError: as `examples.labelled`, or a single group.
    """
    group = prepared.read(train_file, "group")["group"]
    kept, held_out = groups_apart(group, validation_fraction, seed)
    return _parted(train_file, test_file, in_shape, kept, held_out)


def in_order(
    train_file: Path, test_file: Path | None, *, in_shape: Sequence[int], validation_fraction: float
) -> Split:
    """As `examples.labelled`, but the last training rows are validation: nobody learns from the future."""
    rows = len(prepared.read(train_file, "x")["x"])
    return _parted(train_file, test_file, in_shape, *chronological(rows, validation_fraction))


def given(train_file: Path, test_file: Path | None, *, in_shape: Sequence[int]) -> Split:
    """As `examples.labelled`, but validation rows are those that `validation` (n,) marks."""
    marked = prepared.read(train_file, "validation")["validation"]
    return _parted(train_file, test_file, in_shape, np.flatnonzero(marked == 0), np.flatnonzero(marked))


def groups_apart(group: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows kept and those held out, of whole groups drawn at random until `fraction` of the rows is held out as
    nearly as can be.

    Raises:
        UserError: fewer than two groups.
    """
    names, members = np.unique(group, return_inverse=True)
    if len(names) < 2:
        raise UserError("a split by group must have at least two groups, got one: choose another column")
    size, sizes = held_out_size(len(group), fraction), np.bincount(members)
    order = random_state(seed).permutation(len(names))
    after = np.cumsum(sizes[order])[:-1]  # one group at least is kept
    held_out = np.isin(members, order[: int(np.abs(after - size).argmin()) + 1])
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _parted(
    train_file: Path, test_file: Path | None, in_shape: Sequence[int], kept: np.ndarray, held_out: np.ndarray
) -> Split:
    test = read_labelled(test_file, in_shape) if test_file else None
    return parted(read_labelled(train_file, in_shape), test, kept, held_out)


def _check_split(
    split: str, by: str | None, of: Mapping[str, Column], file: str, fraction: float | None, seed: int | None
) -> None:
    """Raises `UserError` unless the options of a split are there."""
    if split not in SPLITS:
        raise UserError(f"data.prepare.split must be one of {', '.join(SPLITS)}, got {split!r}")
    if by is not None and by not in of:
        raise UserError(f"data.prepare.by must be a column of {file}, got {by!r}")
    if by is None and split in ("group", "given"):
        raise UserError(f"data.prepare.split={split} must have a column in data.prepare.by, got none")
    if split != "given" and (fraction is None or (seed is None and split != "time")):
        raise UserError(
            f"data.prepare.split={split} must have test_fraction{'' if split == 'time' else ' and seed'}"
        )


def _split(
    split: str,
    by: str | None,
    keys: np.ndarray | None,
    file: str,
    y: np.ndarray,
    fraction: float | None,
    seed: int | None,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Training rows, test rows, and what of the training rows says how validation rows are chosen.

    Args:
        keys: what the column `by` says of each row, see `Keys`.
    """
    if split == "given":
        assert keys is not None
        for value, part in ((2, "test"), (1, "validation"), (0, "training")):
            if not (keys == value).any():
                raise UserError(f"{file}: expected {part} rows, but no value of '{by}' says so")
        kept = np.flatnonzero(keys != 2)
        return kept, np.flatnonzero(keys == 2), {"validation": (keys[kept] == 1).astype(np.uint8)}
    assert fraction is not None
    if split == "time":
        order = np.arange(len(y)) if keys is None else keys
        rows = np.argsort(order, kind="stable")
        first, last = chronological(len(rows), fraction)
        start = order[rows[last[0]]]
        kept = rows[first][order[rows[first]] < start]  # rows of one moment are on one side
        if not len(kept):
            raise UserError(f"{file}: expected dates before those of the test rows in '{by}', found none")
        return kept, rows[len(kept) :], {}
    assert seed is not None
    if split == "group":
        assert keys is not None
        kept, held_out = groups_apart(keys, fraction, seed)
        return kept, held_out, {"group": keys[kept]}
    labels = y if split == "stratified" and y.ndim == 1 else np.zeros(len(y))
    return *stratified(labels, fraction, seed), {}
