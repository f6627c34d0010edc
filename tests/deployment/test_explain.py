"""Explanations add up to what they explain."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

from howdeep.deployment.explain import explain
from howdeep.deployment.models import trained
from howdeep.encoding.inputs import Source
from howdeep.errors import UserError
from howdeep.intake.reading import read


def printed(capsys) -> pd.DataFrame:
    return pd.DataFrame(csv.DictReader(io.StringIO(capsys.readouterr().out))).astype({"contribution": float})


def test_what_all_columns_add_is_the_logit_less_that_of_a_row_of_means(run, capsys):
    folder = str(run("model=mlp", "data=breast_cancer", "model.depth=2"))
    x, _ = load_breast_cancer(return_X_y=True)
    pd.DataFrame(x[:3], columns=[f"x{place}" for place in range(1, 31)]).to_csv("new.csv", index=False)
    explain(folder, ["new.csv"], None)
    found = printed(capsys)
    [of] = trained(folder)
    x = torch.from_numpy(of.predictor().inputs.examples(read_csv("new.csv"), Source("new.csv")).x)
    with torch.no_grad():
        rise = of.net(x).max(1).values - of.net(torch.zeros(1, 30))[0][of.net(x).argmax(1)]
    sums = found.groupby("row", sort=False)["contribution"].sum()
    np.testing.assert_allclose(np.array(sums), rise.numpy(), rtol=0.02, atol=0.01)
    assert list(found["part"][:30]) == [f"x{place}" for place in range(1, 31)]


def read_csv(name):
    from pathlib import Path

    return read(Path(name), "utf-8", ",")


def test_images_are_shown_beside_what_their_pixels_add(run, here):
    for place, image in enumerate(load_digits(return_X_y=True)[0].reshape(-1, 8, 8)[:2]):
        Image.fromarray((image * 255 / 16).round().astype(np.uint8)).save(f"{place}.png")
    explain(str(run("model=cnn", "data=digits")), ["0.png", "1.png"], "told.png")
    with Image.open("told.png") as file:
        picture = np.asarray(file)
    assert picture.shape == (
        8 * 8 + 4,
        2 * (17 * 8 + 2) + 2,
        3,
    )  # eight times as large: 8 pixels, a gap, 8 pixels
    assert (picture[2:66, 2:66] == picture[2:66, 2:66, :1]).all()  # the image is grey
    assert (picture[2:66, 74:138] != picture[2:66, 74:138, :1]).any()  # what its pixels add is red and blue


def test_a_transformer_that_reads_symbols_is_explained_by_where_it_looks(run, capsys):
    pd.DataFrame(np.zeros((2, 40), dtype=int)).to_csv("new.csv", index=False)
    explain(str(run("model=transformer", "data=dyck")), ["new.csv"], None)
    found = printed(capsys)
    sums = found.groupby("row")["contribution"].sum()
    np.testing.assert_allclose(np.array(sums), 1, atol=1e-4)
    with pytest.raises(UserError, match="expected a network that reads numbers, or a transformer, got a gru"):
        explain(str(run("model=gru", "data=dyck", entry="other")), ["new.csv"], None)


def test_what_gives_no_answer_to_be_explained_is_refused(run):
    with pytest.raises(
        UserError, match="expected a network that classifies or tells numbers, got one for generation"
    ):
        explain(str(run("model=gan", "data=digits")), ["new.csv"], None)
