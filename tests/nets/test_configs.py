"""The YAML files of conf/model against the classes that they name."""

import inspect
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from torch.nn.functional import cross_entropy

CONFIGS = sorted((Path(__file__).parents[2] / "conf" / "model").rglob("*.yaml"))


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


def compose(path: Path):
    data = {"in_shape": [16, 4], "out_features": 10}
    return OmegaConf.create({"data": data, "model": OmegaConf.load(path)}).model


def test_conf_model_names_every_parameter_and_no_other(path):
    model = compose(path)
    parameters = inspect.signature(get_class(model._target_).__init__).parameters
    assert set(model) == set(parameters) - {"self"} | {"_target_"}


@pytest.mark.parametrize("depth", [1, 32])
def test_conf_model_takes_the_sizes_of_the_data_and_trains_one_step(path, depth):
    torch.manual_seed(0)
    net = instantiate(compose(path), depth=depth)
    x, y = torch.randn(8, 16, 4), torch.randint(10, (8,))
    loss = cross_entropy(net(x), y)
    loss.backward()
    torch.optim.SGD(net.parameters(), lr=1e-3).step()
    assert len(net.layers) == depth
    assert cross_entropy(net(x), y) < loss


def test_conf_model_gives_untrained_outputs_of_one_scale_at_every_depth(path):
    scales = []
    for depth in (1, 2, 8, 32):
        torch.manual_seed(0)
        scales.append(instantiate(compose(path), depth=depth)(torch.randn(256, 16, 4)).std().item())
    assert max(scales) < 2 * min(scales)


def test_conf_model_opens_with_the_command_that_runs_it(path):
    assert path.read_text().startswith(f"# howdeep train model={path.stem}")
