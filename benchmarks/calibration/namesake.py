"""One network under many names: an mlp whose `depth` says nothing of its layers. `make calibrate` alone has it."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from howdeep.errors import UserError
from howdeep.nets import checks
from howdeep.nets.mlp import MLP


class Namesake(nn.Module):
    """An mlp of one hidden layer, called `depth`, of which deeper ones see only some of their inputs.

    With `seen` = 1 all depths are the same network: the true difference between any two is zero. With less, those
    deeper than 1 are blind to the other inputs, and so truly worse.

    Runs of one seed differ in their initial weights by depth, as real depths do, and in nothing else: not in the
    order of their batches, nor in their split.

    Args:
        in_shape: shape of one example; any.
        out_features: numbers in the output.
        depth: the name; from 2 on `seen` counts.
        width: units of the hidden layer.
        normalisation: "none", "batch" or "layer".
        seen: the share of its inputs, the first ones, that a network deeper than 1 sees; it takes the others for 0.

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
        normalisation: str,
        seen: float,
    ) -> None:
        checks.whole(depth=depth)
        checks.number(seen=seen)
        if not 0 <= seen <= 1:
            raise UserError(f"seen must be a share from 0 to 1, got {seen!r}")
        super().__init__()
        self.seen = math.prod(checks.shape(in_shape)) if depth == 1 else round(seen * math.prod(in_shape))
        # Not `depth` numbers skipped: the weights would be those of another depth, one place further.
        stream = int(torch.randint(2**62, (depth,), device="cpu")[-1])
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(stream)
            self.net = MLP(
                in_shape=in_shape,
                out_features=out_features,
                depth=1,
                width=width,
                activation="relu",
                initialisation="he",
                residual=False,
                normalisation=normalisation,
                dropout=0.0,
            )

    @property
    def layers(self) -> nn.ModuleList:
        """The hidden layer, which diagnostics look at."""
        return self.net.layers

    def forward(self, x: Tensor) -> Tensor:
        """(batch, *in_shape) -> (batch, out_features)."""
        flat = x.flatten(1)  # (batch, in_features)
        return self.net(nn.functional.pad(flat[:, : self.seen], (0, flat.shape[1] - self.seen)))
