"""The transformer: `depth` blocks of attention and feed-forward network."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from howdeep.errors import UserError
from howdeep.nets import checks, layers

POSITIONS = ("learned", "sinusoidal")
POSITION_STD = math.sqrt(0.5)  # as large as sinusoids: much smaller ones are learned too slowly to be of use


class Attention(nn.Module):
    """Multi-head scaled dot-product attention, (batch, time, width) -> (batch, time, width).

    In each head of d = width / heads features, softmax(q k^T / sqrt(d)) v: every step is a mean of the values
    of all steps or, if `causal`, of those up to itself. PyTorch's own operation keeps no (time, time) matrix.
    """

    def __init__(self, *, width: int, heads: int, causal: bool) -> None:
        super().__init__()
        self.value = nn.Linear(width, width)  # the first: all signals pass this weight, diagnostics report it
        self.query = nn.Linear(width, width)
        # A bias of the keys adds the same to all the scores of a query, and softmax cancels it.
        self.key = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width)
        self.heads, self.causal = heads, causal

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self._split(part(x)) for part in (self.query, self.key, self.value))
        h = functional.scaled_dot_product_attention(q, k, v, is_causal=self.causal)  # (batch, heads, time, d)
        return self.output(h.transpose(1, 2).flatten(2))

    def _split(self, h: Tensor) -> Tensor:
        """(batch, time, width) -> (batch, heads, time, d)."""
        return h.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Block(nn.Module):
    """Attention, then the same feed-forward network at every step; (batch, time, width) -> the same shape.

    Either sub-layer f maps h to [h +] dropout(f(normalise(h))), or without `norm_first` to
    normalise([h +] dropout(f(h))).
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        expansion: int,
        causal: bool,
        norm_first: bool,
        activation: str,
        initialisation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention = Attention(width=width, heads=heads, causal=causal)
        self.attention_norm = layers.normalisation(normalisation, width)
        enter, leave = nn.Linear(width, expansion * width), nn.Linear(expansion * width, width)
        self.feedforward = nn.Sequential(enter, layers.activation(activation), leave)
        self.feedforward_norm = layers.normalisation(normalisation, width)
        self.dropout = nn.Dropout(dropout)
        self.residual, self.norm_first = residual, norm_first
        for part, followed_by in ((self.attention, "linear"), (enter, activation), (leave, "linear")):
            layers.initialise(part, initialisation, followed_by)

    def forward(self, x: Tensor) -> Tensor:
        h = self._add(x, self.attention, self.attention_norm)
        return self._add(h, self.feedforward, self.feedforward_norm)

    def _add(self, h: Tensor, sublayer: nn.Module, norm: nn.Module) -> Tensor:
        change = self.dropout(sublayer(norm(h) if self.norm_first else h))
        total = h + change if self.residual else change
        return total if self.norm_first else norm(total)


