"""How alike two representations of the same examples are, whatever their sizes and their axes."""

import torch
from torch import Tensor

FEWEST = 4  # examples; the unbiased estimator divides by n (n - 3)


def centred_kernel(h: Tensor) -> Tensor:
    """The linear kernel of n examples, centred so that products of two such matrices are unbiased.

    K = h h^T with its diagonal set to 0, less the means of rows and columns, taken as if over n - 2 examples; rows
    and columns of the result sum to 0, and so is its diagonal.

    Args:
        h: (n, ...) activations, a row an example.

    Returns:
        (n, n), float64.

    Raises:
        ValueError: fewer than four examples.

    Source: Szekely and Rizzo, "Partial distance correlation with methods for dissimilarities" (2014), equation 2.
    """
    n = len(h)
    if n < FEWEST:
        raise ValueError(f"expected at least {FEWEST} examples, got {n}")
    x = h.flatten(1).double()
    x = x - x.mean(0)  # changes nothing but the rounding
    kernel = (x @ x.T).fill_diagonal_(0)
    rows = kernel.sum(0) / (n - 2)
    total = kernel.sum() / ((n - 1) * (n - 2))
    return (kernel - rows[:, None] - rows + total).fill_diagonal_(0)


def hsic(first: Tensor, second: Tensor) -> float:
    """The unbiased estimate of the Hilbert-Schmidt independence criterion, from two `centred_kernel`s.

    sum_ij K_ij L_ij / (n (n - 3)), which is HSIC_1 of Song et al., "Feature selection via dependence maximization"
    (2012); 0 on average where the representations are independent, and then as often below 0 as above.
    """
    n = len(first)
    return float((first * second).sum()) / (n * (n - 3))


def cka(first: Tensor, second: Tensor) -> float:
    """Unbiased linear centred kernel alignment of two `centred_kernel`s of the same examples.

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)): 1 where one representation is a rotation, a shift or a scale of the
    other, about 0 where they have nothing in common. The biased estimate is near 1 for any two representations of
    more features than examples. NaN where a representation is the same for all examples.

    Source: Kornblith et al., "Similarity of neural network representations revisited" (2019); unbiased as in Nguyen
    et al., "Do wide and deep networks learn the same things?" (2021).
    """
    scale = (hsic(first, first) * hsic(second, second)) ** 0.5
    return hsic(first, second) / scale if scale > 0 else torch.nan
