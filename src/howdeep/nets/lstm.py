"""The long short-term memory network: `depth` stacked recurrent layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from howdeep.errors import UserError
from howdeep.nets import checks, layers


class LSTM(nn.Module):
    """A stack of long short-term memory layers (Hochreiter and Schmidhuber, 1997; Gers et al., 2000).

    One layer reads x_t and its own h_(t-1), with s the logistic function and * elementwise:

        i, f, o = s(W_(i,f,o) x_t + U_(i,f,o) h_(t-1) + b_(i,f,o));  g = tanh(W_g x_t + U_g h_(t-1) + b_g)
        c_t = f * c_(t-1) + i * g;  h_t = o * tanh(c_t)

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
        initialisation: "default" (PyTorch's own), "xavier", "he" or "orthogonal", see `layers.initialise`.
        residual: whether each layer but the first adds its input to its output.
        normalisation: "none", "batch" (over batch and time) or "layer".
        dropout: share of hidden activations that training sets to 0, from 0 to below 1; after every layer,
            the last one too.
        forget_bias: what b_f starts from, the sum of both of PyTorch's bias vectors; 1 keeps the memory open
            (Jozefowicz et al., 2015). None leaves it to the initialisation.
        chrono_steps: the longest span to be remembered, at least 2: b_f starts from log(u), u uniform from 1 to
            chrono_steps - 1, and b_i from -b_f, so that units remember over spans of all lengths (Tallec and
            Ollivier, 2018, "Can recurrent neural networks warp time?"). None leaves both to the others.
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
        initialisation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
        forget_bias: float | None,
        chrono_steps: int | None = None,
        vocabulary: int | None,
        every_step: bool,
    ) -> None:
        checks.whole(out_features=out_features, depth=depth, width=width)
        checks.fraction(dropout=dropout)
        checks.flag(residual=residual, every_step=every_step)
        if forget_bias is not None:
            checks.number(forget_bias=forget_bias)
        if chrono_steps is not None:
            checks.whole(chrono_steps=chrono_steps)
            if chrono_steps < 2 or forget_bias is not None:
                raise UserError(
                    f"chrono_steps must be at least 2, and forget_bias null beside it, "
                    f"got {chrono_steps} and {forget_bias}"
                )
        super().__init__()
        self.every_step = every_step
        self.front, features = layers.sequence_front("lstm", in_shape, vocabulary, width)
        self.layers = nn.ModuleList(
            layers.RecurrentLayer(
                nn.LSTM(width if index else features, width, batch_first=True),
                norm=layers.normalisation(normalisation, width),
                dropout=dropout,
                residual=residual and index > 0,
            )
            for index in range(depth)
        )
        self.norm = layers.output_normalisation(normalisation, width, depth=depth, residual=residual)
        self.head = nn.Linear(width, out_features)
        layers.initialise(self.layers, initialisation, "tanh")
        layers.initialise(self.head, initialisation, "linear")
        for part in self.layers.modules():
            if isinstance(part, nn.LSTM):
                if forget_bias is not None:
                    _start(part, forget=torch.full((width,), float(forget_bias)))
                if chrono_steps is not None:
                    memory = torch.empty(width).uniform_(1, chrono_steps - 1).log()
                    _start(part, forget=memory, input=-memory)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time, features), or (batch, time) of characters, -> (batch, [time,] out_features)."""
        h = self.front(x)  # (batch, time, features)
        for layer in self.layers:
            h = layer(h)  # (batch, time, width)
        return self.head(self.norm(h if self.every_step else h[:, -1]))


@torch.no_grad()
def _start(part: nn.LSTM, **gates: Tensor) -> None:
    """Sets the sum of both biases of some gates, (width,) each."""
    _, _, bias_ih, bias_hh = part.parameters()  # (4 * width,) each; the layer adds them
    for gate, value in gates.items():
        place = ("input", "forget", "cell", "output").index(gate)  # PyTorch's order
        bias_ih.chunk(4)[place].copy_(value)
        bias_hh.chunk(4)[place].zero_()
