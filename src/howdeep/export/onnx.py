"""A network as one ONNX file, which ONNX Runtime and many others run without PyTorch."""

import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from howdeep.errors import UserError
from howdeep.export import agreement, recurrence, tracing
from howdeep.export.agreement import Loaded
from howdeep.export.refusals import quiet, refusing

INPUT, OUTPUT = "input", "output"
OPSET = 18  # the oldest that PyTorch writes; read by ONNX Runtime since 1.14, of February 2023
NEWEST_OPSET = 25  # the newest that onnxscript converts to


def exported(
    net: nn.Module,
    *,
    in_shape: Sequence[int],
    dtype: torch.dtype,
    metadata: Mapping[str, str],
    opset: int = OPSET,
) -> bytes:
    """An ONNX file, weights inside, of the input (batch, *in_shape) to what the net makes of it in evaluation mode.

    The batch varies, and the length of a sequence where the net reads others (`tracing.trace`). ONNX Runtime has run
    the file and agreed with PyTorch (`agreement.check`). The same net gives the same bytes each time: there is no time,
    no host and no path in them.

    Args:
        in_shape: of one example of the data; of a gan its generator leaves, whatever the data.
        dtype: float32, or int64 for characters.
        metadata: what the reader shall know of preprocessing and classes, as `metadata_props` of the model.
        opset: of the standard operators, from 18 to 25.

    Raises:
        UserError: libraries that are not installed, an opset that cannot be written, a network that cannot be
            exported, or a file that does not agree with it.
    """
    if not OPSET <= opset <= NEWEST_OPSET:
        age = "too old" if opset < OPSET else "too new"
        raise UserError(f"opset {opset} is {age}: expected one from {OPSET} to {NEWEST_OPSET}")
    _need_libraries()
    traced = tracing.trace(net, in_shape, dtype)
    with refusing(
        f"the network {type(traced.net).__name__} cannot be exported to ONNX", "choose the format torch"
    ):
        data = _written(traced, metadata, opset)
    agreement.check(traced.net, load(data).net, traced.inputs)
    return data


def load(data: bytes) -> Loaded:
    """An ONNX file of one input and one output, run by ONNX Runtime on one core.

    Raises:
        UserError: it is no such file, or ONNX Runtime is not installed.
    """
    _need_libraries()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what fails is raised
    with refusing("this is no ONNX file that ONNX Runtime reads", "export the network again"):
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def run(x: Tensor) -> Tensor:
        return torch.from_numpy(session.run([OUTPUT], {INPUT: x.numpy()})[0])

    return Loaded(run, dict(session.get_modelmeta().custom_metadata_map))


def _need_libraries() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"ONNX needs onnx, onnxscript and onnxruntime ({error}): pip install 'howdeep[export]'"
        ) from error


def _written(traced: tracing.Traced, metadata: Mapping[str, str], opset: int) -> bytes:
    import onnx
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    # The exporter logs each package that is not installed and each constant that it keeps.
    with quiet("torch", "onnxscript"), warnings.catch_warnings():
        # PyTorch 2.13 on its own functions
        warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.* is deprecated", FutureWarning)
        program = torch.onnx.export(
            traced.program,
            dynamic_shapes=(traced.axes,),  # names
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=opset,
            custom_translation_table=recurrence.onnx_operators(),
            verbose=False,
        )
    assert program is not None  # as with every exporter but the old one
    ClearMetadataAndDocStringPass()(program.model)  # lines of source with their paths
    program.model.metadata_props.update(metadata)
    model = program.model_proto
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    if (written := model.opset_import[0].version) != opset:
        raise ValueError(f"got opset {written} in the place of {opset}")
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()
