"""What claims measure inside trained networks: a number for each run, of all runs of a cell at once.

Each function takes the runs of an arm at one depth, in the order of their seeds, and gives one number for each, NaN
where there is none. claims/NAME.yaml names it as `inside/<function>`.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from howdeep.data.examples import Examples, Split
from howdeep.inspection import attention, attribution, probes, similarity

PROBED, COMPARED, LOOKED_AT, SHOWN = 2000, 256, 64, 32  # examples


class Trained(NamedTuple):
    """One run.

    Args:
        net: with the weights of its best epoch; of a gan its discriminator.
        start: the same before training, with the weights from which it was trained.
        other: untrained, with weights that no run has.
        split: its examples.
        gradient_at_start: norm of the loss gradient at each hidden layer of `start`, (layers,).
    """

    net: nn.Module
    start: nn.Module
    other: nn.Module
    split: Split
    gradient_at_start: Tensor


def gradient_ratio_at_start(runs: Sequence[Trained]) -> list[float]:
    """||dL/dh_1|| / ||dL/dh_depth|| before the first step: far below 1 it vanishes, far above it explodes.

    Source: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
    """
    return [float(run.gradient_at_start[0] / run.gradient_at_start[-1]) for run in runs]


def gradient_distance_at_start(runs: Sequence[Trained]) -> list[float]:
    """|log10| of `gradient_ratio_at_start`: how many powers of ten the gradient vanishes or explodes by."""
    smallest = torch.finfo(torch.float32).tiny  # a gradient that has vanished altogether
    return [
        abs(math.log10(max(float(run.gradient_at_start[0]), smallest) / float(run.gradient_at_start[-1])))
        for run in runs
    ]


def _probed(split: Split) -> tuple[Examples, Examples]:
    (x, y), (x_held, y_held) = split.train, split.validation
    return (x[:PROBED], y[:PROBED]), (x_held[:PROBED], y_held[:PROBED])


def probe_of_last_layer(runs: Sequence[Trained]) -> list[float]:
    """What a linear probe reads from the last hidden layer beyond what it reads from the input itself.

    Source: Alain and Bengio, "Understanding intermediate layers using linear classifier probes" (2017).
    """
    found = []
    for run in runs:
        train, held_out = _probed(run.split)
        found.append(probes.scores(run.net, train, held_out)[-1] - probes.input_score(train, held_out))
    return found


def probe_gain(runs: Sequence[Trained]) -> list[float]:
    """What a linear probe reads from the last hidden layer beyond what it reads from that of an untrained network."""
    found = []
    for run in runs:
        train, held_out = _probed(run.split)
        control = probes.settle(run.other, train[0])
        found.append(
            probes.scores(run.net, train, held_out)[-1] - probes.scores(control, train, held_out)[-1]
        )
    return found


def layers_matched(runs: Sequence[Trained]) -> list[float]:
    """The share of hidden layers whose likest layer in the next run is the one at the same place, less chance.

    By unbiased linear CKA on validation examples that both have seen none of; the last run is compared with the first.

    Source: Kornblith et al., "Similarity of neural network representations revisited" (2019).
    """
    x = runs[0].split.validation[0][:COMPARED]
    kernels = [[similarity.centred_kernel(h) for h in probes.states(run.net, x)[1:]] for run in runs]
    found = []
    for own, other in zip(kernels, [*kernels[1:], kernels[0]], strict=True):
        alike = torch.tensor([[similarity.cka(a, b) for b in other] for a in own])
        right = (alike.argmax(1) == torch.arange(len(own))).double().mean()
        found.append(float(right) - 1 / len(own))
    return found


def attention_on_marks(runs: Sequence[Trained]) -> list[float]:
    """The share of the last step's attention that lies on the marked steps of the adding problem: the mean over
    examples and heads of the layer where it is largest.
    """
    found = []
    for run in runs:
        x = run.split.validation[0][:LOOKED_AT]
        mass = (attention.maps(run.net, x)[:, :, :, -1, :] * x[None, :, None, :, 1]).sum(
            -1
        )  # (layers, n, heads)
        found.append(float(mass.mean((1, 2)).max()))
    return found


def _attributions(run: Trained, net: nn.Module) -> attribution.Attribution:
    x, y = (part[:SHOWN] for part in run.split.validation)
    blank = run.split.train[0].amin(0, keepdim=True)
    return attribution.integrated_gradients(net, x, y, blank)


def completeness_error(runs: Sequence[Trained]) -> list[float]:
    """By how much integrated gradients miss the rise of the logit that they must add up to, the median of examples."""
    return [float(_attributions(run, run.net).error.median()) for run in runs]


def attribution_agreement(runs: Sequence[Trained]) -> list[float]:
    """Rank agreement of the integrated gradients of each run with those of the next: does an explanation depend on the
    seed?

    Source: Adebayo et al., "Sanity checks for saliency maps" (2018).
    """
    x = runs[0].split.validation[0][:SHOWN]
    shown = x != runs[0].split.train[0].amin(0, keepdim=True)
    pixels = [_attributions(run._replace(split=runs[0].split), run.net).pixels for run in runs]
    others = [*pixels[1:], pixels[0]]
    return [attribution.rank_agreement(own, of, shown) for own, of in zip(pixels, others, strict=True)]


def attribution_without_training(runs: Sequence[Trained]) -> list[float]:
    """Rank agreement of the integrated gradients of each run with those of the same network with random weights: an
    explanation that does not change with the weights explains nothing of what was learned.

    Source: Adebayo et al., "Sanity checks for saliency maps" (2018), the model parameter randomisation test.
    """
    found = []
    for run in runs:
        x, smallest = run.split.validation[0][:SHOWN], run.split.train[0].amin(0, keepdim=True)
        own, other = (_attributions(run, net).pixels for net in (run.net, run.other))
        found.append(attribution.rank_agreement(own, other, x != smallest))
    return found


MEASURES = (
    *(gradient_ratio_at_start, gradient_distance_at_start, probe_of_last_layer, probe_gain, layers_matched),
    *(attention_on_marks, completeness_error, attribution_agreement),
    attribution_without_training,
)
