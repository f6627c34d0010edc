"""Recurrent layers that stay one operator in a traced graph, for sequences of any length.

PyTorch's tracer walks through a recurrence step by step, and so fixes its length. Here it sees an operator of
howdeep's own instead, of the same signature, that says nothing but the shape of its output; what is made of the graph
puts the real operator back: PyTorch's (`as_torch`) or ONNX's (`onnx_operators`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from howdeep.nets.layers import RecurrentLayer

KINDS = ("rnn_tanh", "rnn_relu", "gru", "lstm")  # PyTorch's names: `nn.RNNBase.mode` in lower case
ONNX = {  # the operator and its options
    "rnn_tanh": ("RNN", {"activations": ["Tanh"]}),
    "rnn_relu": ("RNN", {"activations": ["Relu"]}),
    "gru": ("GRU", {"linear_before_reset": 1}),  # r acts on U h, as in `nets.gru`
    "lstm": ("LSTM", {}),
}
# Where each gate of ONNX stands among PyTorch's: GRU z, r, h of r, z, h; LSTM i, o, f, c of i, f, c, o.
ONNX_GATES = {"gru": (1, 0, 2), "lstm": (0, 3, 1, 2)}


def _define(kind: str) -> None:
    state, states = ("Tensor[]", ", Tensor, Tensor") if kind == "lstm" else ("Tensor", ", Tensor")
    torch.library.define(
        f"howdeep::{kind}",
        f"(Tensor input, {state} hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, "
        f"bool bidirectional, bool batch_first) -> (Tensor{states})",
    )
    torch.library.register_fake(f"howdeep::{kind}", _shapes)


def _shapes(input: Tensor, hx: Tensor | Sequence[Tensor], *_: Any) -> tuple[Tensor, ...]:
    """What the operator gives as far as shapes go: (batch, time, width), and its last states."""
    states = [hx] if isinstance(hx, Tensor) else hx
    h = input.new_empty(*input.shape[:2], states[0].shape[-1])
    return h, *map(torch.empty_like, states)


for _kind in KINDS:
    _define(_kind)


class _Recurrence(nn.Module):
    """The recurrence of a `RecurrentLayer` as one operator; (batch, time, in_features) -> (batch, time, width)."""

    def __init__(self, part: nn.RNNBase) -> None:
        super().__init__()
        self.weights = nn.ParameterList(part.parameters())  # W, U and both biases
        self.kind, self.width = part.mode.lower(), part.hidden_size

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        state = x.new_zeros(1, x.shape[0], self.width)
        h, *_ = getattr(torch.ops.howdeep, self.kind)(
            x, [state, state] if self.kind == "lstm" else state, list(self.weights),
            has_biases=True, num_layers=1, dropout=0.0, train=False, bidirectional=False, batch_first=True,
        )  # fmt: skip
        return h, None


def opaque(net: nn.Module) -> None:
    """Puts howdeep's operators into a net's `RecurrentLayer`s; it can be traced then, and no longer run.

    Other recurrences than those of `nets` are left to PyTorch.
    """
    for layer in net.modules():
        if isinstance(layer, RecurrentLayer) and _is_plain(layer.recurrence):
            layer.recurrence = _Recurrence(layer.recurrence)  # type: ignore[assignment]


def _is_plain(part: nn.RNNBase) -> bool:
    more = part.num_layers > 1 or part.bidirectional or part.proj_size
    return part.bias and part.batch_first and not more


def as_torch(program: ExportedProgram) -> None:
    """Puts PyTorch's operators back, in place: whoever loads the program needs nothing of howdeep."""
    for node in program.graph.nodes:
        for kind in KINDS:
            if node.target == getattr(torch.ops.howdeep, kind).default:
                node.target = getattr(torch.ops.aten, kind).input


def onnx_operators() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What ONNX has for each of howdeep's operators, as `torch.onnx.export` takes it: in operators of opset 18."""
    return {getattr(torch.ops.howdeep, kind).default: _in_onnx(kind) for kind in KINDS}


def _in_onnx(kind: str) -> Callable[..., Any]:
    import onnxscript

    op: Any = onnxscript.opset18
    operator, options = ONNX[kind]

    def one_direction(weight: Any) -> Any:
        """(gates * width, ...) -> (1, gates * width, ...), the gates in ONNX's order."""
        if order := ONNX_GATES.get(kind):
            width = weight.shape[0] // len(order)
            rows = [gate * width + row for gate in order for row in range(width)]
            weight = op.Gather(weight, op.Constant(value_ints=rows))
        return op.Unsqueeze(weight, op.Constant(value_ints=[0]))

    def recurrence(x: Any, _state: Any, weights: Sequence[Any], *_: Any, **__: Any) -> Any:
        w, u, *biases = (one_direction(weight) for weight in weights)
        x = op.Transpose(x, perm=[1, 0, 2])  # (time, batch, in_features); states are zeros if not given
        b = op.Concat(*biases, axis=1)
        h, *states = getattr(op, operator)(x, w, u, b, hidden_size=weights[1].shape[1], **options)
        h = op.Squeeze(h, op.Constant(value_ints=[1]))  # (time, batch, width)
        return op.Transpose(h, perm=[1, 0, 2]), *states

    return recurrence
