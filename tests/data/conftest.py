"""The embedded data sets, composed, pulled and prepared once for all tests of this folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from howdeep.data import card, sources

CONF = Path(__file__).parents[2] / "conf"


@pytest.fixture(scope="session")
def composed() -> Callable[..., DictConfig]:
    def compose_with(*overrides: str) -> DictConfig:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("train", overrides=list(overrides))
        OmegaConf.resolve(cfg)
        return cfg

    return compose_with


@pytest.fixture(scope="session")
def raw(composed, tmp_path_factory) -> Callable[[str], Path]:
    """The folder with the files of an embedded data set."""
    root = tmp_path_factory.mktemp("raw")

    def pulled(name: str) -> Path:
        sources.pull(name, composed(f"data={name}").data.sources, root / name, None)
        return root / name

    return pulled


@pytest.fixture(scope="session")
def folder(composed, raw, tmp_path_factory) -> Callable[[str], Path]:
    """The folder of an embedded data set, prepared as its YAML says."""
    root = tmp_path_factory.mktemp("prepared")

    def written(name: str) -> Path:
        if not (root / name).exists():
            data = composed(f"data={name}").data
            content = instantiate(data.prepare)(raw(name))
            card.write(content, root / name, data=data, raw=raw(name), recipe="")
        return root / name

    return written
