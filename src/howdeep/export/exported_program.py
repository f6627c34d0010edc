"""A network as one file of `torch.export`, which PyTorch runs without howdeep, and loads without pickle."""

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from howdeep.export import agreement, recurrence, tracing
from howdeep.export.agreement import Loaded
from howdeep.export.refusals import quiet, refusing

METADATA = "metadata.json"
# What an exported program consists of. All else that PyTorch knows is pickle, or code of a machine.
RECORDS = re.compile(
    r"[^/]+/(data/(weights/(weight_\d+|model_weights_config\.json)|constants/(tensor_\d+|model_constants_config\.json)"
    r"|sample_inputs/model\.pt)|models/model\.json|extra/[^/]+|archive_(format|version)|byteorder"
    r"|\.data/(version|serialization_id)|\.format_version|\.storage_alignment|version)"
)


def exported(
    net: nn.Module, *, in_shape: Sequence[int], dtype: torch.dtype, metadata: Mapping[str, str]
) -> bytes:
    """A file for `torch.export.load`, weights inside: (batch, *in_shape) to what the net makes of it.

    The batch varies, and the length of a sequence where the net reads others (`tracing.trace`). The file has been
    loaded and agreed with the net (`agreement.check`). The same net gives the same bytes each time: there is no time,
    no host and no path in them, and nothing that is read as pickle.

    Args:
        in_shape: of one example of the data; of a gan its generator leaves, whatever the data.
        dtype: float32, or int64 for characters.
        metadata: what the reader shall know of preprocessing and classes: `metadata.json` of the extra files.

    Raises:
        UserError: a network that cannot be exported, or a file that does not agree with it.
    """
    traced = tracing.trace(net, in_shape, dtype)
    with refusing(f"the network {type(traced.net).__name__} cannot be exported", "choose the format onnx"):
        data = _written(traced, metadata)
    agreement.check(traced.net, load(data).net, traced.inputs)
    return data


def load(data: bytes) -> Loaded:
    """A file that `exported` has written.

    Raises:
        UserError: it is no such file, or holds what PyTorch would read as pickle.
    """
    extra = {METADATA: ""}
    with (
        quiet("torch"),
        refusing("this is no exported program that PyTorch reads", "export the network again"),
    ):
        _refuse_pickle(data)
        program = torch.export.load(io.BytesIO(data), extra_files=extra)
        return Loaded(program.module(), json.loads(extra[METADATA]))


def _written(traced: tracing.Traced, metadata: Mapping[str, str]) -> bytes:
    program = traced.program
    recurrence.as_torch(program)
    program.example_inputs = None  # the only part of a program that is written as pickle
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # lines of source with their paths
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={METADATA: json.dumps(dict(metadata))})
    return file.getvalue()


def _refuse_pickle(data: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for record in archive.infolist():
            is_pickle = record.filename.endswith("sample_inputs/model.pt") and record.file_size
            if is_pickle or not RECORDS.fullmatch(record.filename):
                raise ValueError(f"unexpected {record.filename}")
            if record.filename.endswith("_config.json"):
                _refuse_pickled(json.loads(archive.read(record)))


def _refuse_pickled(payload: dict) -> None:
    for name, entry in payload["config"].items():
        if entry["use_pickle"]:
            raise ValueError(f"{name} is pickled")
