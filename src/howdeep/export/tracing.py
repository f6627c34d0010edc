"""A network as a graph of PyTorch's operators, for batches of any size."""

import copy
import io
import math
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from howdeep.export import inputs, recurrence
from howdeep.export.inputs import Inputs
from howdeep.export.refusals import quiet, refusing

BATCH, TIME = "batch", "time"


class Traced(NamedTuple):
    """A net in evaluation mode, what it reads, and its graph; recurrences in it are howdeep's own operators.

    Args:
        axes: the name of each dimension of the input whose size varies.
    """

    net: nn.Module
    inputs: Inputs
    program: ExportedProgram
    axes: dict[int, str]


def trace(net: nn.Module, in_shape: Sequence[int], dtype: torch.dtype) -> Traced:
    """Traces a copy of a net in evaluation mode. Of a gan its generator leaves, which reads (latent,) of noise.

    The length of a sequence varies where the net reads other lengths than that of the data, and PyTorch can trace
    it so; a net of somebody's own that loops over steps has a fixed one.

    Args:
        in_shape: of one example of the data.
        dtype: float32, or int64 for characters.

    Raises:
        UserError: a net that PyTorch cannot trace, or examples that it does not read.
    """
    if hasattr(net, "generator"):
        net, in_shape = net.generator, (net.latent,)  # type: ignore[assignment]
    net = copy.deepcopy(net).cpu().eval().requires_grad_(False)
    net.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # as programs store weights
    reads = inputs.of(net, tuple(in_shape), dtype)
    # One floor down: a part called `code`, as that of an autoencoder, would hide an attribute of PyTorch's graphs.
    opaque = nn.Sequential(OrderedDict(net=copy.deepcopy(net)))
    recurrence.opaque(opaque)
    what = f"the network {type(net).__name__} cannot be exported"
    with (
        refusing(what, "write its forward in operators of tensors alone, with x.shape[0] for len(x)"),
        quiet("torch"),  # it logs what it raises
        redirect_stderr(io.StringIO()),  # and prints the graph so far
    ):
        if reads.longest is not None:
            try:
                return _traced(net, opaque, reads)
            except Exception:  # a length that only Python knows
                reads = replace(reads, longest=None)
        return _traced(net, opaque, reads)


def _traced(net: nn.Module, opaque: nn.Module, reads: Inputs) -> Traced:
    sizes = {0: Dim(BATCH, min=1)}
    if reads.longest is not None:
        sizes[1] = Dim(TIME, min=1, max=None if math.isinf(reads.longest) else int(reads.longest))
    with warnings.catch_warnings():
        # PyTorch 2.13 on its own recurrent layers, where they are left as they are
        warnings.filterwarnings("ignore", "The tensor attributes .*_flat_weights", UserWarning)
        # Two examples: a batch of one would be taken for a size that never varies.
        program = torch.export.export(opaque, (reads.draw(2),), dynamic_shapes=(sizes,))
    return Traced(net, reads, program, {axis: size.__name__ for axis, size in sizes.items()})
