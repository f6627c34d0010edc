"""A table of somebody's own: its columns as the data set's YAML declares them, and what is told from them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from howdeep.data import prepared
from howdeep.data.examples import Split, labelled
from howdeep.data.splits import chronological, held_out_size, random_state, stratified
from howdeep.errors import UserError
from howdeep.intake import columns as declared
from howdeep.intake import steps
from howdeep.intake.columns import Category, Column, NumberTarget, Target, Where
from howdeep.intake.reading import Sheet, read

SPLITS = ("stratified", "random", "group", "time", "given")


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
    sheet, of = read(raw / file, encoding, separator), declared.declared(columns, "data.prepare.columns")
    declared.check_names(of, sheet, file)
    sheet = _with_targets(sheet, of, file, drop=drop_missing_targets)
    x = np.concatenate([_inputs(name, column, sheet, file) for name, column in of.items()], axis=1)
    if not x.shape[1]:
        raise UserError(
            f"{file}: expected a column that networks learn from, but all are excluded or targets"
        )
    targets = {name: column for name, column in of.items() if isinstance(column, Target | NumberTarget)}
    y = _targets(targets, sheet, file)
    kept, held_out, beside = _split(split, by, sheet, of, file, y, test_fraction, seed, test, validation)
    x = _filled(x, kept)
    parts = {"train": (x[kept], y[kept]), "test": (x[held_out], y[held_out])}
    if y.ndim == 1:
        classes = next(column.classes for column in targets.values() if isinstance(column, Target))
        content = prepared.labelled(**parts, classes=classes, axis=0)
    else:
        content = prepared.numbers(**parts, targets=list(targets))
    train = content.train | {name: array[kept] for name, array in beside.items()}
    unseen = {
        name: {"train": int(other[kept].sum()), "test": int(other[held_out].sum())}
        for name, column in of.items()
        if isinstance(column, Category)
        for other in [column.indices(sheet.column(name)) == len(column.values)]
        if other.any()
    }
    return prepared.Prepared(train, content.test, content.card | {"not_listed": unseen, "file": file})


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
    whole = labelled(train_file, test_file, in_shape=in_shape, validation_fraction=0.5, seed=0)
    arrays = prepared.read(train_file, "x", "y")
    x, y = (torch.from_numpy(arrays[name]) for name in ("x", "y"))
    x = x.view(len(x), *whole.train[0].shape[1:])
    train, validation = (torch.from_numpy(rows) for rows in (kept, held_out))
    return Split((x[train], y[train]), (x[validation], y[validation]), whole.test)


def _with_targets(sheet: Sheet, of: Mapping[str, Column], file: str, *, drop: bool) -> Sheet:
    """The rows that have every target.

    Raises:
        UserError: no column is a target, or rows lack theirs and shall not be dropped.
    """
    targets = [name for name, column in of.items() if isinstance(column, Target | NumberTarget)]
    if not targets:
        raise UserError(
            f"expected a column of {file} with kind classes or number_target in data.prepare.columns, found none"
        )
    kinds = {type(of[name]) for name in targets}
    if len(kinds) > 1 or (Target in kinds and len(targets) > 1):
        raise UserError(
            f"expected one column of {file} with classes, or one or more with numbers as targets, got "
            f"{', '.join(targets)}"
        )
    for name in targets:
        missing = [place for place, text in enumerate(sheet.column(name)) if text in of[name].missing]
        if missing and not drop:
            raise UserError(
                f"{file}, column '{name}': expected a target in every row, but {len(missing)} of {len(sheet.rows)} "
                f"have none, the first in line {sheet.lines[missing[0]]}: write them, or set "
                "data.prepare.drop_missing_targets=true"
            )
        gone = set(missing)
        left = [place for place in range(len(sheet.rows)) if place not in gone]
        sheet = Sheet(
            sheet.names, [sheet.rows[place] for place in left], [sheet.lines[place] for place in left]
        )
    return sheet


def _inputs(name: str, column: Column, sheet: Sheet, file: str) -> np.ndarray:
    return column.inputs(sheet.column(name), Where(file, name, sheet.lines))


def _targets(targets: Mapping[str, Column], sheet: Sheet, file: str) -> np.ndarray:
    """(n,) classes, or (n, targets) numbers."""
    found = []
    for name, column in targets.items():
        where, values = Where(file, name, sheet.lines), sheet.column(name)
        if isinstance(column, Target):
            return column.labels(values, where)
        assert isinstance(column, NumberTarget)
        found.append(column.numbers(values, where))
    return np.stack(found, axis=1)


def _filled(x: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Missing numbers become the mean of the training rows that have one, or 0 where none has."""
    known = ~np.isnan(x[kept])
    counts = known.sum(axis=0)
    means = np.divide(
        np.where(known, x[kept], 0).sum(axis=0), counts, out=np.zeros(x.shape[1]), where=counts > 0
    )
    return np.where(np.isnan(x), means, x)


def _split(
    split: str,
    by: str | None,
    sheet: Sheet,
    of: Mapping[str, Column],
    file: str,
    y: np.ndarray,
    fraction: float | None,
    seed: int | None,
    test: Sequence[str],
    validation: Sequence[str],
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Training rows, test rows, and what of all rows says how validation rows are chosen."""
    if split not in SPLITS:
        raise UserError(f"data.prepare.split must be one of {', '.join(SPLITS)}, got {split!r}")
    if by is not None and by not in of:
        raise UserError(f"data.prepare.by must be a column of {file}, got {by!r}")
    if by is None and split in ("group", "given"):
        raise UserError(f"data.prepare.split={split} must have a column in data.prepare.by, got none")
    if split == "given":
        values = np.array(sheet.column(str(by)))
        held_out, marked = np.isin(values, list(test)), np.isin(values, list(validation))
        for part, rows in (("test", held_out), ("validation", marked), ("training", ~(held_out | marked))):
            if not rows.any():
                raise UserError(f"{file}: expected {part} rows, but no value of '{by}' says so")
        return np.flatnonzero(~held_out), np.flatnonzero(held_out), {"validation": marked.astype(np.uint8)}
    if fraction is None or (seed is None and split != "time"):
        raise UserError(
            f"data.prepare.split={split} must have test_fraction{'' if split == 'time' else ' and seed'}"
        )
    if split == "time":
        order = np.arange(len(sheet.rows))
        if by is not None:
            order = steps.times(sheet.column(by), of[by], Where(file, by, sheet.lines))
        rows = np.argsort(order, kind="stable")
        first, last = chronological(len(rows), fraction)
        start = order[rows[last[0]]]
        kept = rows[first][order[rows[first]] < start]  # rows of one moment are on one side
        if not len(kept):
            raise UserError(f"{file}: expected dates before those of the test rows in '{by}', found none")
        return kept, rows[len(kept) :], {}
    assert seed is not None
    if split == "group":
        _, group = np.unique(sheet.column(str(by)), return_inverse=True)
        return *groups_apart(group, fraction, seed), {"group": group.astype(np.int64)}
    labels = y if split == "stratified" and y.ndim == 1 else np.zeros(len(y))
    return *stratified(labels, fraction, seed), {}
