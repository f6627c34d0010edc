"""From prepared files to tensors: training, validation and, if asked for, test examples."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from howdeep.data import prepared
from howdeep.data.chosen import chosen
from howdeep.data.splits import chronological, random_state, stratified
from howdeep.errors import UserError

Examples = tuple[Tensor, Tensor]  # x (n, *in_shape) and y (n, ...)


class Split(NamedTuple):
    """The examples of each part; `test` is None unless the test file was given. Of a text, `alphabet` has the character
    that each number stands for.
    """

    train: Examples
    validation: Examples
    test: Examples | None
    alphabet = ""  # no field: see `TextSplit`


class TextSplit(Split):
    """The examples of a running text."""

    alphabet: str

    def __new__(cls, parts: Split, alphabet: str) -> "TextSplit":
        own = tuple.__new__(cls, parts)
        own.alphabet = alphabet
        return own

    def _replace(self, **parts: Examples | None) -> "TextSplit":
        return TextSplit(Split(*self)._replace(**parts), self.alphabet)


def labelled(
    train_file: Path,
    test_file: Path | None,
    *,
    in_shape: Sequence[int],
    validation_fraction: float,
    seed: int,
) -> Split:
    """Examples x (n, *in_shape) with a class, y (n,) int64, or with numbers, y (n, targets) float32.

    Args:
        train_file: training and validation examples.
        test_file: test examples, or None to leave them unread.
        in_shape: shape of one example; only its product is fixed by the data.
        validation_fraction: share of the training file that becomes validation, at random, class by class.
        seed: decides which examples that is; the same for every run, so that runs can be compared.

    Raises:
        UserError: an unreadable file, an `in_shape` that does not fit, a fraction not between 0 and 1.
    """
    test = read_labelled(test_file, in_shape) if test_file else None
    return _held_out(read_labelled(train_file, in_shape), test, validation_fraction, seed)


def _held_out(train: Examples, test: Examples | None, fraction: float, seed: int) -> Split:
    """A random share of the training examples becomes validation: class by class, where each example has one."""
    _, y = train
    classes = y.numpy() if y.ndim == 1 else np.zeros(len(y))
    return parted(train, test, *stratified(classes, fraction, seed))


def parted(train: Examples, test: Examples | None, kept: np.ndarray, held_out: np.ndarray) -> Split:
    """The examples of a training file, of which some rows, (n,), are kept for training and others for validation."""
    x, y = train
    rows = [torch.from_numpy(part) for part in (kept, held_out)]
    learned, validated = ((chosen(x, of), y[of]) for of in rows)
    return Split(learned, validated, test)


def read_labelled(path: Path, in_shape: Sequence[int]) -> Examples:
    """All examples of a prepared file: x (n, *in_shape) and y (n, ...).

    Raises:
        UserError: an unreadable file, an `in_shape` that does not fit.
    """
    arrays = prepared.read(path, "x", "y")
    x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
    return x.view(len(x), *_fitting(in_shape, x[0].numel(), path.parent.name)), y  # (n, *in_shape), (n, ...)


def _fitting(in_shape: Sequence[int], numbers: int, name: str) -> tuple[int, ...]:
    """`in_shape` as a tuple, if an example of so many numbers can have it."""
    listed = isinstance(in_shape, Sequence) and not isinstance(in_shape, str)
    if not (listed and len(in_shape) and all(map(_is_whole, in_shape))):
        raise UserError(f"data.in_shape must list whole numbers above 0, as in [{numbers}], got {in_shape!r}")
    if (product := math.prod(in_shape)) != numbers:
        raise UserError(
            f"data.in_shape {list(in_shape)} holds {product} numbers, an example of {name} {numbers}: "
            f"choose sizes whose product is {numbers}"
        )
    return tuple(in_shape)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def mislabelled(
    train_file: Path,
    test_file: Path | None,
    *,
    in_shape: Sequence[int],
    validation_fraction: float,
    seed: int,
    random_labels: float,
) -> Split:
    """Labelled examples, of which a share of the training ones has labels drawn evenly from all classes.

    Validation and test labels stay true. A label that is drawn may be the true one (Zhang et al., 2017, "Understanding
    deep learning requires rethinking generalization").

    Args:
        train_file, test_file, in_shape, validation_fraction: see `labelled`, whose split it is.
        seed: of the split, and of the labels.
        random_labels: the share, from 0 to 1.

    Raises:
        UserError: as `labelled`, or a share beyond 0 to 1.
    """
    number = isinstance(random_labels, int | float) and not isinstance(random_labels, bool)
    if not (number and 0 <= random_labels <= 1):
        raise UserError(f"data.examples.random_labels must be a number from 0 to 1, got {random_labels!r}")
    split = labelled(
        train_file, test_file, in_shape=in_shape, validation_fraction=validation_fraction, seed=seed
    )
    x, y = split.train
    random, n, y = random_state(seed, 1), round(len(y) * random_labels), y.clone()
    relabelled = torch.from_numpy(random.permutation(len(y))[:n])
    y[relabelled] = torch.from_numpy(random.randint(int(y.max()) + 1, size=n))
    return split._replace(train=(x, y))


def thinned(
    train_file: Path,
    test_file: Path | None,
    *,
    in_shape: Sequence[int],
    validation_fraction: float,
    seed: int,
    rare: Sequence[int],
    ratio: float,
) -> Split:
    """Labelled examples, of which some classes are rare in training; validation and test have all of them.

    Of `ratio` training examples of a rare class one is left, or one of the class: the step imbalance of Buda et al.
    (2018, "A systematic study of the class imbalance problem in convolutional neural networks").

    Args:
        train_file, test_file, in_shape, validation_fraction: see `labelled`, whose split it is.
        seed: of the split, and of which examples are left.
        rare: indices of the classes.
        ratio: of a class that is not rare to one that is, at least 1.

    Raises:
        UserError: as `labelled`, a ratio below 1, or classes that there are not.
    """
    number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
    if not (number and 1 <= ratio < math.inf):
        raise UserError(f"data.examples.ratio must be a number of at least 1, got {ratio!r}")
    split = labelled(
        train_file, test_file, in_shape=in_shape, validation_fraction=validation_fraction, seed=seed
    )
    x, y = split.train
    classes = int(y.max()) + 1
    listed = isinstance(rare, Sequence) and not isinstance(rare, str)
    if not (listed and all(type(label) is int for label in rare) and set(rare) < set(range(classes))):
        raise UserError(
            f"data.examples.rare must list some of the classes 0 to {classes - 1}, and not all, got {rare!r}"
        )
    random, left_out = random_state(seed, 2), torch.zeros(len(y), dtype=torch.bool)
    for label in sorted(rare):
        members = random.permutation(np.flatnonzero(y.numpy() == label))
        left_out[torch.from_numpy(members[max(1, round(len(members) / ratio)) :])] = True
    return split._replace(train=(x[~left_out], y[~left_out]))


def sequences(
    train_file: Path,
    test_file: Path | None,
    *,
    in_shape: Sequence[int],
    vocabulary: int,
    validation_fraction: float,
    seed: int,
) -> Split:
    """Sequences of symbols x (n, time) int64, with a class y (n,) or a symbol at every step, y (n, time), int64.

    Args:
        train_file, test_file, validation_fraction, seed: see `labelled`, whose split it is.
        in_shape: (time,).
        vocabulary: the number of symbols that the network is built for, from 0 on.

    Raises:
        UserError: as `labelled`, or a vocabulary that does not hold all symbols.
    """
    split = labelled(
        train_file, test_file, in_shape=in_shape, validation_fraction=validation_fraction, seed=seed
    )
    parts = [(x.long(), y.long()) for x, y in filter(None, split)]
    symbols = 1 + max(int(x.max()) for x, _ in parts)
    if not _is_whole(vocabulary) or vocabulary < symbols:
        raise UserError(
            f"data.vocabulary must be a whole number of at least {symbols}, the symbols of {train_file.parent.name}, "
            f"got {vocabulary!r}"
        )
    train, validation, *test = parts
    return Split(train, validation, test[0] if test else None)


def windows(
    train_file: Path,
    test_file: Path | None,
    *,
    context: int,
    in_shape: Sequence[int],
    validation_fraction: float,
    horizon: int = 1,
) -> Split:
    """Examples of a series s: x = (s_(t-horizon-context+1), ..., s_(t-horizon)), y = s_t.

    x is (n, context, variables), y is (n, variables). The last part of the training file is validation. A
    window may look back into the part before its own, as a forecaster may, and never forward: no y of a later
    part is in an earlier part's x or y.

    Args:
        train_file: training and validation steps.
        test_file: the steps that follow, or None to leave them unread.
        context: length of a window.
        in_shape: (context, variables), the shape that the network is built for.
        validation_fraction: share of the training file that becomes validation.
        horizon: how many steps y comes after the last that x holds.

    Raises:
        UserError: an unreadable file, a context or a horizon that the training part is too short for, an `in_shape`
            that is not the windows', a fraction not between 0 and 1.
    """
    series = _read_series(train_file)
    name, steps = train_file.parent.name, len(series)
    boundary = len(chronological(steps, validation_fraction)[0])
    if not _is_whole(horizon) or horizon >= boundary:
        raise UserError(
            f"data.examples.horizon must be a whole number from 1 to {boundary - 1}, got {horizon!r}: "
            f"a value so far ahead must fit into the {boundary} training steps of {name}"
        )
    if not _is_whole(context) or context > boundary - horizon:
        raise UserError(
            f"data.context must be a whole number from 1 to {boundary - horizon}, got {context!r}: "
            f"a window and the value after it must fit into the {boundary} training steps of {name}"
        )
    shape = [context, series.shape[1]]
    if not isinstance(in_shape, Sequence) or list(in_shape) != shape:
        raise UserError(f"data.in_shape must be {shape} here, got {in_shape}: change data.context instead")
    test = None
    if test_file:
        whole = torch.cat([series, _read_series(test_file)])
        test = _windows(whole, context, horizon, steps, len(whole))
    return Split(
        train=_windows(series, context, horizon, context + horizon - 1, boundary),
        validation=_windows(series, context, horizon, boundary, steps),
        test=test,
    )


def _read_series(path: Path) -> Tensor:
    return torch.from_numpy(prepared.read(path, "series")["series"])  # (time, variables)


def _windows(series: Tensor, context: int, horizon: int, start: int, stop: int) -> Examples:
    """The examples whose y is at the steps from `start` to before `stop`."""
    first, last = start - horizon - context + 1, stop - horizon
    seen = series[first:last].unfold(0, context, 1)  # (n, variables, context)
    return seen.transpose(1, 2).contiguous(), series[start:stop]  # (n, context, variables), (n, variables)


def characters(
    train_file: Path,
    test_file: Path | None,
    *,
    context: int,
    in_shape: Sequence[int],
    vocabulary: int,
    validation_fraction: float,
) -> Split:
    """Windows of a text c and, for each character, the next one: x = (c_t, ..., c_(t+context-1)), y = (c_(t+1),
    ..., c_(t+context)), both (n, context) int64, indices into the text's alphabet.

    Every character of a part is predicted once, but for those at its end that fill no window and the text's
    first. The last part of the training file is validation. No y of a later part is in an earlier part's x or y.

    Args:
        train_file: training and validation characters.
        test_file: the characters that follow, or None to leave them unread.
        context: length of a window.
        in_shape: (context,), the shape that the network is built for.
        vocabulary: the number of characters that the network is built for, that of the alphabet.
        validation_fraction: share of the training file that becomes validation.

    Raises:
        UserError: an unreadable file, a context that a part is too short for, an `in_shape` or a vocabulary
            that are not the text's, a fraction not between 0 and 1.
    """
    arrays, name = prepared.read(train_file, "text", "alphabet"), train_file.parent.name
    text, alphabet = _numbers(arrays), "".join(map(chr, arrays["alphabet"].tolist()))  # of code points
    boundary = len(chronological(len(text), validation_fraction)[0])
    bounds = [(1, boundary), (boundary, len(text))]
    if test_file:
        text = torch.cat([text, _numbers(prepared.read(test_file, "text"))])
        bounds.append((bounds[-1][1], len(text)))
    longest = min(stop - start for start, stop in bounds)
    if not _is_whole(context) or context > longest:
        raise UserError(
            f"data.context must be a whole number from 1 to {longest}, got {context!r}: "
            f"each part of {name} must hold a window and the character after it"
        )
    if not isinstance(in_shape, Sequence) or list(in_shape) != [context]:
        raise UserError(
            f"data.in_shape must be {[context]} here, got {in_shape}: change data.context instead"
        )
    if vocabulary != len(alphabet):
        raise UserError(
            f"data.vocabulary must be {len(alphabet)}, the characters of {name}, got {vocabulary!r}"
        )
    train, validation, *test = (_spans(text, context, start, stop) for start, stop in bounds)
    return TextSplit(Split(train, validation, test[0] if test else None), alphabet)


def _numbers(arrays: Mapping[str, np.ndarray]) -> Tensor:
    return torch.from_numpy(arrays["text"].astype(np.int64))  # (time,)


def _spans(text: Tensor, context: int, start: int, stop: int) -> Examples:
    """Windows side by side whose y are the characters from `start` to before `stop`."""
    n = (stop - start) // context
    x, y = text[start - 1 :][: n * context], text[start:][: n * context]
    return x.view(n, context), y.view(n, context)


def decode(indices: Tensor, alphabet: str) -> str:
    """The text of indices (time,) into an alphabet."""
    return "".join(alphabet[place] for place in indices.tolist())
