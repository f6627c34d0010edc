"""Runs that finished without training: what is asked of a network does not depend on how good it is."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from howdeep.files.project import Project
from howdeep.records.record import describe, write_record
from howdeep.runs.examples import train_checksum
from howdeep.study.composition import compose_train
from howdeep.training.run import build

Runs = Callable[..., Path]


@pytest.fixture
def here(project: Project, tmp_path, monkeypatch) -> Project:
    """A project of its own with the data sets that are prepared already; commands are typed in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copytree(project.conf, folder / "conf")
    shutil.copy(project.params, folder)
    (folder / "data").symlink_to(project.root / "data")
    monkeypatch.chdir(folder)
    return Project(folder)


@pytest.fixture
def run(here: Project) -> Runs:
    """Writes a run: `run('model=cnn', 'data=digits', entry='digits-cnn', val=0.5)`; its folder."""

    def of(*overrides: str, entry: str = "an-entry", val: float = 0.5, seed: int = 0) -> Path:
        cfg = compose_train(here.conf, ["tracking.uri=null", f"seed={seed}", *overrides])
        torch.manual_seed(seed)
        net = build(cfg.model)
        config = OmegaConf.to_container(cfg, resolve=True)
        assert isinstance(config, dict)
        for name in ("resume", "tracking", "checkpoint_seconds"):
            config.pop(name, None)
        config["data"].pop("mirror")
        key = f"{abs(hash((overrides, seed))):016x}"[:16]
        known = describe(cfg, key=key, entry=entry, checksum=train_checksum(cfg, here), config=config)
        score = known["score"]["name"]
        epoch = {"epoch": 0, "train/loss": val, "val/loss": val, f"val/{score}": val}
        found = {
            "state": "finished", "reason": None, "best_epoch": 0, "epochs": [epoch], "gradient_flow": [],
            "gap": {"best": {"loss": 0.0}, "last": {"loss": 0.0}},
            "cost": {"parameters": 1, "training_flops": 1},
        }  # fmt: skip
        folder = here.runs / entry / f"depth={cfg.model.depth}-seed={seed}"
        weights = {name: of.contiguous() for name, of in net.state_dict().items()}
        write_record(folder, known | found, weights, {})
        return folder

    return of
