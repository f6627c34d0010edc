"""A file is asked only if howdeep wrote it; what is wrong with it is one line."""

import json

import pytest

from howdeep.deployment import export, exported
from howdeep.deployment.models import predictor_of, trained
from howdeep.errors import UserError
from howdeep.export import onnx


@pytest.fixture
def net(run):
    [found] = trained(str(run("model=mlp", "data=breast_cancer")))
    return found


def written(net, path, metadata) -> str:
    path.write_bytes(
        onnx.exported(net.net, in_shape=[30], dtype=net.net.head.weight.dtype, metadata=metadata)
    )
    return str(path)


def test_a_file_says_what_it_is_of(net, tmp_path):
    file = written(net, tmp_path / "net.onnx", export.metadata_of(net))
    about = json.loads(onnx.load((tmp_path / "net.onnx").read_bytes()).metadata[exported.ABOUT])
    assert (about["key"], about["data"], about["model"]) == (net.record["key"], "breast_cancer", "mlp")
    assert predictor_of(file).inputs == net.predictor().inputs


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({}, "expected a file of howdeep export with a network that reads examples, got"),
        (
            {exported.ENCODING: "no JSON"},
            "does not say how rows are read as howdeep does: export the network again",
        ),
        ({exported.ENCODING: "{}"}, "does not say how rows are read as howdeep does"),
        (
            {exported.ENCODING: json.dumps({"inputs": {"_target_": "os.system"}})},
            "does not say how rows are read",
        ),
    ],
)
def test_a_file_of_something_else_is_refused(net, tmp_path, metadata, told):
    with pytest.raises(UserError, match=told):
        predictor_of(written(net, tmp_path / "net.onnx", metadata))


@pytest.mark.parametrize("name", ["net.onnx", "net.pt2", "net.bin"])
def test_a_spoiled_file_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"spoiled")
    with pytest.raises(UserError):
        predictor_of(str(tmp_path / name))


def test_a_model_of_a_registry_that_nobody_named_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match="expected a project around this folder, or MLFLOW_TRACKING_URI"):
        predictor_of("models:/any@champion")
    assert not list(tmp_path.iterdir())


def test_formats_and_opsets_that_mean_nothing_are_refused(net, tmp_path):
    folder = str(net.folder)
    for format_, output, opset, told in (
        ("onxx", None, None, "--format must be one of onnx, torch, got onxx, did you mean 'onnx'"),
        (None, "net.bin", None, "--format must be one of onnx, torch, got a file that ends in '.bin'"),
        ("torch", None, 18, "--opset must go with --format onnx"),
        (None, None, 9, "opset 9 is too old: expected one from 18 to 25"),
    ):
        with pytest.raises(UserError, match=told):
            export.export(folder, format_, output, opset)
