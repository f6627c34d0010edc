"""Examples of series that are forecast, one or many: windows that never go from one series into another."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from howdeep.data import prepared
from howdeep.data.examples import Examples, Split
from howdeep.data.splits import chronological
from howdeep.errors import UserError


def windows(
    train_file: Path,
    test_file: Path | None,
    *,
    context: int,
    in_shape: Sequence[int],
    validation_fraction: float,
    horizon: int = 1,
) -> Split:
    """Examples as those of `examples.windows`, of each series on its own: no window goes from one into another.

    x is (n, context, variables + inputs + known): at each step the variables, which are told, then other inputs, and
    then what is known ahead as it is `horizon` steps later, so that the last step shows what is known of the one that
    is told. y is (n, variables). The last part of the training steps of each series is validation. Examples come in the
    order of time.

    Args:
        train_file, test_file: what `own_series.prepare` made.
        context, validation_fraction, horizon: see `examples.windows`.
        in_shape: (context, variables + inputs + known).

    Raises:
        UserError: as `examples.windows`, where the shortest series is too short.
    """
    files = [prepared.read(path, "series", "of") for path in (train_file, test_file) if path]
    whole = {name: np.concatenate([arrays[name] for arrays in files]) for name in files[0]}
    told, of = whole["series"], whole["of"]
    seen = np.concatenate([whole[name] for name in ("series", "inputs") if name in whole], axis=1)
    known = whole.get("known", np.empty((len(of), 0), dtype=np.float32))
    counts = np.bincount(of)
    several = np.split(np.argsort(of, kind="stable"), np.cumsum(counts)[:-1])
    steps = np.bincount(files[0]["of"], minlength=len(counts))  # of training and validation, each series
    boundaries = [len(chronological(int(n), validation_fraction)[0]) for n in steps]
    _check_lengths(context, horizon, min(boundaries), len(counts), train_file.parent.name)
    if not isinstance(in_shape, Sequence) or list(in_shape) != (
        shape := [context, seen.shape[1] + known.shape[1]]
    ):
        raise UserError(f"data.in_shape must be {shape} here, got {in_shape}: change data.context instead")

    def examples(starts: Sequence[int], stops: Sequence[int]) -> Examples:
        """Those whose y is at the steps of each series from `start` to before `stop`."""
        back = np.arange(1 - context - horizon, 1)  # from the first step that is seen to the one that is told
        found = [
            own[np.arange(start, stop)[:, None] + back]
            for own, start, stop in zip(several, starts, stops, strict=True)
        ]
        places = np.concatenate(found)  # (n, context + horizon)
        places = places[np.argsort(places[:, -1])]
        x = np.concatenate(
            [seen[places[:, :context]], known[places[:, horizon:]]], axis=2
        )  # (n, context, ...)
        return torch.from_numpy(x), torch.from_numpy(told[places[:, -1]])  # y (n, variables)

    return Split(
        train=examples([context + horizon - 1] * len(counts), boundaries),
        validation=examples(boundaries, steps.tolist()),
        test=examples(steps.tolist(), counts.tolist()) if test_file else None,
    )


def _check_lengths(context: int, horizon: int, steps: int, series: int, name: str) -> None:
    """Raises `UserError` unless a window and what it tells fit into so many training steps."""
    told = f"the {steps} training steps of {f'the shortest series of {name}' if series > 1 else name}"
    if type(horizon) is not int or not 1 <= horizon < steps:
        raise UserError(
            f"data.examples.horizon must be a whole number from 1 to {steps - 1}, got {horizon!r}: "
            f"a value so far ahead must fit into {told}"
        )
    if type(context) is not int or not 1 <= context <= steps - horizon:
        raise UserError(
            f"data.context must be a whole number from 1 to {steps - horizon}, got {context!r}: "
            f"a window and the value after it must fit into {told}"
        )
