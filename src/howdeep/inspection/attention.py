"""What a transformer attends to: its attention matrices, worked out again beside the network's own operation."""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from howdeep.nets.transformer import Attention


@torch.no_grad()
def maps(net: nn.Module, x: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) of every layer, head and example, in evaluation mode.

    The network itself never makes these matrices: what enters each attention is caught, and the softmax is taken
    here, so that what the network computes stays as it is.

    Args:
        x: (n, time, features) or (n, time) characters.

    Returns:
        (layers, n, heads, time, time); row i of a matrix tells from which steps j step i takes, and sums to 1.
    """
    found: list[Tensor] = []

    def keep(attention: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(attention, Attention)
        found.append(weights(attention, inputs[0]))

    modules = [module for module in net.modules() if isinstance(module, Attention)]
    handles = [module.register_forward_pre_hook(keep) for module in modules]
    try:
        net.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(found)


def weights(attention: Attention, h: Tensor) -> Tensor:
    """The attention matrices of one layer for its input: (n, time, width) -> (n, heads, time, time)."""
    q, k = (
        part(h).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
        for part in (attention.query, attention.key)
    )
    scores = q @ k.transpose(2, 3) / math.sqrt(q.shape[-1])
    if attention.causal:
        later = torch.ones(h.shape[1], h.shape[1], dtype=torch.bool).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    return scores.softmax(-1)


class Focus(NamedTuple):
    """Of one head, means over examples and over the steps that attend."""

    spread: (
        float  # entropy over that of equal weights: 0 where one step has all of it, 1 where all have the same
    )
    distance: float  # steps between a step and what it attends to, weighted


def focus(weights: Tensor, *, causal: bool) -> Focus:
    """How sharply, and how far away, one head looks.

    Args:
        weights: (n, time, time), the matrices of one head.
        causal: whether a step can attend to no later one; its equal weights then lie on fewer steps.
    """
    time = weights.shape[-1]
    steps = torch.arange(time)
    far = (steps[:, None] - steps).abs()
    entropy = torch.special.entr(weights).sum(-1)  # (n, time)
    seen = steps + 1 if causal else torch.full((time,), time)
    possible = seen > 1  # a step that sees itself alone has no choice
    if not possible.any():
        return Focus(math.nan, 0.0)
    spread = (entropy / seen.log())[:, possible].mean()
    return Focus(float(spread), float((weights * far).sum(-1).mean()))
