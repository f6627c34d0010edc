"""The generative adversarial network: `depth` hidden layers in a generator, and as many in a discriminator."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from howdeep.errors import UserError
from howdeep.nets import checks, layers

KINDS = ("dense", "convolutional")
UNSCALED = 4  # layers of a residual discriminator that are simply added up
Weights = Iterator[tuple[nn.Module, nn.Module]]  # of a hidden layer: what resizes its input, and its weights


class HiddenLayer(nn.Module):
    """h -> [r +] s dropout(activation(normalise(W r + b))), r = resize(h).

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
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.resize = resize
        self.linear = linear
        self.norm = layers.normalisation(normalisation, width)
        self.activation = layers.activation(activation)
        self.dropout = nn.Dropout(dropout)
        self.residual = residual
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        x = self.resize(x)
        h = self.dropout(self.activation(_over_channels(self.norm, self.linear(x))))  # (batch, width, ...)
        return torch.add(x, h, alpha=self.scale) if self.residual else h


class Generator(nn.Module):
    """Noise to an example: g_0 = z;  g_l = [g_(l-1) +] dropout(activation(normalise(W_l g_(l-1) + b_l)));
    G(z) = V g_depth + c, of the shape of x.

    The parameters are those of `GAN`. With batch normalisation there are no b_l: it would cancel them.
    """

    def __init__(
        self,
        *,
        in_shape: tuple[int, ...],
        depth: int,
        width: int,
        latent: int,
        kind: str,
        stages: int,
        activation: str,
        initialisation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        bias = normalisation != "batch"
        if kind == "dense":
            weights = _matrices(latent, depth=depth, width=width, bias=bias)
            self.head = nn.Sequential(nn.Linear(width, math.prod(in_shape)), nn.Unflatten(1, in_shape))
        else:
            sizes = _sizes(in_shape, depth=depth, stages=stages)[::-1]
            weights = _growing(latent, sizes, width=width, bias=bias)
            self.head = nn.Conv2d(width, in_shape[0], 3, padding=1)
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
            for index, (resize, linear) in enumerate(weights)
        )
        self.norm = layers.output_normalisation(normalisation, width, depth=depth, residual=residual)
        layers.initialise(self.layers, initialisation, activation)
        layers.initialise(self.head, initialisation, "linear")

    def forward(self, z: Tensor) -> Tensor:
        """(batch, latent) -> (batch, *in_shape)."""
        h = z
        for layer in self.layers:
            h = layer(h)  # (batch, width, ...)
        return self.head(_over_channels(self.norm, h))


