"""The multilayer perceptron: `depth` fully connected hidden layers."""

import math
from collections.abc import Sequence

from torch import Tensor, nn

from howdeep.nets import checks, layers


class HiddenLayer(nn.Module):
    """h -> [h +] dropout(activation(normalise(W h + b))), (batch, in_features) -> (batch, width).

    The residual sum (He et al., 2016) needs in_features = width.
    """

    def __init__(
        self,
        *,
        in_features: int,
        width: int,
        activation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        # Batch normalisation subtracts the mean, and with it any bias: one would only be counted.
        self.linear = nn.Linear(in_features, width, bias=normalisation != "batch")
        self.norm = layers.normalisation(normalisation, width)
        self.activation = layers.activation(activation)
        self.dropout = nn.Dropout(dropout)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        h = self.dropout(self.activation(self.norm(self.linear(x))))  # (batch, width)
        return x + h if self.residual else h


class MLP(nn.Module):
    """A multilayer perceptron (Rumelhart et al., 1986).

    h_0 = x, flattened;  h_l = [h_(l-1) +] dropout(activation(normalise(W_l h_(l-1) + b_l))), l = 1 .. depth;
    y = W h_depth + b. The sum with h_(l-1) is there with `residual`, from the second layer on: the first one
    has it not even where the input happens to be as wide as the layer. Such sums are normalised once more for
    the output, as `layers.output_normalisation` says. With batch normalisation there are no b_l: it would
    cancel them.

    Args:
        in_shape: shape of one example; any.
        out_features: numbers in the output.
        depth: hidden layers.
        width: units of each of them.
        activation: "relu", "sigmoid", "tanh" or "gelu".
        initialisation: "default" (PyTorch's own), "xavier", "he" or "orthogonal", see `layers.initialise`.
        residual: whether each hidden layer but the first adds its input to its output.
        normalisation: "none", "batch" or "layer".
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
        activation: str,
        initialisation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
    ) -> None:
        checks.whole(out_features=out_features, depth=depth, width=width)
        checks.fraction(dropout=dropout)
        checks.flag(residual=residual)
        in_features = math.prod(checks.shape(in_shape))
        super().__init__()
        self.layers = nn.ModuleList(
            HiddenLayer(
                in_features=width if index else in_features,
                width=width,
                activation=activation,
                residual=residual and index > 0,
                normalisation=normalisation,
                dropout=dropout,
            )
            for index in range(depth)
        )
        self.norm = layers.output_normalisation(normalisation, width, depth=depth, residual=residual)
        self.head = nn.Linear(width, out_features)
        layers.initialise(self.layers, initialisation, activation)
        layers.initialise(self.head, initialisation, "linear")

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *in_shape) -> (batch, out_features)."""
        h = x.flatten(1)  # (batch, in_features)
        for layer in self.layers:
            h = layer(h)  # (batch, width)
        return self.head(self.norm(h))
