"""`howdeep explain`: what in an example makes a network answer as it does."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from howdeep.deployment.models import Trained, trained
from howdeep.deployment.predict import read
from howdeep.deployment.sample import grid, write_picture
from howdeep.encoding.images import Images
from howdeep.encoding.predictor import Predictor
from howdeep.errors import UserError
from howdeep.files.folders import file_aside
from howdeep.inspection import attention
from howdeep.inspection.attribution import integrated_gradients
from howdeep.nets.transformer import Attention
from howdeep.runs.examples import split_of

MOST = 64  # examples
NAMES = ("row", "answer", "part", "contribution")


def explain(model: str, inputs: Sequence[str], output: str | None) -> None:
    """Writes what each input adds to the output for the answer, by integrated gradients, see `inspection.attribution`.

    Of images a picture: each beside what its pixels add, red for, blue against. Of a transformer that reads symbols, in
    whose inputs there is no gradient, how much its last step attends to each step, the mean over layers and heads. Of
    all others a table: a row an example and an input.

    Args:
        model: see `models.trained`.
        inputs: as `predict` takes them; the first 64 examples are explained.
        output: a file; None: `explained.png` for images, standard output for tables.

    Raises:
        UserError: a network that gives no answer to be explained, or a row that is wrong.
    """
    [run] = trained(model)
    if run.record["task"] not in ("classification", "regression", "forecasting"):
        raise UserError(
            f"expected a network that classifies or tells numbers, got one for {run.record['task']}: explain another"
        )
    predictor = run.predictor()
    x, lines = _examples(predictor, inputs)
    if not x.is_floating_point():
        _write(_attended(run, x, lines), output)
        return
    with torch.no_grad():
        answers = run.net(x)
    if run.record["task"] == "classification":
        asked = [(predictor.answers.names(answers.shape[1]), answers.argmax(1))]
    else:
        names = predictor.answers.names(answers[0].numel())
        asked = [(names, torch.full((len(x),), place)) for place in range(len(names))]
    blank = (
        split_of(run.record, run.project).train[0].amin(0, keepdim=True)
        if x.ndim == 4
        else torch.zeros_like(x[:1])
    )
    found = [(names, of, integrated_gradients(run.net, x, of, blank).pixels) for names, of in asked]
    if isinstance(predictor.inputs, Images):
        path = Path(output or "explained.png")
        write_picture(_picture(predictor.inputs, x, found[0][2]), path)
        print(f"{len(x)} images, each beside what its pixels add: {path}", file=sys.stderr)
    else:
        parts = predictor.inputs.parts()
        _write(
            (
                (line, names[int(answer)], part, float(value))
                for names, of, pixels in found
                for line, answer, values in zip(lines, of, pixels.flatten(1), strict=True)
                for part, value in _summed(parts, values)
            ),
            output,
        )


def _examples(predictor: Predictor, inputs: Sequence[str]) -> tuple[Tensor, list[int]]:
    for sheet, source in read(predictor, inputs):
        asked = predictor.inputs.examples(sheet, source)
        if wrong := [error for error in asked.errors[:MOST] if error is not None]:
            raise UserError(wrong[0])
        return torch.from_numpy(asked.x[:MOST]), asked.rows.lines[:MOST]
    raise UserError("expected rows to be explained, got none")


def _summed(parts: Sequence[str], values: Tensor) -> Iterator[tuple[str, float]]:
    """What each part adds: a column may have several inputs."""
    whole: dict[str, float] = {}
    for part, value in zip(parts, values.tolist(), strict=True):
        whole[part] = whole.get(part, 0.0) + value
    yield from whole.items()


def _attended(run: Trained, x: Tensor, lines: Sequence[int]) -> Iterator[tuple]:
    if not any(isinstance(module, Attention) for module in run.net.modules()):
        raise UserError(
            f"expected a network that reads numbers, or a transformer, got a {run.record['model']} that reads symbols, "
            "which have no gradient: explain another"
        )
    looked = attention.maps(run.net, x).mean((0, 2))[:, -1]  # (n, time)
    for line, of in zip(lines, looked.tolist(), strict=True):
        for step, weight in enumerate(of, 1):
            yield line, "attention", f"step {step}", weight


def _picture(inputs: Images, x: Tensor, pixels: Tensor) -> np.ndarray:
    """Each image, and beside it what its pixels add: white where nothing, red for the answer, blue against it."""
    shown = inputs.pixels(x.numpy())
    shown = shown.repeat(3, 3) if shown.shape[3] == 1 else shown
    sums = pixels.sum(1).numpy()  # over channels
    strength = sums / np.abs(sums).max((1, 2), keepdims=True).clip(1e-12)
    fade = 1 - np.abs(strength)
    red, blue = np.where(strength > 0, 1, fade), np.where(strength < 0, 1, fade)
    colours = (np.stack([red, fade, blue], 3) * 255).round().astype(np.uint8)
    pairs = np.concatenate([shown, np.full_like(shown[:, :, :1], 255), colours], 2)
    return grid(pairs)


def _write(rows: Iterator[tuple], output: str | None) -> None:
    if output is None:
        _rows(csv.writer(sys.stdout, lineterminator="\n"), rows)
        return
    with file_aside(Path(output)) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        _rows(csv.writer(file, lineterminator="\n"), rows)


def _rows(writer, rows: Iterator[tuple]) -> None:
    writer.writerow(NAMES)
    writer.writerows((*rest, f"{value:.7g}") for *rest, value in rows)
