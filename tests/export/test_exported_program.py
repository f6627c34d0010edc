"""Programs of `torch.export`, as PyTorch reads them."""

import io
import json
import os
import subprocess
import sys
import zipfile

import pytest
import torch

from howdeep.errors import UserError
from howdeep.export import exported_program
from howdeep.export.inputs import Inputs
from tests.choices import MODELS
from tests.export.cases import METADATA, Case, output, usual


def exported(case: Case) -> bytes:
    return exported_program.exported(case.net(), **case.reads, metadata=METADATA)


@pytest.fixture(scope="module")
def gru() -> bytes:
    return exported(usual("gru"))


def changed(data: bytes, **records: bytes) -> bytes:
    """The same archive with other records, some of them new."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as new:
        kept = {entry.filename: old.read(entry) for entry in old.infolist()}
        top = next(iter(kept)).split("/")[0]
        for name, content in (kept | {f"{top}/{name}": content for name, content in records.items()}).items():
            new.writestr(name, content)
    return file.getvalue()


def test_pytorch_loads_it_with_its_metadata(gru):
    extra = {"metadata.json": ""}
    program = torch.export.load(io.BytesIO(gru), extra_files=extra)
    case, x = usual("gru"), torch.randn(5, 16, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(program.module()(x), output(case.net(), x))
    assert json.loads(extra["metadata.json"]) == METADATA
    assert exported_program.load(gru).metadata == METADATA


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_recurrent_layers_agree_with_pytorch_on_lengths_that_were_not_tried(kind):
    case = Case(kind, "sequences, every step")
    run = exported_program.load(exported(case)).net
    for n, length in ((1, 1), (3, 5), (2, 100)):
        x = Inputs((16, 4), torch.float32).draw(n, length)
        torch.testing.assert_close(run(x), output(case.net(), x))


def test_the_operators_are_pytorchs(gru):
    program = torch.export.load(io.BytesIO(gru))
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert "aten.gru.input" in operators
    assert not any("howdeep" in operator for operator in operators)


def test_the_same_network_gives_the_same_bytes(gru):
    assert exported(usual("gru")) == gru


def test_there_is_no_path_in_a_file(gru, root):
    for path in (str(root), sys.prefix, ".py", "site-packages"):
        assert path.encode() not in gru, path


@pytest.mark.parametrize("model", MODELS)
def test_nothing_in_a_file_is_pickle(model):
    with zipfile.ZipFile(io.BytesIO(exported(usual(model)))) as archive:
        for entry in archive.infolist():
            content = archive.read(entry)
            is_pickle = content[:2] in (b"\x80\x02", b"\x80\x04", b"PK")  # or what torch.save writes
            assert not is_pickle, entry.filename
            assert b'"use_pickle": true' not in content


def test_a_file_with_a_pickle_is_refused_before_it_is_read(gru):
    with pytest.raises(
        UserError, match=r"unexpected \w+/data/sample_inputs/model.pt\): export the network again"
    ):
        exported_program.load(changed(gru, **{"data/sample_inputs/model.pt": b"\x80\x04."}))
    with pytest.raises(UserError, match=r"unexpected \w+/data/constants/opaque_obj_0"):
        exported_program.load(changed(gru, **{"data/constants/opaque_obj_0": b"\x80\x04."}))
    with zipfile.ZipFile(io.BytesIO(gru)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("model_weights_config.json"))
        config = archive.read(name).replace(b'"use_pickle": false', b'"use_pickle": true', 1)
    with pytest.raises(UserError, match=r"\(ValueError: [\w.]+ is pickled\)"):
        exported_program.load(changed(gru, **{"data/weights/model_weights_config.json": config}))


@pytest.mark.parametrize("data", [b"", b"no program", b"PK\x03\x04" + bytes(100)])
def test_a_file_that_is_none_is_refused_in_one_line(data, capfd):
    with pytest.raises(
        UserError, match=r"^this is no exported program that PyTorch reads \([^\n]*\): export the "
    ):
        exported_program.load(data)
    assert capfd.readouterr() == ("", "")


def test_a_cut_file_is_refused(gru):
    with pytest.raises(UserError, match="this is no exported program that PyTorch reads"):
        exported_program.load(gru[: len(gru) // 2])


@pytest.mark.slow
def test_whoever_loads_it_needs_nothing_of_howdeep(gru, tmp_path):
    (tmp_path / "net.pt2").write_bytes(gru)
    code = """
import sys, torch
print(tuple(torch.export.load("net.pt2").module()(torch.ones(3, 5, 4)).shape), "howdeep" in sys.modules)
"""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-W", "error", "-c", code]
    assert subprocess.check_output(command, cwd=tmp_path, env=env, text=True) == "(3, 3) False\n"
