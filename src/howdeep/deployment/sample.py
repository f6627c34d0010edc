"""`howdeep sample`: what a network that makes examples makes: pictures, points, or text."""

import csv
import math
import sys
import unicodedata
from pathlib import Path

import numpy as np
import torch

from howdeep.data.splits import random_state
from howdeep.deployment.models import Trained, trained
from howdeep.encoding.images import Images
from howdeep.encoding.kinds import inputs_of
from howdeep.encoding.numbers import Numbers
from howdeep.encoding.texts import RunningText
from howdeep.errors import UserError
from howdeep.files.folders import file_aside
from howdeep.intake import images
from howdeep.runs.examples import split_of
from howdeep.tasks.language_modelling import write

GAP = 2  # pixels between pictures
SMALLEST = 64  # pixels of a picture; smaller ones are enlarged


def sample(
    model: str, n: int, seed: int, *, temperature: float, length: int, prompt: str | None, output: str | None
) -> None:
    """Writes n examples: images as one picture, points of a plane as a table, texts one below the other.

    Args:
        model: see `models.trained`.
        n: examples.
        seed: the same one gives the same examples.
        temperature: by which a language model's logits are divided: below 1 it writes what is likely, above it dares.
        length: characters of a text.
        prompt: with which a text begins; None: with a window of the validation text, drawn by the seed.
        output: a file; None: `sample.png` for images, standard output for all else.

    Raises:
        UserError: a network that makes nothing, a temperature or a prompt that means nothing.
    """
    if not (math.isfinite(temperature) and temperature > 0):
        raise UserError(f"--temperature must be a number above 0, got {temperature}")
    [run] = trained(model)
    if run.record["task"] == "generation":
        _examples(run, n, seed, output)
    elif run.record["task"] == "language_modelling":
        texts = _texts(run, n, seed, temperature, length, prompt)
        _write_text("\n\n".join(texts) + "\n", output)
    else:
        raise UserError(
            f"expected a network that makes examples, a gan or a language model, got one for {run.record['task']}: "
            f"`howdeep predict {model} FILE` asks it"
        )


def _examples(run: Trained, n: int, seed: int, output: str | None) -> None:
    noise = torch.randn(
        n, run.record["config"]["model"]["latent"], generator=torch.Generator().manual_seed(seed)
    )
    with torch.no_grad():
        made = run.net.get_submodule("generator")(noise).numpy()
    inputs = inputs_of(run.data, run.card())
    if isinstance(inputs, Images):
        path = Path(output or "sample.png")
        write_picture(grid(inputs.pixels(made)), path)
        print(f"{n} images: {path}", file=sys.stderr)
        return
    assert isinstance(inputs, Numbers)
    numbers = inputs.raw(made)
    rows = [list(inputs.columns()), *([f"{value:.7g}" for value in row] for row in numbers.tolist())]
    if output is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(rows)
    else:
        with file_aside(Path(output)) as aside, aside.open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def _texts(run: Trained, n: int, seed: int, temperature: float, length: int, prompt: str | None) -> list[str]:
    inputs = inputs_of(run.data, run.card())
    assert isinstance(inputs, RunningText)
    validation = split_of(run.record, run.project).validation[0]
    found = []
    for number in range(n):
        drawn = validation[random_state(seed, number).randint(len(validation))]
        begun = drawn if prompt is None else torch.from_numpy(inputs.window(prompt, drawn.numpy()))
        written = write(run.net, begun, length, seed=seed + number, temperature=temperature)
        start = inputs.text(drawn.numpy()) if prompt is None else unicodedata.normalize("NFC", prompt)
        found.append(start + inputs.text(written.numpy()))
    return found


def _write_text(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text)
        return
    with file_aside(Path(output)) as aside:
        aside.write_text(text, encoding="utf-8")


def grid(pixels: np.ndarray) -> np.ndarray:
    """Pictures side by side, (n, height, width, channels) uint8 to (height, width, channels), enlarged if small."""
    n, height, width, channels = pixels.shape
    factor = max(1, SMALLEST // height)
    pixels = pixels.repeat(factor, 1).repeat(factor, 2)
    columns = math.ceil(math.sqrt(n))
    lines = math.ceil(n / columns)
    high, wide = height * factor + GAP, width * factor + GAP
    whole = np.full((lines * high + GAP, columns * wide + GAP, channels), 255, dtype=np.uint8)
    for place, picture in enumerate(pixels):
        top, left = GAP + place // columns * high, GAP + place % columns * wide
        whole[top : top + high - GAP, left : left + wide - GAP] = picture
    return whole


def write_picture(pixels: np.ndarray, path: Path) -> None:
    """Writes pixels, (height, width, channels), as a PNG file."""
    with file_aside(path) as aside:
        aside.write_bytes(images.png(pixels))
