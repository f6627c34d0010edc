"""The simple recurrent network: `depth` stacked recurrent layers without gates."""

from collections.abc import Sequence

from torch import Tensor, nn

from howdeep.nets import checks, layers


class RNN(nn.Module):
    """A stack of simple recurrent layers (Elman, 1990).

    One layer reads x_t and its own h_(t-1):

        h_t = activation(W x_t + U h_(t-1) + b)

    Nothing but U carries the past on, so that gradients vanish or explode with the number of steps as they
    do with depth (Bengio et al., 1994).

    The next layer reads the sequence [x_t +] dropout(normalise(h_t)), with the sum if `residual`, from the
    second layer on. Normalisation stands between layers, not inside the recurrence. y = W h + b reads the
    last step of the last layer, or every step; residual sums are normalised once more for it, as
    `layers.output_normalisation` says.

    Args:
        in_shape: (time, features) of one example, or (time,) of characters. The same weights read sequences
            of any length.
        out_features: numbers in the output.
        depth: stacked recurrent layers.
        width: units of each of them.
        activation: "tanh", or "relu" (Le et al., 2015).
        initialisation: "default" (PyTorch's own), "xavier", "he" or "orthogonal", see `layers.initialise`.
        residual: whether each layer but the first adds its input to its output.
        normalisation: "none", "batch" (over batch and time) or "layer".
        dropout: share of hidden activations that training sets to 0, from 0 to below 1; after every layer,
            the last one too.
        vocabulary: how many characters there are, each of which gets a vector of `width` numbers; None where
            x holds numbers.
        every_step: whether there is an output at every step, or one at the last.

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
        vocabulary: int | None,
        every_step: bool,
    ) -> None:
        checks.whole(out_features=out_features, depth=depth, width=width)
        checks.fraction(dropout=dropout)
        checks.flag(residual=residual, every_step=every_step)
        checks.choice(("relu", "tanh"), activation=activation)  # those that PyTorch's recurrence has
        super().__init__()
        self.every_step = every_step
        self.front, features = layers.sequence_front("rnn", in_shape, vocabulary, width)
        self.layers = nn.ModuleList(
            layers.RecurrentLayer(
                nn.RNN(width if index else features, width, nonlinearity=activation, batch_first=True),
                norm=layers.normalisation(normalisation, width),
                dropout=dropout,
                residual=residual and index > 0,
            )
            for index in range(depth)
        )
        self.norm = layers.output_normalisation(normalisation, width, depth=depth, residual=residual)
        self.head = nn.Linear(width, out_features)
        layers.initialise(self.layers, initialisation, activation)
        layers.initialise(self.head, initialisation, "linear")

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, features), or (batch, time) of characters, -> (batch, [time,] out_features)."""
        h = self.front(x)  # (batch, time, features)
        for layer in self.layers:
            h = layer(h)  # (batch, time, width)
        return self.head(self.norm(h if self.every_step else h[:, -1]))