class Discriminator(nn.Module):
    """An example to a logit, above 0 where it looks real: d_0 = x;
    d_l = [d_(l-1) +] s dropout(activation(U_l d_(l-1) + a_l)), l = 1 .. depth;  D(x) = u d_depth + a.

    The parameters are those of `GAN`. It has no normalisation: with it these games end worse. Unnormalised sums
    grow with every layer, hence s = 4 / depth beyond four layers: logits keep one scale at every depth. s = 1 up
    to there, and without `residual`.
    """

    def __init__(
        self,
        *,
        in_shape: tuple[int, ...],
        depth: int,
        width: int,
        kind: str,
        stages: int,
        activation: str,
        initialisation: str,
        residual: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        if kind == "dense":
            weights = _matrices(math.prod(in_shape), depth=depth, width=width, bias=True, first=nn.Flatten())
            self.head = nn.Linear(width, 1)
        else:
            sizes = _sizes(in_shape, depth=depth, stages=stages)
            weights = _shrinking(in_shape[0], sizes, width=width)
            self.head = nn.Sequential(nn.Flatten(), nn.Linear(width * math.prod(sizes[-1]), 1))
        self.layers = nn.ModuleList(
            HiddenLayer(
                resize=resize,
                linear=linear,
                width=width,
                activation=activation,
                residual=residual and index > 0,
                normalisation="none",
                dropout=dropout,
                scale=min(1.0, UNSCALED / depth),
            )
            for index, (resize, linear) in enumerate(weights)
        )
        layers.initialise(self.layers, initialisation, activation)
        layers.initialise(self.head, initialisation, "linear")

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *in_shape) -> (batch,)."""
        h = x
        for layer in self.layers:
            h = layer(h)  # (batch, width, ...)
        return self.head(h).squeeze(1)


class GAN(nn.Module):
    """A generative adversarial network (Goodfellow et al., 2014): one net invents examples, one tells them
    from real ones, and each learns from the other.

    "dense" has `width` units in each hidden layer. "convolutional" (Radford et al., 2016) has `width` channels
    of an image and 3x3 kernels: the generator begins with a matrix and repeats pixels where a stage begins
    (Odena et al., 2016), the discriminator mirrors it and takes the mean of each 2x2 pixels there. The layers
    are shared out evenly among the stages, the first ones (seen from the real images) get what is left over;
    fewer layers than stages, or an image that cannot be halved once more, make fewer stages.

    `layers` lists the generator's layers, then the discriminator's.

    Args:
        in_shape: shape of one example; (channels, height, width) if convolutional.
        depth: hidden layers of the generator, and of the discriminator.
        width: units or channels of each of them.
        latent: numbers of noise that an example is made from.
        kind: "dense" or "convolutional".
        stages: sizes of the image, each half the one before; only if convolutional.
        activation: "relu", "sigmoid", "tanh" or "gelu"; the outputs have none.
        initialisation: "default" (PyTorch's own), "xavier", "he" or "orthogonal", see `layers.initialise`.
        residual: whether each hidden layer but the first of either net adds its input to its output.
        normalisation: "none", "batch" (each channel over batch and pixels) or "layer" (the channels of each
            pixel), in the generator only.
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
        latent: int,
        kind: str,
        stages: int,
        activation: str,
        initialisation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
    ) -> None:
        checks.whole(depth=depth, width=width, latent=latent, stages=stages)
        checks.choice(KINDS, kind=kind)
        checks.fraction(dropout=dropout)
        checks.flag(residual=residual)
        shape = checks.shape(in_shape)
        super().__init__()
        self.latent = latent
        self.generator = Generator(
            in_shape=shape,
            depth=depth,
            width=width,
            latent=latent,
            kind=kind,
            stages=stages,
            activation=activation,
            initialisation=initialisation,
            residual=residual,
            normalisation=normalisation,
            dropout=dropout,
        )
        self.discriminator = Discriminator(
            in_shape=shape,
            depth=depth,
            width=width,
            kind=kind,
            stages=stages,
            activation=activation,
            initialisation=initialisation,
            residual=residual,
            dropout=dropout,
        )

    @property
    def layers(self) -> list[nn.Module]:
        return [*self.generator.layers, *self.discriminator.layers]

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *in_shape) -> (batch, 2): logits of x, and of as many examples made from fixed noise.

        Both nets run as often as in a step of training, but for gradients.
        """
        invented = self.generator(self.fixed_noise(len(x)))
        return torch.stack([self.discriminator(x), self.discriminator(invented)], dim=1)

    def fixed_noise(self, n: int) -> Tensor:
        """The same standard normal noise each time, (n, latent), whatever was drawn before."""
        device = next(self.parameters()).device
        return torch.randn(n, self.latent, generator=torch.Generator().manual_seed(0)).to(device)


def _matrices(inputs: int, *, depth: int, width: int, bias: bool, first: nn.Module | None = None) -> Weights:
    yield first or nn.Identity(), nn.Linear(inputs, width, bias)
    for _ in range(depth - 1):
        yield nn.Identity(), nn.Linear(width, width, bias)


def _growing(latent: int, sizes: list[tuple[int, int]], *, width: int, bias: bool) -> Weights:
    """From noise to an image of the first size, then on to each of the next."""
    first = (width, *sizes[0])
    yield nn.Identity(), nn.Sequential(nn.Linear(latent, math.prod(first), bias), nn.Unflatten(1, first))
    for before, after in pairwise(sizes):
        resize = nn.Identity() if after == before else nn.Upsample(after)
        yield resize, nn.Conv2d(width, width, 3, padding=1, bias=bias)


def _shrinking(channels: int, sizes: list[tuple[int, int]], *, width: int) -> Weights:
    """From an image of the first size to each of the next."""
    yield nn.Identity(), nn.Conv2d(channels, width, 3, padding=1)
    for before, after in pairwise(sizes):
        resize = nn.Identity() if after == before else nn.AvgPool2d(2)
        yield resize, nn.Conv2d(width, width, 3, padding=1)


def _sizes(shape: tuple[int, ...], *, depth: int, stages: int) -> list[tuple[int, int]]:
    """Height and width of the image in each layer of the discriminator."""
    if len(shape) != 3:
        raise UserError(
            f"a convolutional gan makes images of shape (channels, height, width), got in_shape {shape}: "
            "choose data=digits or data=mnist, or model.kind=dense"
        )
    _, height, breadth = shape
    stages = min(stages, depth, height.bit_length(), breadth.bit_length())  # a side of one pixel stays
    return [(height >> stage, breadth >> stage) for stage in (i * stages // depth for i in range(depth))]


def _over_channels(norm: nn.Module, h: Tensor) -> Tensor:
    """(batch, width, ...) -> the same, each channel normalised by `norm`, which reads the last dimension."""
    return norm(h.movedim(1, -1)).movedim(-1, 1)
