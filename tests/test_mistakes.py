"""What people mistype, and files that were spoiled, end in one line that says what to do, never in a traceback."""

import shutil
from pathlib import Path

import pytest
import yaml

from howdeep.cli import main
from howdeep.composition import check_kinds, compose_train
from howdeep.errors import UserError
from howdeep.prepare import load_split

GROUP = "expected the name of a file for each folder of conf/, as in model=mlp"
MISTYPED = {
    "model=[1]": GROUP,
    "data=[digits,5]": GROUP,
    "data=5": GROUP,
    "data.name=5": "data.name must be text, as in conf/, got 5",
    "data.name=../..": "data.name must be a name (letters",
    "data.name=/tmp/x": "data.name must be a name (letters",
    "data.name='x; touch pwned'": "data.name must be a name (letters",
    "data.name=${oc.env:HOME}": "data.name must be a name (letters",
    "tracking.experiment=../x": "tracking.experiment must be a name (letters",
    "data.examples=null": "data.examples must be a map with _target_, as in conf/, got None",
    "data.sources=null": "data.sources must be a list, as in conf/, got None",
    "data.prepare=null": "data.prepare must be a map with _target_, as in conf/, got None",
    "data.mirror=5": "data.mirror must be text, or null, got 5",
    "tracking=null": "tracking must be a map, as in conf/, got None",
    "tracking.uri=5": "tracking.uri must be text, or null, got 5",
    "resume=[a]": "resume must be text, or null, got ['a']",
    "~model": "model must be a map with _target_",
    "~seed": "the config lacks seed",
    "~optimizer.lr": "the config lacks optimizer.lr",
}


@pytest.mark.parametrize("override", MISTYPED)
def test_an_override_of_the_wrong_kind_is_refused_in_one_line(project, override):
    with pytest.raises(UserError) as refused:
        compose_train(project.conf, [override])
    assert str(refused.value).startswith(MISTYPED[override])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("override", ["model=[1]", "data.name=5", "~seed"])
def test_so_it_is_at_the_command_line(project, monkeypatch, capfd, override):
    monkeypatch.chdir(project.root)
    assert main(["train", "tracking.uri=null", "hydra.run.dir=/nowhere/at/all", override]) == 1
    said = capfd.readouterr().err
    assert said.startswith("howdeep: ")
    assert said.count("\n") == 1


def test_a_type_error_of_our_own_is_not_passed_off_as_a_mistake(project, monkeypatch):
    def fails(cfg):
        raise TypeError("a bug")

    monkeypatch.setattr("hydra.core.utils.configure_log", lambda *_: None)
    monkeypatch.setattr("howdeep.composition.OmegaConf.resolve", fails)
    with pytest.raises(TypeError, match="a bug"):
        compose_train(project.conf, [])


def test_every_config_of_the_study_is_of_the_right_kind(compose):
    for overrides in (["data=torch_docs", "model=transformer"], ["model=gan"], ["optimizer=sgd"]):
        check_kinds(compose(*overrides))


def test_more_training_examples_than_there_are_are_refused(compose, project):
    there = len(load_split(compose(), project).train[0])
    assert len(load_split(compose(f"train_examples={there}"), project).train[0]) == there
    with pytest.raises(UserError, match=f"train_examples must be at most {there}, .* got {there + 1}"):
        load_split(compose(f"train_examples={there + 1}"), project)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, project) -> Path:
    """A study of two runs, tuned, trained and tested: what a command may find spoiled."""
    folder = tmp_path_factory.mktemp("trained")
    shutil.copytree(project.conf, folder / "conf")
    shutil.copytree(project.root / "data", folder / "data")
    plan = yaml.safe_load((project.root / "params.yaml").read_text())
    entry = {"data": "digits", "model": "mlp", "task": "classification"}
    small = {"train_examples": 40, "trainer": {"max_epochs": 1}, "model": {"width": 4}}
    tune = {"trials": 1, "epochs": 1.0, "seed": 9, "optimizers": {"adam": [0.001, 0.01]}}
    plan |= {"data": ["digits"], "depths": [1, 2], "seeds": [0], "tune": tune}
    plan["entries"] = {"digits-mlp": entry | {"overrides": small}}
    (folder / "params.yaml").write_text(yaml.safe_dump(plan))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", "")
        for command in (["tune-entry", "digits-mlp"], ["train-entry", "digits-mlp"], ["evaluate"]):
            assert main(command) == 0
    return folder


RECORD = "runs/digits-mlp/depth=1-seed=0/record.json"
SPOILED = {  # file -> the commands that read it
    "params.yaml": ["tune-entry digits-mlp", "train-entry digits-mlp", "evaluate", "report"],
    RECORD: ["evaluate", "report"],
    "runs/digits-mlp/depth=1-seed=0/weights.safetensors": ["evaluate"],
    "tuned/digits-mlp/settings.json": ["train-entry digits-mlp"],
    "tuned/digits-mlp/trials.csv": ["report"],
    "results/test.json": ["report"],
    "results/answers.safetensors": ["report"],
    "data/prepared/digits/card.json": ["evaluate", "report"],
    "data/prepared/digits/train.safetensors": ["evaluate"],
    "data/prepared/digits/test.safetensors": ["evaluate"],
}


@pytest.mark.parametrize("how", ["gone", "empty", "cut", "a list"])
@pytest.mark.parametrize("path", SPOILED)
def test_a_spoiled_file_is_named_in_one_line(trained, tmp_path, monkeypatch, capfd, path, how):
    here = tmp_path / "here"
    shutil.copytree(trained, here)
    content = (here / path).read_bytes()
    if how == "gone":
        (here / path).unlink()
    else:
        (here / path).write_bytes({"empty": b"", "cut": content[: len(content) // 2], "a list": b"[1]"}[how])
    monkeypatch.chdir(here)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    for command in SPOILED[path]:
        code = main(command.split())
        said = capfd.readouterr().err.splitlines()
        if code:
            assert len(said) == 1, said
            assert said[0].startswith("howdeep: ")
            assert Path(path).parts[0] in said[0]
