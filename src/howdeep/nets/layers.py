"""The pieces that architectures share: activation, normalisation, initialisation, sequences."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from howdeep.errors import UserError
from howdeep.nets import checks

ACTIVATIONS = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "gelu": nn.GELU}
NORMALISATIONS = ("none", "batch", "layer")
INITIALISATIONS = ("default", "xavier", "he", "orthogonal")


def activation(name: str) -> nn.Module:
    """The elementwise nonlinearity `name`, one of `ACTIVATIONS`.

    Raises:
        UserError: there is no activation of that name.
    """
    checks.choice(ACTIVATIONS, activation=name)
    return ACTIVATIONS[name]()


class FeatureBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of the last dimension, over all others (Ioffe and Szegedy, 2015).

    y = (x - mean) / sqrt(var + eps) * gain + bias for each feature; of a sequence (batch, time, width) the
    statistics are taken over batch and time, so that every step is normalised alike. In evaluation mode they
    are the running ones. A single value for each feature has no variance: such a batch (the last, smaller one
    of an epoch may hold one example) is normalised by the running statistics too, and leaves them alone.
    """

    def forward(self, input: Tensor) -> Tensor:
        rows = input.flatten(0, -2)  # (batch, width) or (batch * time, width)
        if self.training and len(rows) == 1:
            mean, var = self.running_mean, self.running_var
            rows = functional.batch_norm(rows, mean, var, self.weight, self.bias, eps=self.eps)
        else:
            rows = super().forward(rows)
        return rows.view(input.shape)


def normalisation(name: str, width: int) -> nn.Module:
    """Normalises the last dimension of (batch, width) or (batch, time, width).

    Args:
        name: "none", "batch" (`FeatureBatchNorm`) or "layer" (over the features of each example and step; Ba
            et al., 2016).
        width: the number of features.

    Raises:
        UserError: there is no normalisation of that name, or `width` is no whole number of at least 1.
    """
    checks.choice(NORMALISATIONS, normalisation=name)
    checks.whole(width=width)
    if name == "none":
        return nn.Identity()
    return FeatureBatchNorm(width) if name == "batch" else nn.LayerNorm(width)


def output_normalisation(name: str, width: int, *, depth: int, residual: bool) -> nn.Module:
    """Normalises what the output layer of a residual network reads; the identity for any other.

    Such a network sums `depth` hidden layers, each of them normalised but not their sum: its outputs would
    grow with depth, and a comparison of depths would compare scales. Hence the last normalisation of He et
    al. (2016, "Identity mappings in deep residual networks").
    """
    return normalisation(name if residual and depth > 1 else "none", width)


@torch.no_grad()
def initialise(module: nn.Module, scheme: str, activation: str) -> None:
    """Draws the weights of all linear, convolutional and recurrent parts of `module`, and sets their biases to 0.

    For a weight of fan_out outputs and fan_in inputs, in a convolution channels times the pixels of a kernel:

    - "default" leaves what PyTorch drew: uniform within 1 / sqrt(fan_in), of recurrent parts 1 / sqrt(width);
    - "xavier": uniform with Var = 2 / (fan_in + fan_out) (Glorot and Bengio, 2010);
    - "he": normal with Var = 2 / fan_in (He et al., 2015);
    - "orthogonal": g Q with orthonormal rows or columns (Saxe et al., 2014), g = sqrt(2) before relu and
      gelu, which cut one half of their input as He assumes, and 1 otherwise.

    The gates of a recurrent layer stand in one weight but are matrices of their own, each drawn by itself. A
    kernel is the matrix (channels, fan_in) that it applies to each patch of the image.

    Args:
        activation: what follows the weights; "linear" for an output layer.

    Raises:
        UserError: there is no such scheme or activation.
    """
    checks.choice(INITIALISATIONS, initialisation=scheme)
    checks.choice([*ACTIVATIONS, "linear"], activation=activation)
    if scheme == "default":
        return
    gain = math.sqrt(2) if activation in ("relu", "gelu") else 1.0
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d | nn.RNNBase):
            for parameter in part.parameters(recurse=False):
                _draw(parameter, _gates(part), scheme, gain)


def _gates(part: nn.Module) -> int:
    """How many matrices stand in one weight: 4 in an LSTM, 3 in a GRU, 1 in an RNN and in all others."""
    return part.weight_hh_l0.shape[0] // part.hidden_size if isinstance(part, nn.RNNBase) else 1  # type: ignore[operator]


def _draw(parameter: Tensor, gates: int, scheme: str, gain: float) -> None:
    if parameter.ndim < 2:
        nn.init.zeros_(parameter)
        return
    for matrix in parameter.chunk(gates):  # (fan_out, fan_in), or (channels, channels, height, width)
        if scheme == "xavier":
            nn.init.xavier_uniform_(matrix)
        elif scheme == "he":
            nn.init.kaiming_normal_(matrix, nonlinearity="relu")
        else:
            nn.init.orthogonal_(matrix, gain)


def sequence_front(
    architecture: str, in_shape: Sequence[int], vocabulary: int | None, width: int
) -> tuple[nn.Module, int]:
    """What turns an example into a sequence of vectors, and the number of features of each.

    Without a vocabulary x is (batch, time, features) and stays as it is. With one it is (batch, time) int64,
    the index of a character at each step, and becomes (batch, time, width): every character has a vector of
    its own, learned, that starts from a standard normal (Bengio et al., 2003).

    Args:
        architecture: the name of the network, for the message of an error.
        in_shape: (time, features) of one example, or (time,) of characters.
        vocabulary: how many characters there are; None if x holds numbers.
        width: size of a character's vector.

    Raises:
        UserError: an `in_shape` that is no sequence of this kind, or a vocabulary that is no number of
            characters.
    """
    sizes = checks.shape(in_shape)
    if vocabulary is None:
        if len(sizes) != 2:
            raise UserError(
                f"{architecture} reads sequences of shape (time, features), got in_shape {sizes}: "
                "choose data=digit_sequences or data=sunspots, or model=mlp"
            )
        return nn.Identity(), sizes[1]
    checks.whole(vocabulary=vocabulary)
    if len(sizes) != 1:
        raise UserError(
            f"{architecture} reads characters of shape (time,), got in_shape {sizes} and a vocabulary of "
            f"{vocabulary}: choose data=torch_docs, or data.vocabulary=null for a sequence of numbers"
        )
    return nn.Embedding(vocabulary, width), width


class RecurrentLayer(nn.Module):
    """h -> [h +] dropout(norm(recurrence(h))), (batch, time, in_features) -> (batch, time, width).

    Normalisation stands between layers, not inside the recurrence, which stays PyTorch's own.

    Args:
        recurrence: one layer of `nn.RNN`, `nn.GRU` or `nn.LSTM`, `batch_first`.
        norm: what normalises its activations, see `normalisation`.
        dropout: share of them that training sets to 0.
        residual: whether the input is added; it must be as wide as the layer.
    """

    def __init__(self, recurrence: nn.RNNBase, *, norm: nn.Module, dropout: float, residual: bool) -> None:
        super().__init__()
        self.recurrence = recurrence
        self.norm = norm
        self.dropout = nn.Dropout(dropout)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        h, _ = self.recurrence(x)  # (batch, time, width)
        h = self.dropout(self.norm(h))
        return x + h if self.residual else h
