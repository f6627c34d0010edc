"""Command line, ONNX Runtime, MLflow and HTTP say the same of every architecture and task, to 1e-5."""

import base64
import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from howdeep.deployment.export import export
from howdeep.deployment.models import predictor_of, trained
from howdeep.deployment.predict import predict
from howdeep.encoding.images import Images
from howdeep.encoding.inputs import Source
from howdeep.intake import images
from howdeep.intake.reading import Sheet
from howdeep.runs.examples import split_of
from howdeep.tracking import models
from tests.commands import Command
from tests.tracking.test_serving import free_port

pytestmark = pytest.mark.slow
CASES = [
    ("mlp", "breast_cancer", "classification"), ("cnn", "digits", "classification"),
    ("rnn", "digit_sequences", "classification"), ("gru", "elnino", "forecasting"),
    ("lstm", "adding", "regression"), ("autoencoder", "digits", "reconstruction"),
    ("transformer", "dyck", "classification"), ("transformer", "torch_docs", "language_modelling"),
    ("lstm", "copying_memory", "sequence_labelling"),
]  # fmt: skip


def close(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert list(found.columns) == list(expected.columns)
    for name in expected:
        if pd.api.types.is_numeric_dtype(expected[name]):
            np.testing.assert_allclose(found[name].astype(float), expected[name], rtol=1e-5, atol=1e-5)
        else:
            assert found[name].astype(str).tolist() == expected[name].astype(str).tolist()


def asked(of: Any) -> pd.DataFrame:
    """Rows as somebody has them, made of the first validation examples."""
    inputs = of.predictor().inputs
    x = split_of(of.record, of.project).validation[0][:4].numpy()
    if of.record["task"] == "language_modelling":
        return pd.DataFrame({"text": ["".join(inputs.alphabet[number] for number in row) for row in x]})
    if of.record["task"] == "forecasting":
        scale = inputs.scales[""]["series"]
        return pd.DataFrame(x[0] * scale["std"] + scale["mean"], columns=list(inputs.columns()))
    if isinstance(inputs, Images):  # as base64, which is what a server takes
        pictures = [images.png(picture) for picture in inputs.pixels(x)]
        return pd.DataFrame({"image": [base64.b64encode(content).decode() for content in pictures]})
    names = [f"x{place}" for place in range(1, x[0].size + 1)]
    raw = inputs.raw(x) if inputs.symbols is None else x.reshape(len(x), -1).astype(float)
    return pd.DataFrame(raw, columns=names)


def typed(rows: pd.DataFrame) -> list[str]:
    """Files with the rows, as somebody has them."""
    if "text" in rows:  # of a language model: blanks at the ends count
        for place, text in enumerate(rows["text"]):
            Path(f"{place}.txt").write_text(text, encoding="utf-8", newline="")
        return [f"{place}.txt" for place in range(len(rows))]
    if "image" not in rows:
        rows.to_csv("rows.csv", index=False)
        return ["rows.csv"]
    names = [f"{place}.png" for place in range(len(rows))]
    for name, word in zip(names, rows["image"], strict=True):
        Path(name).write_bytes(base64.b64decode(word))
    return names


@pytest.mark.parametrize(("model", "data", "task"), CASES)
def test_all_ways_say_the_same(run, here, tmp_path, model, data, task):
    folder = str(run(f"model={model}", f"data={data}", f"task={task}", "model.depth=2"))
    [of] = trained(folder)
    rows = asked(of)
    sheet = Sheet(
        list(rows),
        [[str(value) for value in row] for row in rows.itertuples(index=False)],
        list(range(len(rows))),
    )
    expected = pd.DataFrame(of.predictor().predict(sheet, Source("rows")).columns)
    right = expected.notna().all(axis=1)
    assert right.any()

    predict(folder, typed(rows), "told.parquet")
    close(pd.read_parquet("told.parquet").loc[right, list(expected)], expected.loc[right])
    for name in ("net.onnx", "net.pt2"):
        export(folder, None, name, None)
        told = predictor_of(name).predict(sheet, Source("rows"))
        close(pd.DataFrame(told.columns).loc[right], expected.loc[right])
    import mlflow

    models.write(str(tmp_path / "model"), of.net, of.record["config"]["model"], None, of.encoding())
    close(mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(rows).loc[right], expected.loc[right])


@pytest.mark.parametrize(("model", "data", "task"), CASES[:4])
def test_http_says_the_same_and_a_wrong_row_is_answered_with_400(run, here, model, data, task):
    folder = run(f"model={model}", f"data={data}", f"task={task}")
    [of] = trained(str(folder))
    rows, port = asked(of), free_port()
    predict(str(folder), typed(rows), "told.parquet")
    expected = pd.read_parquet("told.parquet").drop(columns=[*rows, "error"])
    server = Command(here.root, "serve", str(folder), "--port", str(port))
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/health")
        content = rows.to_csv(index=False).encode()
        answer = json.loads(read(f"{address}/invocations", content))
        right = expected.notna().all(axis=1)
        close(pd.DataFrame(answer["predictions"]).loc[right], expected.loc[right])
        wrong = rows.astype(str).assign(**{rows.columns[0]: "?"}).to_csv(index=False)
        with pytest.raises(urllib.error.HTTPError) as told:
            read(f"{address}/invocations", wrong.encode())
        assert told.value.code == 400
        told.value.close()
        page = read(f"{address}/docs").decode()
        assert "curl" in page
        assert "googleapis" not in page
        assert "cdn" not in page
    finally:
        server.kill()


def test_of_a_gan_its_generator_is_served(run, here):
    folder = run("model=gan", "data=digits", "task=generation")
    [of] = trained(str(folder))
    noise, port = np.random.RandomState(0).randn(3, 16).astype(np.float32), free_port()
    with torch.no_grad():
        expected = of.net.get_submodule("generator")(torch.from_numpy(noise)).numpy()
    server = Command(here.root, "serve", str(folder), "--port", str(port))
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/health")
        content = json.dumps({"inputs": noise.tolist()}).encode()
        answer = json.loads(read(f"{address}/invocations", content, "application/json"))
        np.testing.assert_allclose(np.array(answer["predictions"]), expected, rtol=1e-5, atol=1e-5)
        assert "16 numbers" in read(f"{address}/docs").decode()
    finally:
        server.kill()


def wait_for(address: str) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            read(address)
            return
        except urllib.error.URLError:
            assert time.monotonic() < end
            time.sleep(0.1)


def read(address: str, content: bytes | None = None, kind: str = "text/csv") -> bytes:
    """What a server answers with 200, to a table if there is one."""
    question = urllib.request.Request(address, content, {"Content-Type": kind})
    with urllib.request.urlopen(question, timeout=60) as answer:
        return answer.read()
