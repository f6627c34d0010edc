"""What a network costs: parameters, and floating point operations of its training."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Shape = Sequence[int]


def parameters(net: nn.Module) -> int:
    """The number of trainable numbers in `net`."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def training_flops(net: nn.Module, in_shape: Sequence[int]) -> int:
    """FLOPs of one training step, for each of its examples.

    3 x those of the forward pass, since the backward pass costs about twice as much (Kaplan et al., 2020). A
    multiplication and an addition are two FLOPs; only products of matrices count, as is usual: biases,
    activations and normalisation are small beside them. The net is left as it was.

    Args:
        net: maps (batch, *in_shape) to its output.
        in_shape: shape of one example.
    """
    weight = next(net.parameters())
    counter = FlopCounterMode(display=False, custom_mapping=RECURRENT_LAYERS)
    with _evaluating(net), torch.no_grad(), torch.random.fork_rng(devices=[]), counter:
        net(weight.new_zeros(1, *in_shape))
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


def _recurrent_flops(sequence: Shape, weights: Sequence[Shape]) -> int:
    """Every step of (time, batch, features), or (batch, time, features), goes once through every matrix."""
    steps = sequence[0] * sequence[1]
    return 2 * steps * sum(math.prod(weight) for weight in weights if len(weight) == 2)


def _mkldnn_flops(sequence: Shape, *weights_and_more: object, out_shape: object) -> int:
    return _recurrent_flops(sequence, weights_and_more[:2])  # type: ignore[arg-type]


def _cudnn_flops(sequence: Shape, weights: Sequence[Shape], *_: object, out_shape: object) -> int:
    return _recurrent_flops(sequence, weights)


# PyTorch runs a recurrent layer as one operation, which its counter does not know and counts as 0. Without
# these operations (another processor, double precision) it is made of products, which the counter knows.
RECURRENT_LAYERS = {
    torch.ops.aten.mkldnn_rnn_layer: _mkldnn_flops,
    torch.ops.aten._cudnn_rnn: _cudnn_flops,
}
