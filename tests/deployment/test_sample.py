"""What a gan or a language model makes is a function of the seed, and of what is asked."""

import csv
import io
from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import Image

from howdeep.deployment.sample import sample
from howdeep.errors import UserError

ASKED: dict[str, Any] = {"temperature": 1.0, "length": 40, "prompt": None}


def test_a_gan_draws_a_grid_of_images_the_same_ones_each_time(run, here):
    folder = str(run("model=gan", "data=digits"))
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        sample(folder, 5, seed, **ASKED, output=f"{name}.png")
    a, b, c = ((here.root / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c
    # three columns and two lines of 8 x 8 pixels, eight times as large, with gaps of two pixels
    with Image.open("a.png") as picture:
        assert picture.size == (3 * 66 + 2, 2 * 66 + 2)


def test_points_of_a_plane_are_a_table(run, capsys):
    sample(str(run("model=gan", "data=gaussian_ring")), 4, 0, **ASKED, output=None)
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["x1", "x2"]
    assert np.array(rows[1:], dtype=float).shape == (4, 2)


def test_a_text_goes_on_from_its_prompt_and_low_temperatures_repeat_what_is_likely(run, capsys):
    folder = str(run("model=gru", "data=torch_docs", "data.context=16"))
    told = {}
    for temperature in (0.01, 100.0):
        sample(folder, 2, 0, **(ASKED | {"temperature": temperature, "prompt": "def f"}), output=None)
        told[temperature] = capsys.readouterr().out
    first, second = told[100.0].rstrip("\n").split("\n\n")[:1], told[0.01]
    assert all(text.startswith("def f") for text in (*first, second))
    # an untrained network's logits differ little: near 0 one character wins each time, far above all are alike
    assert len(Counter(told[100.0])) > len(Counter(told[0.01]))


def test_what_makes_nothing_and_a_temperature_that_means_nothing_are_refused(run):
    with pytest.raises(UserError, match="expected a network that makes examples, a gan or a language model"):
        sample(str(run("model=mlp", "data=digits")), 1, 0, **ASKED, output=None)
    for temperature in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match="--temperature must be a number above 0"):
            sample("any", 1, 0, temperature=temperature, length=1, prompt=None, output=None)
