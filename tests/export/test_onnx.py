"""ONNX files, as ONNX Runtime reads them."""

import math
import os
import subprocess
import sys

import onnx as standard
import onnxruntime
import pytest
import torch
from torch import nn

from howdeep.errors import UserError
from howdeep.export import onnx, recurrence
from howdeep.export.inputs import Inputs
from tests.amount import first
from tests.export.cases import METADATA, Case, output, usual

RECURRENT = ("rnn", "gru", "lstm")


def exported(case: Case, **options) -> bytes:
    return onnx.exported(case.net(), **case.reads, metadata=METADATA, **options)


@pytest.fixture(scope="module")
def gru() -> bytes:
    return exported(usual("gru"))


def dimensions(value: standard.ValueInfoProto) -> list[str | int]:
    return [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]


def test_the_file_has_one_input_and_one_output_whose_batch_and_length_vary(gru):
    graph = standard.load_from_string(gru).graph
    assert [(value.name, dimensions(value)) for value in (*graph.input, *graph.output)] == [
        ("input", ["batch", "time", 4]),
        ("output", ["batch", 3]),
    ]


def test_all_weights_are_inside(gru):
    graph = standard.load_from_string(gru).graph
    assert {tensor.data_location for tensor in graph.initializer} == {standard.TensorProto.DEFAULT}
    held = sum(math.prod(tensor.dims) for tensor in graph.initializer)
    assert held >= sum(p.numel() for p in usual("gru").net().parameters())


def test_metadata_come_back_from_onnx_runtime(gru):
    session = onnxruntime.InferenceSession(gru, providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == METADATA
    assert onnx.load(gru).metadata == METADATA


@pytest.mark.slow
@pytest.mark.parametrize("kind", RECURRENT)
@pytest.mark.parametrize(
    "width", [8, 160]
)  # weights of 160 units are reordered by the runtime, not beforehand
def test_recurrent_layers_agree_with_pytorch_on_lengths_that_were_not_tried(kind, width):
    case = Case(kind, "sequences, every step", (("width", width),))
    run = onnx.load(exported(case)).net
    for n, length in ((1, 1), (3, 5), (2, 100)):
        x = Inputs((16, 4), torch.float32).draw(n, length)
        torch.testing.assert_close(run(x), output(case.net(), x), rtol=1e-5, atol=1e-5)


def test_a_recurrence_is_one_node_of_each_layer(gru):
    assert [node.op_type for node in standard.load_from_string(gru).graph.node].count("GRU") == 2


@pytest.mark.slow
def test_characters_are_read_as_they_are():
    case = Case("lstm", "characters, every step")
    x = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
    run = onnx.load(exported(case)).net
    torch.testing.assert_close(run(x), output(case.net(), x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_of_a_gan_the_generator_leaves():
    case = usual("gan")
    z = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    run = onnx.load(exported(case)).net
    torch.testing.assert_close(run(z), output(case.net(), z), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_a_network_in_training_leaves_as_it_is_evaluated():
    case = Case("mlp", "images", (("dropout", 0.9), ("normalisation", "batch")))
    file = onnx.exported(case.net().train(), **case.reads, metadata=METADATA)
    assert file == onnx.exported(case.net().eval(), **case.reads, metadata=METADATA)


def test_the_same_network_gives_the_same_bytes(gru):
    assert exported(usual("gru")) == gru


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cnn", "gru", "transformer"])
def test_there_is_no_path_in_a_file(model, root):
    file = exported(usual(model))
    for path in (str(root), sys.prefix, ".py", "site-packages"):
        assert path.encode() not in file, path


@pytest.mark.slow
@pytest.mark.parametrize("opset", [18, 21, 25])
def test_an_opset_can_be_chosen(opset):
    model = standard.load_from_string(exported(usual("transformer"), opset=opset))
    assert [(used.domain, used.version) for used in model.opset_import] == [("", opset)]


def test_the_file_asks_for_no_newer_runtime_than_its_opset(gru):
    assert standard.load_from_string(gru).ir_version == 8  # of ONNX 1.13, as opset 18


@pytest.mark.parametrize(("opset", "age"), [(9, "old"), (17, "old"), (26, "new")])
def test_an_opset_that_cannot_be_written_is_refused(opset, age):
    with pytest.raises(UserError) as error:
        exported(usual("mlp"), opset=opset)
    assert str(error.value) == f"opset {opset} is too {age}: expected one from 18 to 25"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_file_with_swapped_gates_is_refused(monkeypatch, kind):
    monkeypatch.setitem(recurrence.ONNX_GATES, kind, tuple(range(len(recurrence.ONNX_GATES[kind]))))
    with pytest.raises(
        UserError, match=r"^the exported file differs from the network by .*: it is not written; "
    ):
        exported(usual(kind))


class Exponential(nn.Module):
    """A net with an operator that ONNX has not."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.matrix_exp(x)


@pytest.mark.slow
def test_an_operator_that_onnx_has_not_is_refused_in_one_line(capfd):
    with pytest.raises(UserError) as error:
        onnx.exported(Exponential(), in_shape=(2, 2), dtype=torch.float32, metadata={})
    assert str(error.value).startswith("the network Exponential cannot be exported to ONNX (")
    assert "matrix_exp" in str(error.value)
    assert str(error.value).endswith("): choose the format torch")
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("data", [b"", b"no onnx", b"\x08\x08" + bytes(100)])
def test_a_file_that_is_none_is_refused_in_one_line(data, capfd):
    with pytest.raises(
        UserError, match=r"^this is no ONNX file that ONNX Runtime reads \([^\n]*\): export the net"
    ):
        onnx.load(data)
    assert capfd.readouterr() == ("", "")


def test_a_cut_file_is_refused(gru):
    with pytest.raises(UserError, match="this is no ONNX file that ONNX Runtime reads"):
        onnx.load(gru[: len(gru) // 2])


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "onnxscript"])
def test_a_library_that_is_not_installed_is_named_with_what_installs_it(monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=rf"\(.*\b{library}\b.*\): pip install 'howdeep\[export\]'$"):
        exported(usual("mlp"))


@pytest.mark.slow
def test_no_other_command_pays_for_the_libraries():
    code = "import sys, howdeep.export.onnx; print({'onnx', 'onnxscript', 'onnxruntime'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"


@pytest.mark.slow
@pytest.mark.parametrize("format", first(["onnx", "exported_program"], 1))
def test_another_process_writes_the_same_bytes(root, format):
    """Whatever order its sets have."""
    code = f"""
import hashlib
from howdeep.export import {format}
from tests.export.cases import METADATA, usual
for model in ("lstm", "transformer"):
    case = usual(model)
    print(hashlib.sha256({format}.exported(case.net(), **case.reads, metadata=METADATA)).hexdigest())
"""
    written = [
        subprocess.check_output(
            [sys.executable, "-c", code], cwd=root, env=os.environ | {"PYTHONHASHSEED": seed}
        )
        for seed in ("1", "2")
    ]
    assert written[0] == written[1]
