"""What people mistype, and files that were spoiled, end in one line that says what to do, never in a traceback."""

import copy
import csv
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from howdeep.cli import main
from howdeep.errors import UserError
from howdeep.files import reading
from howdeep.files.project import Project
from howdeep.records.record import read_record
from howdeep.records.trials import trials_of
from howdeep.results import answers, inspection
from howdeep.runs.examples import load_split
from howdeep.stages.compare import read_inspection
from howdeep.stages.inspect import COLUMNS, NAMES
from howdeep.study.composition import compose_train
from howdeep.study.kinds import check_kinds

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
    **{
        f"{place}._target_={target}": f"{place}._target_ must be "
        for place in ("model", "task", "optimizer", "schedule", "trainer", "data.prepare", "data.examples")
        for target in ("null", "x", "5", "[a]", ".", "howdeep")
    },
    "+model._convert_=all": "model._convert_ must not be there, got 'all'",
    "+optimizer._args_=[1]": "optimizer._args_ must not be there, got [1]",
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
    monkeypatch.setattr("howdeep.study.kinds.OmegaConf.resolve", fails)
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
    tune = {"trials": 1, "epochs": 1.0, "optimizers": {"adam": [0.001, 0.01]}}
    plan |= {"data": ["digits"], "depths": [1, 2], "matching": ["width"], "seeds": [0], "tune": tune}
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


