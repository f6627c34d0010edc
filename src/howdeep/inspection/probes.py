"""Linear probes: how much of the answer can be read from a layer by a linear map."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import update_bn

from howdeep.nets.autoencoder import Autoencoder

STRENGTH = 0.1  # of logistic regression: 1 / C is the penalty of its squared weights
PENALTIES = np.logspace(-2, 4, 7)  # of ridge regression, chosen by leaving one training example out
QUARTERS = 2  # an image is read as the channels' means over each of 2 x 2 parts


def hidden(net: nn.Module) -> list[nn.Module]:
    """The hidden layers of a net in the order in which they run; of an autoencoder the code as well."""
    layers = list(net.get_submodule("layers").children())
    if isinstance(net, Autoencoder):
        return [*layers[: net.depth], net.code, *layers[net.depth :]]
    return layers


@torch.no_grad()
def states(net: nn.Module, x: Tensor) -> list[Tensor]:
    """The input and the output of each of the `hidden` layers, in evaluation mode: depth + 1 tensors (n, ...), or
    more of networks that have more hidden layers than their depth.
    """
    found: list[Tensor] = [x]

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        found.append(output)

    handles = [layer.register_forward_hook(keep) for layer in hidden(net)]
    try:
        net.eval()(x)
    finally:
        for handle in handles:
            handle.remove()
    return found


def readable(h: Tensor, steps: int = 1) -> Tensor:
    """What a probe reads of a layer: (n * steps, features).

    Of a sequence (n, time, width) its last steps, each an example; of an image (n, channels, height, width) the mean
    of each channel over the quarters of the image, lest a probe have more weights than examples; anything else as it
    is.
    """
    if h.ndim == 3:
        return h[:, -steps:].flatten(0, 1)
    if h.ndim == 4:
        return functional.adaptive_avg_pool2d(h, QUARTERS).flatten(1)
    return h.flatten(1)


def score(train: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor]) -> float:
    """How well a linear map of activations tells the target of examples that it has not seen.

    Logistic regression for classes and ridge regression for numbers, on standardised features.

    Args:
        train, held_out: activations (n, features) and targets: (n,) int64 classes, or (n, ...) numbers.

    Returns:
        Accuracy for classes; for numbers the share of their variance that is told (R^2), below 0 where the mean would
        have done better. NaN where an activation is no finite number.

    Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes" (2017).
    """
    (h, y), (h_held, y_held) = (
        (h.double().numpy(), (y.flatten(1) if y.ndim > 1 else y).numpy()) for h, y in (train, held_out)
    )
    if not (np.isfinite(h).all() and np.isfinite(h_held).all()):
        return float("nan")
    classes = y.dtype.kind in "iu"
    kind = LogisticRegression(C=STRENGTH, max_iter=1000, tol=1e-3) if classes else RidgeCV(PENALTIES)
    return float(make_pipeline(StandardScaler(), kind).fit(h, y).score(h_held, y_held))


def scores(
    net: nn.Module, train: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], steps: int = 1
) -> Sequence[float]:
    """The `score` of what is `readable` of each hidden layer.

    Args:
        net: whose layers.
        train, held_out: inputs (n, ...) and targets as in `score`, or classes of each step, (n, time).
        steps: last steps of a sequence that are examples of their own, where each has a class.
    """
    layers, layers_held = (states(net, x)[1:] for x, _ in (train, held_out))
    y, y_held = (_targets(of, steps) for _, of in (train, held_out))
    return [
        score((readable(h, steps), y), (readable(h_held, steps), y_held))
        for h, h_held in zip(layers, layers_held, strict=True)
    ]


def input_score(train: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], steps: int = 1) -> float:
    """The `score` of all numbers or symbols of the input, or of those of one step, where each step has a class.

    Arguments as of `scores`.

    Of characters it is what a table of pairs of them knows: nothing that hidden layers carry from step to step.
    """
    (x, y), (x_held, _) = train, held_out
    if not x.is_floating_point():
        symbols = 1 + int(torch.cat([x.flatten(), x_held.flatten()]).max())
        x, x_held = (functional.one_hot(of, symbols) for of in (x, x_held))  # (n, time, symbols)
    if at_every_step(y):
        x, x_held = (readable(of, steps) for of in (x, x_held))
    y, y_held = (_targets(of, steps) for _, of in (train, held_out))
    return score((x.flatten(1), y), (x_held.flatten(1), y_held))


def at_every_step(y: Tensor) -> bool:
    """Whether targets are classes of each step of a sequence, (n, time)."""
    return y.ndim == 2 and not y.is_floating_point()


def _targets(y: Tensor, steps: int) -> Tensor:
    return y[:, -steps:].flatten() if at_every_step(y) else y


def settle(net: nn.Module, x: Tensor) -> nn.Module:
    """Gives the batch normalisation of an untrained net the statistics of examples, (n, ...), in place.

    In evaluation mode it would normalise nothing otherwise: a control that is worse for that alone is none.
    """
    update_bn([x], net)
    return net.eval()
