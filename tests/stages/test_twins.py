"""Matchings that come to the same network: it is tuned and trained once, and each of them has a run of its own."""

import json
import shutil

import pytest
import yaml

from howdeep.files.project import Project
from howdeep.records.record import whole_record
from howdeep.stages.plan import plan
from howdeep.stages.train import train_entry
from howdeep.stages.tune import tune_entry

STUDY = {
    "study": "twins", "data": ["digits"], "depths": [1, 2], "seeds": [0, 1], "split": "seeds",
    "matching": ["width", "parameters", "flops"], "margins": {"accuracy": 0.01},
    "optimizer": "adam", "schedule": "constant", "trainer": "cpu",
    "tune": {"trials": 2, "epochs": [0.5], "optimizers": {"adam": [0.001, 0.01]}},
    "entries": {
        "digits-mlp": {
            "data": "digits", "model": "mlp", "task": "classification",
            "overrides": {"train_examples": 64, "trainer": {"max_epochs": 2}},
        }
    },
}  # fmt: skip
MATCHINGS = ("", "matching=parameters-", "matching=flops-")


@pytest.fixture
def home(project, tmp_path, monkeypatch) -> Project:
    here = Project(tmp_path / "home")
    shutil.copytree(project.conf, here.conf)
    (here.root / "data").symlink_to(project.root / "data")
    here.params.write_text(yaml.safe_dump(STUDY))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.chdir(here.root)
    return here


def test_the_network_of_the_reference_is_trained_once_for_all_matchings(home, capsys):
    plan(home)
    tune_entry("digits-mlp", home)
    assert (
        "8 of 12 tunings in" in capsys.readouterr().err
    )  # depth 1 under each matching, depth 2 once; two seeds
    train_entry("digits-mlp", home)
    folders = [home.runs / f"digits-mlp/{matching}depth=2-seed=0" for matching in MATCHINGS]
    records = [whole_record(folder) for folder in folders]
    assert all(records)
    assert [record["matching"] for record in records if record] == ["width", "parameters", "flops"]
    assert [record["config"]["matching"] for record in records if record] == ["width", "parameters", "flops"]
    assert len({record["key"] for record in records if record}) == 3
    assert len({json.dumps(record["epochs"]) for record in records if record}) == 1
    assert len({(folder / "weights.safetensors").read_bytes() for folder in folders}) == 1
    assert len(list(home.provenance.glob("*.json"))) == 12
    copied = {folder: (folder / "record.json").read_bytes() for folder in folders}
    shutil.rmtree(folders[0])
    shutil.rmtree(folders[2])
    train_entry("digits-mlp", home)
    assert {folder: (folder / "record.json").read_bytes() for folder in folders} == copied
    capsys.readouterr()
    train_entry("digits-mlp", home)
    assert "0 runs to train, 12 kept" in capsys.readouterr().err


def test_a_copy_is_what_training_under_its_own_matching_gives(home):
    plan(home)
    tune_entry("digits-mlp", home)
    train_entry("digits-mlp", home)
    folder = home.runs / "digits-mlp/matching=flops-depth=2-seed=1"
    copied = (folder / "record.json").read_bytes()
    home.params.write_text(yaml.safe_dump(STUDY | {"matching": ["flops"]}))
    plan(home)
    shutil.rmtree(home.runs)
    tune_entry("digits-mlp", home)
    train_entry("digits-mlp", home)
    assert (folder / "record.json").read_bytes() == copied