@pytest.mark.parametrize("how", ["gone", "empty", "cut", "a list", "an empty map"])
@pytest.mark.parametrize("path", SPOILED)
def test_a_spoiled_file_is_named_in_one_line(trained, tmp_path, monkeypatch, capfd, path, how):
    here = tmp_path / "here"
    shutil.copytree(trained, here)
    content = (here / path).read_bytes()
    if how == "gone":
        (here / path).unlink()
    else:
        (here / path).write_bytes(
            {"empty": b"", "cut": content[: len(content) // 2], "a list": b"[1]"}.get(how, b"{}")
        )
    monkeypatch.chdir(here)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    for command in SPOILED[path]:
        code = main(command.split())
        said = capfd.readouterr().err.splitlines()
        if code:
            assert len(said) == 1, said
            assert said[0].startswith("howdeep: ")
            assert Path(path).parts[0] in said[0]


TRACE = "provenance"
WRONG = {  # file -> of each place what must not stand there
    RECORD: {
        "key": ["../x", None, 5],
        "entry": ["../..", 5, []],
        "data": ["..", {}],
        "model": [None, "a/b"],
        "depth": ["1", 1.5, None, True],
        "seed": ["0", None],
        "matching": [None, 5],
        "score": [None, "accuracy", {"name": "accuracy"}],
        "score.name": [5, None],
        "config": [None, [], {}],
        "config.data.name": ["../..", 5],
        "config.model": [None, "mlp"],
        "state": ["done", None, 5],
        "best_epoch": [None, "0", 99, -1],
        "epochs": [None, {}, [], [5], [{}]],
        "epochs.0.epoch": [1, None, "0"],
        "epochs.0.val/loss": [None, "x", []],
        "gap": [None, {}, {"best": {}}, 5],
        "gap.best": [None, {"loss": "x"}],
        "gradient_flow": [None, [5], {}],
        "cost": [None, {"parameters": 5}],
        "cost.parameters": ["5", None, 1.5],
    },
    "tuned/digits-mlp/settings.json": {
        "depth=1-seed=0": [None, [], "x", {}],
        "depth=1-seed=0.overrides": [None, {}, "x", [5], [None]],
        "depth=1-seed=0.key": [None, 5],
        "depth=1-seed=0.seconds": [None, 5, ["x"], [[5]]],
    },
    "results/test.json": {
        "runs": [None, [], {"a": 5}, {"a": {"loss": "x"}}],
        "baselines": [None, {"digits": 5}, {"digits": {"mean": {"val": 5, "test": {}}}}],
        "examples": [None, {"digits-mlp": "5"}],
        "train_examples": [[], {"digits-mlp": 1.5}],
        "classes": [None, {"digits-mlp": "x"}, {"digits-mlp": [5]}],
    },
    "data/prepared/digits/card.json": {
        "name": [None, "../x"],
        "licence": [None, 5],
        "shape": [None, 5, ["x"]],
        "examples": [None, {}, {"train": "5", "test": 5}],
        "checksums": [None, [], {"train": 5}],
        "digest": [None, 5],
        "classes": [None, "x", [5]],
    },
    TRACE: {"seconds": [None, "5"], "train_seconds": ["x"], "packages": [None, {"torch": 5}], "commit": [5]},
}


@pytest.mark.parametrize("path", WRONG)
def test_well_formed_json_of_another_shape_is_one_line_with_the_place(trained, tmp_path, path):
    source = next((trained / "provenance").glob("*.json")) if path == TRACE else trained / path
    content = json.loads(source.read_bytes())
    spoiled = tmp_path / (path if path != TRACE else f"provenance/{source.name}")
    spoiled.parent.mkdir(parents=True)
    shutil.copy(source, spoiled)
    assert read(spoiled) == content
    for place, values in WRONG[path].items():
        # What is missing of a run is told by `train-entry`, and not every setting has seconds.
        may_lack = place in ("depth=1-seed=0", "depth=1-seed=0.seconds")
        for value in values if may_lack else (*values, GONE):
            spoiled.write_text(json.dumps(put(content, place.split("."), value)))
            with pytest.raises(UserError, match=re.escape(str(spoiled))) as refused:
                read(spoiled)
            assert "\n" not in str(refused.value)


GONE = object()


def read(path: Path) -> dict:
    return read_record(path.parent) if path.name == "record.json" else reading.json_map(path, "make it again")


def put(content: Any, place: Sequence[str], value: Any) -> Any:
    """The content with another value in a place, or without it."""
    content = copy.deepcopy(content)
    node, last = content, place[-1]
    for name in place[:-1]:
        node = node[int(name) if isinstance(node, list) else name]
    if value is GONE:
        node.pop(last, None)
    else:
        node[last] = value
    if value is GONE and last == "classes" and "digest" in content:  # only classifiers have them
        content["digest"] = None
    return content


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("depth", "x"), ("depth", ""), ("depth", "0"), ("lr", "nan"), ("lr", "-1"), ("val_loss", "inf")),
        *(
            ("matching", "x"),
            ("epochs", "0"),
            ("seed", "-1"),
            ("last_loss", "nan"),
            ("optimizer", "../x"),
            ("val_loss", "x"),
            ("lr", ""),
        ),
    ],
)
def test_a_trial_of_another_shape_is_named_by_its_line(trained, tmp_path, name, value):
    with (trained / "tuned/digits-mlp/trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    here = Project(tmp_path)
    (here.tuned / "digits-mlp").mkdir(parents=True)
    rows[1][name] = value
    with (here.tuned / "digits-mlp" / "trials.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(UserError, match=r"trials.csv line 3 is no trial \(.*: delete its folder, then"):
        trials_of("digits-mlp", here)


def test_answers_of_another_shape_are_one_line(trained):
    path = trained / "results/answers.safetensors"
    good = reading.arrays(path, "again")
    predicted = next(name for name in good if name.endswith("/predicted"))
    label = next(name for name in good if name.endswith("/label"))
    assert answers.check(good, path, "again") == good
    for wrong in (
        {predicted: good[predicted][:5]},
        {predicted: good[predicted].astype("float32")},
        {label: good[label][None]},
        {"x": good[label]},
        {predicted.replace("predicted", "guessed"): good[predicted]},
    ):
        with pytest.raises(
            UserError, match=r"must hold predicted and confidence, label, or score, for each example"
        ):
            answers.check({**good, **wrong}, path, "again")
    with pytest.raises(UserError, match=r"labels of digits-mlp and .* answers of the run"):
        answers.predicted({**good, label: good[label][:5]}, "digits-mlp", predicted.partition("/")[0])
    with pytest.raises(UserError, match="lacks the labels of digits-mlp"):
        answers.predicted({predicted: good[predicted]}, "digits-mlp", predicted.partition("/")[0])


def test_inspection_tables_of_another_shape_are_one_line(tmp_path):
    assert {name: tuple(of) for name, of in inspection.TABLES.items()} == COLUMNS
    assert tuple(inspection.NAMES) == NAMES
    for name, columns in inspection.TABLES.items():
        row = {column: "x" if kind is str else 1 for column, kind in {**inspection.NAMES, **columns}.items()}
        (tmp_path / f"{name}.csv").write_text(f"{','.join(row)}\n{','.join(map(str, row.values()))}\n")
    shown = {"e/width/1/images": np.zeros((1, 1, 2, 2)), "e/width/1/labels": np.zeros(1)}
    save_file(shown, tmp_path / "pictures.safetensors")
    assert len(read_inspection(tmp_path).tables["attention"]) == 1
    table = tmp_path / "attention.csv"
    good = table.read_text()
    for spoiled in ("", "a,b\n1,2\n", good.replace("spread", "spred"), good.replace("1", "x"), "[1]"):
        table.write_text(spoiled)
        with pytest.raises(UserError, match=r"expected what `howdeep inspect` writes") as refused:
            read_inspection(tmp_path)
        assert "\n" not in str(refused.value)
    table.write_text(good)
    save_file({"e/width/1/images": np.zeros(3)}, tmp_path / "pictures.safetensors")
    with pytest.raises(UserError, match=r"pictures.safetensors holds e/width/1/images of the shape"):
        read_inspection(tmp_path)
