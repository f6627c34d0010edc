"""The convolutional network: `depth` convolution blocks."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from howdeep.errors import UserError
from howdeep.nets import checks, layers


class HiddenLayer(nn.Module):
    """h -> [p +] dropout(activation(normalise(K * p + b))), p = pool(h) or h itself.

    (batch, channels, rows, columns) -> (batch, width, rows, columns), or half as many rows and columns. The
    residual sum (He et al., 2016) needs channels = width.
    """

    def __init__(
        self,
        *,
        pool: nn.Module,
        channels: int,
        width: int,
        activation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.pool = pool
        # Batch normalisation subtracts the mean, and with it any bias: one would only be counted.
        self.conv = nn.Conv2d(channels, width, 3, padding=1, bias=normalisation != "batch")
        self.norm = layers.normalisation(normalisation, width)
        self.activation = layers.activation(activation)
        self.dropout = nn.Dropout(dropout)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x)
        h = self.norm(self.conv(x).movedim(1, -1)).movedim(-1, 1)  # (batch, width, rows, columns)
        h = self.dropout(self.activation(h))
        return x + h if self.residual else h


class CNN(nn.Module):
    """A convolutional network (LeCun et al., 1998) of 3x3 kernels (Simonyan and Zisserman, 2015).

    h_0 = x;  p = h_(l-1), or its largest value in each 2x2 pixels where a stage begins;
    h_l = [p +] dropout(activation(normalise(K_l * p + b_l))), l = 1 .. depth;  y = W h_depth + b.
    The sum with p is there with `residual`, from the second layer on; such sums are normalised once more for
    the output, as `layers.output_normalisation` says. With batch normalisation there are no b_l.

    The layers are shared out evenly among the stages, the first ones get what is left over. Where there are
    fewer layers than stages, the image is halved as often, the rest of it behind the last layer: the output
    layer reads the same number of pixels at every depth. A side of one pixel ends the halving.

    Args:
        in_shape: (channels, height, width) of one example; any height and width.
        out_features: numbers in the output.
        depth: convolution blocks.
        width: channels of each of them.
        stages: sizes of the image on its way through the network, each half the one before; 1: no pooling.
        activation: "relu", "sigmoid", "tanh" or "gelu".
        initialisation: "default" (PyTorch's own), "xavier", "he" or "orthogonal", see `layers.initialise`.
        residual: whether each hidden layer but the first adds its input to its output.
        normalisation: "none", "batch" (each channel over batch and pixels) or "layer" (the channels of each
            pixel, as in Liu et al., 2022).
        dropout: share of hidden activations that training sets to 0, from 0 to below 1 (Srivastava et
            al., 2014).

    Raises:
        UserError: a parameter that no such network has; which, what was expected and what came.
    """

    def __init__(
        self,
        *,
        in_shape: Sequence[int],
        out_features: int,
        depth: int,
        width: int,
        stages: int,
        activation: str,
        initialisation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
    ) -> None:
        checks.whole(out_features=out_features, depth=depth, width=width, stages=stages)
        checks.fraction(dropout=dropout)
        checks.flag(residual=residual)
        channels, height, breadth = _image(in_shape)
        halvings = min(stages, height.bit_length(), breadth.bit_length()) - 1  # none of a side of one pixel
        pools = _begins(depth=depth, stages=halvings + 1)
        super().__init__()
        self.layers = nn.ModuleList(
            HiddenLayer(
                pool=nn.MaxPool2d(2) if pool else nn.Identity(),
                channels=width if index else channels,
                width=width,
                activation=activation,
                residual=residual and index > 0,
                normalisation=normalisation,
                dropout=dropout,
            )
            for index, pool in enumerate(pools)
        )
        self.pool = nn.MaxPool2d(2 ** (halvings - sum(pools)))
        self.norm = layers.output_normalisation(normalisation, width, depth=depth, residual=residual)
        self.head = nn.Linear(width * (height >> halvings) * (breadth >> halvings), out_features)
        for part in self.layers.modules():
            if isinstance(part, nn.Conv2d):
                _initialise(part, initialisation, activation)
        layers.initialise(self.head, initialisation, "linear")
        # In which convolutions and their normalisation are faster.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, out_features)."""
        h = x.contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            h = layer(h)  # (batch, width, rows, columns)
        h = self.norm(self.pool(h).movedim(1, -1))  # (batch, rows, columns, width)
        return self.head(h.flatten(1))


def _image(in_shape: Sequence[int]) -> tuple[int, int, int]:
    sizes = checks.shape(in_shape)
    if len(sizes) != 3:
        raise UserError(
            f"cnn reads images of shape (channels, height, width), got in_shape {sizes}: "
            "choose data=digits or data=mnist, or model=mlp"
        )
    return sizes


def _begins(*, depth: int, stages: int) -> list[bool]:
    """Whether each of `depth` layers begins a stage other than the first."""
    stage = [index * min(stages, depth) // depth for index in range(depth)]
    return [index > 0 and stage[index] > stage[index - 1] for index in range(depth)]


@torch.no_grad()
def _initialise(conv: nn.Conv2d, scheme: str, activation: str) -> None:
    """Draws a kernel as the matrix (width, channels * 9) that it applies to each 3x3 pixels."""
    matrix = nn.Linear(conv.weight[0].numel(), len(conv.weight))
    layers.initialise(matrix, scheme, activation)
    if scheme != "default":
        conv.weight.copy_(matrix.weight.view_as(conv.weight))
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
