"""The YAML files of conf/model against the classes that they name."""

import inspect
from functools import cache
from pathlib import Path
from typing import NamedTuple

import hydra
import pytest
import torch
from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from howdeep.errors import UserError
from howdeep.study.composition import composer

CONF = Path(__file__).parents[2] / "conf"
MODELS = sorted(
    str(path.relative_to(CONF / "model").with_suffix("")) for path in CONF.glob("model/**/*.yaml")
)


class Kind(NamedTuple):
    """What the examples of a data set look like."""

    in_shape: tuple[int, ...]
    vocabulary: int | None = None
    every_step: bool = False

    def batch(self, n: int) -> Tensor:
        if self.vocabulary:
            return torch.randint(self.vocabulary, (n, *self.in_shape))
        return torch.randn(n, *self.in_shape)


KINDS = {
    "images": Kind((1, 8, 8)),
    "sequences": Kind((16, 4)),
    "sequences at every step": Kind((16, 4), every_step=True),
    "characters": Kind((16,), vocabulary=10, every_step=True),
    "characters, one output": Kind((16,), vocabulary=10),
}


@cache
def compose(model: str) -> DictConfig:
    with composer(CONF):
        return hydra.compose("train", [f"model={model}", "data.out_features=10"])


def config(model: str, kind: Kind) -> DictConfig:
    cfg = compose(model).copy()
    cfg.data.update({**kind._asdict(), "in_shape": list(kind.in_shape)})
    return cfg.model


def parameters(model: str) -> set[str]:
    return set(inspect.signature(get_class(compose(model).model._target_).__init__).parameters) - {"self"}


def is_asked(model: str, kind: Kind) -> bool:
    """Only nets that know these options can tell characters from numbers, or a step from the last one."""
    needed = {name for name in ("vocabulary", "every_step") if kind._asdict()[name]}
    return needed <= parameters(model)


def build(model: str, kind: Kind, depth: int) -> nn.Module:
    torch.manual_seed(0)
    try:
        return instantiate(config(model, kind), depth=depth)
    except InstantiationException as error:
        raise error.__cause__ or error from None


def reads(model: str, kind: Kind) -> bool:
    try:
        build(model, kind, depth=1)
    except UserError:
        return False
    return True


ASKED = [(model, name) for model in MODELS for name, kind in KINDS.items() if is_asked(model, kind)]
READ = [(model, name) for model, name in ASKED if reads(model, KINDS[name])]
REFUSED = [case for case in ASKED if case not in READ]


@pytest.fixture(params=MODELS)
def model(request) -> str:
    return request.param


def test_conf_model_names_every_parameter_and_no_other(model):
    assert set(compose(model).model) == parameters(model) | {"_target_"}


def test_conf_model_reads_the_examples_of_some_kind(model):
    assert model in dict(READ)


@pytest.mark.parametrize(("model", "kind"), REFUSED)
def test_conf_model_refuses_in_one_line_what_it_does_not_read(model, kind):
    with pytest.raises(UserError, match=r"^[^\n]*got in_shape[^\n]*: choose [^\n]*$"):
        build(model, KINDS[kind], depth=1)


@pytest.mark.parametrize(("model", "kind"), READ)
@pytest.mark.parametrize("depth", [1, 32])
def test_conf_model_takes_the_sizes_of_the_data_and_trains_one_step(model, kind, depth):
    net, x = build(model, KINDS[kind], depth), KINDS[kind].batch(8)
    target = torch.randn_like(net(x))
    loss = mse_loss(net(x), target)
    loss.backward()
    torch.optim.SGD(net.parameters(), lr=1e-3).step()
    assert mse_loss(net(x), target) < loss


@pytest.mark.parametrize(("model", "kind"), READ)
@pytest.mark.parametrize("depth", [1, 32])
def test_conf_model_has_depth_layers_or_mirrors_them(model, kind, depth):
    """An autoencoder has as many once more for its decoder."""
    lists = [part for part in build(model, KINDS[kind], depth).modules() if isinstance(part, nn.ModuleList)]
    assert lists
    assert all(len(layers) in (depth, 2 * depth) for layers in lists)


@pytest.mark.parametrize(("model", "kind"), READ)
def test_conf_model_gives_untrained_outputs_of_one_scale_at_every_depth(model, kind):
    torch.manual_seed(1)
    x = KINDS[kind].batch(64)
    scales = {depth: build(model, KINDS[kind], depth)(x).std().item() for depth in (1, 2, 8, 32)}
    largest, smallest = max(scales.values()), min(scales.values())
    assert largest < 2 * smallest, (
        f"deviations of the outputs by depth, whose ratio must be below 2: {scales}"
    )


def test_conf_model_opens_with_the_command_that_runs_it(model):
    assert (CONF / f"model/{model}.yaml").read_text().startswith(f"# howdeep train model={model}")
