"""A study once more with new seeds: a small one, really run."""

import shutil

import pytest
import yaml

from howdeep import cli
from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.stages.compare import compare
from howdeep.stages.evaluate import evaluate
from howdeep.stages.plan import plan
from howdeep.stages.replicate import replicate, with_new_seeds
from howdeep.stages.train import train_entry
from howdeep.stages.tune import tune_entry
from howdeep.study import params

SMALL = {
    "study": "small", "data": ["digits"], "depths": [1, 2], "matching": ["width"], "seeds": [0, 1, 2], "split": "seeds",
    "optimizer": "adam", "schedule": "constant", "trainer": "cpu", "margins": {"accuracy": 0.01},
    "tune": {"trials": 1, "epochs": 0.5, "optimizers": {"adam": [0.001, 0.01]}},
    "entries": {
        "digits-mlp": {
            "data": "digits", "model": "mlp", "task": "classification",
            "overrides": {"trainer": {"max_epochs": 2}, "model": {"width": 8}},
        }
    },
}  # fmt: skip


@pytest.fixture
def home(project, tmp_path) -> Project:
    here = Project(tmp_path / "home")
    shutil.copytree(project.conf, here.conf)
    (here.root / "data").symlink_to(project.root / "data")
    here.params.write_text(yaml.safe_dump(SMALL))
    return here


@pytest.mark.slow
def test_a_replication_has_new_seeds_tells_what_repeats_and_goes_on_where_it_was_stopped(
    home, capsys, monkeypatch
):
    monkeypatch.chdir(home.root)
    plan(home)
    tune_entry("digits-mlp", home)
    train_entry("digits-mlp", home)
    evaluate(home)
    compare(home)
    before = {path: path.read_bytes() for path in home.results.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert cli.main(["compare", "--replicate"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("1 comparisons in both studies")
    assert "digits-mlp: 6 runs to train, 0 kept" in said.err
    again = Project(home.root / "replication")
    names = {path.parent.name for path in again.runs.rglob("record.json")}
    assert names == {f"depth={depth}-seed={seed}" for depth in (1, 2) for seed in (3, 4, 5)}
    assert {path: path.read_bytes() for path in before} == before
    assert replicate(home) == said.out
    assert "digits-mlp: 0 runs to train, 6 kept" in capsys.readouterr().err


def test_no_seed_is_one_of_the_first_study():
    content = SMALL | {"entries": {"a": {"seeds": [0, 9]}, "b": {"tune": None}, "c": {}}}
    found = with_new_seeds(content)
    assert found["seeds"] == [10, 11, 12]
    assert found["entries"] == {"a": {"seeds": [10, 19]}, "b": {"tune": None}, "c": {}}
    assert (found["tune"], found["study"]) == (SMALL["tune"], "small-again")
    assert content["seeds"] == [0, 1, 2]


def test_the_default_study_can_be_replicated(root, tmp_path):
    content = yaml.safe_load((root / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(with_new_seeds(content)))
    first, again = params.read(root / "params.yaml"), params.read(tmp_path / "params.yaml")
    assert first.entries.keys() == again.entries.keys()
    for name, entry in first.entries.items():
        assert len(entry.seeds) == len(again.entry(name).seeds)
        assert not set(entry.seeds) & set(again.entry(name).seeds)


def test_what_is_not_there_yet_and_what_is_somebody_elses_is_told_in_one_line(home):
    with pytest.raises(UserError, match=r"expected the verdicts of this study in .*: run `dvc repro`"):
        replicate(home)
    (home.results / "tables").mkdir(parents=True)
    (home.results / "tables/verdicts.csv").touch()
    (home.root / "replication").mkdir()
    (home.root / "replication/thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="found what howdeep did not make: move it away"):
        replicate(home)
    assert [path.name for path in (home.root / "replication").iterdir()] == ["thesis.tex"]
