"""Every architecture with the values of every option, as small networks whose numbers have been stirred."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import hydra
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from torch import Tensor, nn

from howdeep.errors import UserError
from howdeep.nets import autoencoder, layers, transformer
from howdeep.study.composition import composer
from tests.choices import CONF

DATA: dict[str, dict[str, Any]] = {
    "images": {"in_shape": [1, 8, 8]},
    "sequences": {"in_shape": [16, 4]},
    "sequences, every step": {"in_shape": [16, 4], "every_step": True},
    "characters": {"in_shape": [16], "vocabulary": 10},
    "characters, every step": {"in_shape": [16], "vocabulary": 10, "every_step": True},
}
SIZES = {"depth": 2, "width": 8, "heads": 2, "expansion": 2, "bottleneck": 3, "latent": 5, "stages": 3}
VALUES: dict[str, tuple[Any, ...]] = {
    "depth": (1, 2, 5),
    "kind": autoencoder.KINDS,
    "stages": (1, 3),
    "activation": tuple(layers.ACTIVATIONS),
    "normalisation": layers.NORMALISATIONS,
    "residual": (True, False),
    "positions": transformer.POSITIONS,
    "causal": (True, False),
    "norm_first": (True, False),
    # These change numbers, but no operator.
    "initialisation": ("default", "orthogonal"),
    "dropout": (0.0, 0.5),
    "forget_bias": (None, 1.0),
    "chrono_steps": (None, 10),
}
RICHER = {"kind": "convolutional"}  # than a dense one, with more operators; has stages
METADATA = {"classes": '["no", "yes", "größer"]', "preprocessing": '{"mean": [0.5], "scale": [2.0]}'}


class Case(NamedTuple):
    """One network: what it reads, and the options in which it differs from its YAML file."""

    model: str
    data: str
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def reads(self) -> dict[str, Any]:
        """in_shape and dtype."""
        dtype = torch.int64 if "vocabulary" in DATA[self.data] else torch.float32
        return {"in_shape": tuple(DATA[self.data]["in_shape"]), "dtype": dtype}

    def net(self) -> nn.Module:
        """
        Raises:
            UserError: there is no such network.
        """
        torch.manual_seed(0)
        known = parameters(self.model)
        options = {name: value for name, value in (SIZES | dict(self.options)).items() if name in known}
        try:
            return stirred(instantiate(config(self.model, self.data), **options))
        except InstantiationException as error:
            raise error.__cause__ or error from None


@cache
def composed(model: str) -> Any:
    with composer(CONF):
        return hydra.compose("train", [f"model={model}", "data.out_features=3"])


def config(model: str, data: str) -> Any:
    cfg = composed(model).copy()
    cfg.data.update({"vocabulary": None, "every_step": False, **DATA[data]})
    return cfg.model


def parameters(model: str) -> set[str]:
    return set(composed(model).model) - {"_target_"}


def stirred(net: nn.Module) -> nn.Module:
    """Gives every normalisation and bias values of its own, as training does, so that a forgotten one shows."""
    with torch.no_grad():
        for name, value in [*net.named_parameters(), *net.named_buffers()]:
            if value.is_floating_point() and ("norm" in name or "bias" in name):
                value.uniform_(0.5, 1.5)
    return net


def is_net(case: Case) -> bool:
    asked = {name for name in ("vocabulary", "every_step") if name in DATA[case.data]}
    if not asked <= parameters(case.model):
        return False
    try:
        case.net()
    except UserError:
        return False
    return True


@cache
def data_of(model: str) -> list[str]:
    """What a network reads, as its YAML file has it."""
    return [data for data in DATA if is_net(Case(model, data))]


def usual(model: str) -> Case:
    """An architecture on the first of the data that it reads."""
    options = tuple((name, value) for name, value in RICHER.items() if name in parameters(model))
    return Case(model, data_of(model)[0], options)


def options_of(model: str) -> list[str]:
    return [name for name in VALUES if name in parameters(model)]


def values(model: str, option: str) -> Iterator[tuple[Any, Case]]:
    """Each value of an option with which there is such a network."""
    for value in VALUES[option]:
        case = usual(model)
        case = case._replace(options=tuple((dict(case.options) | {option: value}).items()))
        if is_net(case):
            yield value, case


@torch.no_grad()
def output(net: nn.Module, x: Tensor) -> Tensor:
    """What a network makes of x in evaluation mode; of a gan its generator."""
    return getattr(net, "generator", net).eval()(x)
