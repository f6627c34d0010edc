"""What a network costs: parameters, and floating point operations of its training."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def parameters(net: nn.Module) -> int:
    """The number of trainable numbers in `net`."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def training_flops(net: nn.Module, x: Tensor) -> int:
    """FLOPs of one training step, for each of its examples.

    3 x those of the forward pass, since the backward pass costs about twice as much (Kaplan et al., 2020). A
    multiplication and an addition are two FLOPs; only products of matrices count, as is usual: biases,
    activations, normalisation and the look-up of an embedding are small beside them. Attention counts every
    pair of steps, those that a causal mask hides too. The net is left as it was.

    Args:
        net: maps (batch, *in_shape) to its output.
        x: a batch of one example, (1, *in_shape), on any device: int64 where the net reads characters. Its
            numbers do not matter.
    """
    x = x.to(next(net.parameters()).device)
    counter = FlopCounterMode(display=False, custom_mapping=UNKNOWN_TO_PYTORCH)
    with _evaluating(net), _without_fast_path(), torch.no_grad(), torch.random.fork_rng(devices=[]), counter:
        net(x)
    return 3 * counter.get_total_flops()


@contextmanager
def _evaluating(net: nn.Module) -> Iterator[None]:
    """Evaluation mode, where no running statistics move; after it, the mode that each module had."""
    training = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        yield
    finally:
        for module, mode in training:
            module.training = mode


@contextmanager
def _without_fast_path() -> Iterator[None]:
    """PyTorch evaluates its own attention layers as one operation each, which its counter counts as 0."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)


def _recurrent_flops(sequence: Shape, weights: Sequence[Shape]) -> int:
    """Every step of (time, batch, features), or (batch, time, features), goes once through every matrix."""
    steps = sequence[0] * sequence[1]
    return 2 * steps * sum(math.prod(weight) for weight in weights if len(weight) == 2)


def _mkldnn_flops(sequence: Shape, *weights_and_more: object, out_shape: object) -> int:
    return _recurrent_flops(sequence, weights_and_more[:2])  # type: ignore[arg-type]


def _cudnn_flops(sequence: Shape, weights: Sequence[Shape], *_: object, out_shape: object) -> int:
    return _recurrent_flops(sequence, weights)


def _attention_flops(
    query: Shape, key: Shape, value: Shape, *_: object, out_shape: object, **__: object
) -> int:
    """softmax(Q K') V: each of the queries once with every key and every value, (batch, heads, time, size)."""
    *batch_and_heads, queries, size = query
    return 2 * math.prod(batch_and_heads) * queries * key[-2] * (size + value[-1])


# PyTorch runs a recurrent layer, and attention on a processor, as one operation, which its counter does not
# know and counts as 0. Where such a layer is made of products instead (rnn and gru on a processor, lstm in
# double precision), the counter knows them; it also knows the attention of a GPU.
UNKNOWN_TO_PYTORCH = {
    torch.ops.aten.mkldnn_rnn_layer: _mkldnn_flops,
    torch.ops.aten._cudnn_rnn: _cudnn_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
}
