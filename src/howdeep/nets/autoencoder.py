"""The autoencoder: `depth` hidden layers down to a bottleneck, and as many up again."""

import math
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from howdeep.errors import UserError
from howdeep.nets import checks, layers

KINDS = ("dense", "convolutional")


class HiddenLayer(nn.Module):
    """h -> [r +] dropout(activation(normalise(W r + b))), r = resize(h).

    W is a matrix or a convolution, and normalisation reads the channels, dimension 1. The residual sum (He et
    al., 2016) needs W r to have the shape of r.
    """

    def __init__(
        self,
        *,
        resize: nn.Module,
        linear: nn.Module,
        width: int,
        activation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.resize = resize
        self.linear = linear
        self.norm = layers.normalisation(normalisation, width)
        self.activation = layers.activation(activation)
        self.dropout = nn.Dropout(dropout)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        x = self.resize(x)
        h = self.dropout(self.activation(_over_channels(self.norm, self.linear(x))))  # (batch, width, ...)
        return x + h if self.residual else h


class Autoencoder(nn.Module):
    """An autoencoder (Hinton and Salakhutdinov, 2006): says x in `bottleneck` numbers, and x again from them.

    h_0 = x;  h_l = [h_(l-1) +] dropout(activation(normalise(W_l h_(l-1) + b_l))), l = 1 .. depth;
    z = W h_depth + b, the code;  g_1 .. g_depth likewise from g_0 = z;  y = V g_depth + c, of the shape of x.
    The sums are there with `residual`, from the second layer of encoder and decoder on; they are normalised
    once more for code and output, as `layers.output_normalisation` says. With batch normalisation there are
    no b_l. Without hidden layers the best such map is principal component analysis.

    The decoder mirrors the encoder: g_l has the shape of h_(depth + 1 - l). "dense" has `width` units in each.
    "convolutional" has `width` channels of an image: 3x3 kernels, and 2x2 pixels become their largest value
    where a stage begins; the decoder begins with a matrix and repeats pixels there instead (Odena et al.,
    2016). The layers are shared out evenly among the stages, the first ones get what is left over; fewer
    layers than stages, or an image that cannot be halved once more, make fewer stages.

    `layers` holds the encoder's layers, then the decoder's.

    Args:
        in_shape: shape of one example; (channels, height, width) if convolutional.
        depth: hidden layers of the encoder, and of the decoder.
        width: units or channels of each of them.
        bottleneck: numbers in the code.
        kind: "dense" or "convolutional".
        stages: sizes of the image on its way to the code, each half the one before; only if convolutional.
        activation: "relu", "sigmoid", "tanh" or "gelu"; code and output have none.
        initialisation: "default" (PyTorch's own), "xavier", "he" or "orthogonal", see `layers.initialise`.
        residual: whether each hidden layer but the first of encoder and decoder adds its input to its output.
        normalisation: "none", "batch" (each channel over batch and pixels) or "layer" (the channels of each
            pixel).
        dropout: share of hidden activations that training sets to 0, from 0 to below 1 (Srivastava et
            al., 2014).

    Raises:
        UserError: a parameter that no such network has; which, what was expected and what came.
    """

    def __init__(
        self,
        *,
        in_shape: Sequence[int],
        depth: int,
        width: int,
        bottleneck: int,
        kind: str,
        stages: int,
        activation: str,
        initialisation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
    ) -> None:
        checks.whole(depth=depth, width=width, bottleneck=bottleneck, stages=stages)
        checks.choice(KINDS, kind=kind)
        checks.fraction(dropout=dropout)
        checks.flag(residual=residual)
        shape = checks.shape(in_shape)
        super().__init__()
        # Batch normalisation subtracts the mean, and with it any bias: one would only be counted.
        bias = normalisation != "batch"
        if kind == "dense":
            parts = _dense(shape, depth=depth, width=width, bottleneck=bottleneck, bias=bias)
        else:
            sizes = _sizes(shape, depth=depth, stages=stages)
            parts = _convolutional(shape[0], sizes, width=width, bottleneck=bottleneck, bias=bias)
        self.depth = depth
        self.layers = nn.ModuleList(
            HiddenLayer(
                resize=resize,
                linear=linear,
                width=width,
                activation=activation,
                residual=residual and index > 0,
                normalisation=normalisation,
                dropout=dropout,
            )
            for half in (parts.encoder, parts.decoder)
            for index, (resize, linear) in enumerate(half)
        )
        self.code_norm, self.head_norm = (
            layers.output_normalisation(normalisation, width, depth=depth, residual=residual)
            for _ in range(2)
        )
        self.code, self.head = parts.code, parts.head
        _initialise(self.layers, initialisation, activation)
        _initialise(nn.ModuleList([self.code, self.head]), initialisation, "linear")

    def encode(self, x: Tensor) -> Tensor:
        """(batch, *in_shape) -> (batch, bottleneck)."""
        h = x
        for layer in islice(self.layers, self.depth):
            h = layer(h)  # (batch, width, ...)
        return self.code(_over_channels(self.code_norm, h))

    def decode(self, code: Tensor) -> Tensor:
        """(batch, bottleneck) -> (batch, *in_shape)."""
        h = code
        for layer in islice(self.layers, self.depth, None):
            h = layer(h)  # (batch, width, ...)
        return self.head(_over_channels(self.head_norm, h))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *in_shape) -> (batch, *in_shape)."""
        return self.decode(self.encode(x))


class _Parts(NamedTuple):
    """What tells the kinds apart: of each hidden layer what resizes its input and its weights, and both ends."""

    encoder: list[tuple[nn.Module, nn.Module]]
    code: nn.Module
    decoder: list[tuple[nn.Module, nn.Module]]
    head: nn.Module


def _dense(shape: tuple[int, ...], *, depth: int, width: int, bottleneck: int, bias: bool) -> _Parts:
    def more() -> list[tuple[nn.Module, nn.Module]]:
        return [(nn.Identity(), nn.Linear(width, width, bias)) for _ in range(depth - 1)]

    size = math.prod(shape)
    return _Parts(
        encoder=[(nn.Flatten(), nn.Linear(size, width, bias)), *more()],
        code=nn.Linear(width, bottleneck),
        decoder=[(nn.Identity(), nn.Linear(bottleneck, width, bias)), *more()],
        head=nn.Sequential(nn.Linear(width, size), nn.Unflatten(1, shape)),
    )


def _convolutional(
    channels: int, sizes: list[tuple[int, int]], *, width: int, bottleneck: int, bias: bool
) -> _Parts:
    def conv(inputs: int) -> nn.Module:
        return nn.Conv2d(inputs, width, 3, padding=1, bias=bias)

    steps = list(pairwise(sizes))  # (size before, size after) of each layer but the first
    down = [nn.MaxPool2d(2) if before != after else nn.Identity() for before, after in steps]
    up = [nn.Upsample(before) if before != after else nn.Identity() for before, after in reversed(steps)]
    last = (width, *sizes[-1])
    begin = nn.Sequential(nn.Linear(bottleneck, math.prod(last), bias), nn.Unflatten(1, last))
    return _Parts(
        encoder=[(nn.Identity(), conv(channels)), *[(pool, conv(width)) for pool in down]],
        code=nn.Sequential(nn.Flatten(), nn.Linear(math.prod(last), bottleneck)),
        decoder=[(nn.Identity(), begin), *[(repeat, conv(width)) for repeat in up]],
        head=nn.Conv2d(width, channels, 3, padding=1),
    )


def _sizes(shape: tuple[int, ...], *, depth: int, stages: int) -> list[tuple[int, int]]:
    """Height and width of the image in each layer of the encoder."""
    if len(shape) != 3:
        raise UserError(
            f"a convolutional autoencoder reads images of shape (channels, height, width), got in_shape {shape}: "
            "choose data=digits or data=mnist, or model.kind=dense"
        )
    _, height, breadth = shape
    stages = min(stages, depth, height.bit_length(), breadth.bit_length())  # a side of one pixel stays
    return [(height >> stage, breadth >> stage) for stage in (i * stages // depth for i in range(depth))]


def _over_channels(norm: nn.Module, h: Tensor) -> Tensor:
    """(batch, width, ...) -> the same, each channel normalised by `norm`, which reads the last dimension."""
    return norm(h.movedim(1, -1)).movedim(-1, 1)


@torch.no_grad()
def _initialise(module: nn.Module, scheme: str, activation: str) -> None:
    """As `layers.initialise`; draws a kernel as the matrix (width, channels * 9) that it applies to 3x3 pixels."""
    layers.initialise(module, scheme, activation)
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and scheme != "default":
            matrix = nn.Linear(conv.weight[0].numel(), len(conv.weight))
            layers.initialise(matrix, scheme, activation)
            conv.weight.copy_(matrix.weight.view_as(conv.weight))
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