class Transformer(nn.Module):
    """A stack of attention blocks (Vaswani et al., 2017).

    h_0 = embed(x) + position;  h_l = block_l(h_(l-1)), l = 1 .. depth;  y = W normalise(h_depth) + b at the
    last step, or at every step. embed is linear in the features of a step, or a table with a row for each
    character. Both sums of every block, the first one too, are there with `residual`: all have one width.

    Normalising first ("pre-norm") leaves the sum of all blocks unnormalised, hence the one before the output,
    and gradients reach deep blocks without a warm-up of the learning rate (Xiong et al., 2020). Otherwise
    ("post-norm", the original) the last block has normalised its sum itself.

    Batch normalisation takes its statistics over batch and time, and in training that includes later steps;
    in evaluation mode a causal network sees none of them, whatever the normalisation.

    Args:
        in_shape: (time, features) of one example, or (time,) with a vocabulary; `time` is the longest
            sequence that has positions.
        out_features: numbers in the output.
        depth: blocks.
        width: features of every step in every block; a multiple of `heads`.
        heads: attention heads of each block.
        expansion: hidden units of the feed-forward network, in widths.
        causal: whether a step attends to no later one.
        positions: "learned", a vector for each step, or "sinusoidal",
            sin(t / 10000^(2i / width)) and cos(t / 10000^(2i / width)) in turn.
        norm_first: whether sub-layers normalise their input (pre-norm) or their sum (post-norm).
        activation: of the feed-forward network: "relu", "sigmoid", "tanh" or "gelu".
        initialisation: "default" (PyTorch's own), "xavier", "he" or "orthogonal", see `layers.initialise`.
        residual: whether sub-layers add their input to their output.
        normalisation: "none", "batch" (over batch and time) or "layer".
        dropout: share of each sub-layer's output that training sets to 0, from 0 to below 1.
        vocabulary: None if x is (batch, time, features), or the number of characters if x holds their
            indices, int64 (batch, time).
        every_step: whether there is an output at every step, from it and the steps before it.

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
        heads: int,
        expansion: int,
        causal: bool,
        positions: str,
        norm_first: bool,
        activation: str,
        initialisation: str,
        residual: bool,
        normalisation: str,
        dropout: float,
        vocabulary: int | None,
        every_step: bool,
    ) -> None:
        checks.whole(out_features=out_features, depth=depth, width=width, heads=heads, expansion=expansion)
        checks.fraction(dropout=dropout)
        checks.flag(causal=causal, norm_first=norm_first, residual=residual, every_step=every_step)
        checks.choice(POSITIONS, positions=positions)
        _check_attention(width=width, heads=heads, causal=causal, every_step=every_step)
        front, features = layers.sequence_front("transformer", in_shape, vocabulary, width)
        super().__init__()
        self.embedding = nn.Linear(features, width) if vocabulary is None else front
        if positions == "learned":
            self.positions = nn.Parameter(nn.init.normal_(torch.empty(in_shape[0], width), std=POSITION_STD))
        else:
            self.register_buffer("positions", sinusoids(in_shape[0], width), persistent=False)
        self.layers = nn.ModuleList(
            Block(
                width=width,
                heads=heads,
                expansion=expansion,
                causal=causal,
                norm_first=norm_first,
                activation=activation,
                initialisation=initialisation,
                residual=residual,
                normalisation=normalisation,
                dropout=dropout,
            )
            for _ in range(depth)
        )
        self.norm = layers.normalisation(normalisation if norm_first else "none", width)
        self.head = nn.Linear(width, out_features)
        self.every_step = every_step
        for part in (self.embedding, self.head):
            layers.initialise(part, initialisation, "linear")

    def forward(self, x: Tensor) -> Tensor:
        """(batch, time[, features]) -> (batch, out_features), or (batch, time, out_features) at every step.

        Raises:
            UserError: a sequence longer than the network has positions for.
        """
        if x.shape[1] > len(self.positions):
            raise UserError(
                f"this transformer has positions for {len(self.positions)} steps, got a sequence of {x.shape[1]}: "
                "build it with a longer in_shape"
            )
        h = self.embedding(x) + self.positions[: x.shape[1]]  # (batch, time, width)
        for layer in self.layers:
            h = layer(h)
        return self.head(self.norm(h if self.every_step else h[:, -1]))


def sinusoids(time: int, width: int) -> Tensor:
    """Positions (time, width): sin(t / 10000^(2i / width)) in column 2i, its cosine in column 2i + 1."""
    even = torch.arange(0, width, 2)
    angles = torch.arange(time)[:, None] / 10_000 ** (even / width)  # (time, width / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


def _check_attention(*, width: int, heads: int, causal: bool, every_step: bool) -> None:
    if width % heads:
        raise UserError(f"width must be a multiple of heads, got width {width} and heads {heads}")
    if every_step and not causal:
        raise UserError(
            "every_step needs a causal transformer, got causal False: "
            "each output would have seen what it is to predict; set model.causal=true"
        )
