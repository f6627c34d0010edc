"""Integrated gradients: which pixels make a classifier say what it says, and whether its weights have a part in it."""

import math
from typing import NamedTuple

import numpy as np
import torch
from captum.attr import IntegratedGradients
from scipy.stats import spearmanr
from torch import Tensor, nn

STEPS = 32  # by Gauss and Legendre
AT_ONCE = 2048  # points in one pass through the net


class Attribution(NamedTuple):
    """What each pixel adds to the logit of a class, and how far the sum is from what it must be.

    Args:
        pixels: (n, *in_shape).
        error: (n,), sum of the pixels less (logit of x - logit of the blank), as a share of that difference's size.
    """

    pixels: Tensor
    error: Tensor


def integrated_gradients(
    net: nn.Module, x: Tensor, classes: Tensor, blank: Tensor, *, steps: int = STEPS
) -> Attribution:
    """The gradient of a logit, averaged along the straight way from a blank image to x, times x less the blank.

    Its pixels add up to the logit of x less that of the blank ("completeness"), as far as the sum over points of the
    way comes near the integral.

    Args:
        x: (n, *in_shape).
        classes: (n,) int64, whose logit.
        blank: (1, *in_shape), where the way begins: an image that shows nothing.
        steps: points of the way at which gradients are taken.

    Source: Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks" (2017), as in captum.
    """
    method = IntegratedGradients(net.eval(), multiply_by_inputs=True)
    pixels, left = method.attribute(
        x, blank, classes, n_steps=steps, method="gausslegendre", internal_batch_size=AT_ONCE,
        return_convergence_delta=True,
    )  # fmt: skip
    with torch.no_grad():
        rise = (net(x) - net(blank)).gather(1, classes[:, None]).squeeze(1)
    return Attribution(pixels.detach().to(x.dtype), left.abs().to(x.dtype) / rise.abs())


def rank_agreement(first: Tensor, second: Tensor, shown: Tensor) -> float:
    """Spearman's rank correlation of the sizes of two attributions, the mean over examples.

    Of a network and of the same one with other, untrained weights it says whether the picture tells of what was
    learned: near 1, the picture is made by the input and the architecture alone.

    Args:
        first, second: (n, *in_shape).
        shown: (n, *in_shape) bool, the pixels that differ from the blank. All others have an attribution of 0 in any
            network, and would make any two networks agree.

    Returns:
        NaN where no example has two attributions that vary.

    Source: Adebayo et al., "Sanity checks for saliency maps" (2018).
    """
    found = [
        float(spearmanr(a[of].abs().numpy(), b[of].abs().numpy())[0])  # type: ignore[arg-type]
        for a, b, of in zip(first, second, shown, strict=True)
        if varies(a[of]) and varies(b[of])
    ]
    return float(np.mean(found)) if found else math.nan


def varies(values: Tensor) -> bool:
    """Whether finite values are not all of one size."""
    sizes = values.abs()
    return bool(sizes.isfinite().all()) and len(sizes) > 1 and bool(sizes.min() < sizes.max())
