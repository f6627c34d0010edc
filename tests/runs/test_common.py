"""What the trials of a sweep have in common: the same for the same computation, whatever was typed."""

import shutil
from pathlib import Path

import pytest
from hydra import compose
from omegaconf import DictConfig

from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.runs import common
from howdeep.runs.common import check_fits, common_settings, other_than_last_time
from howdeep.study.composition import compose_train, composer
from howdeep.sweeping.outcomes import Hopeless
from howdeep.sweeping.plan import Plan
from howdeep.sweeping.space import Choice, FloatRange, IntRange, Space, overrides

ROOT = Path(__file__).parents[2]
DEPTHS = Space({"model.depth": IntRange(1, 4)})


@pytest.fixture
def home(project, tmp_path) -> Project:
    """A project whose config may be edited."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "data").symlink_to(project.root / "data")
    return Project(tmp_path)


def settings(home: Project, space: Space, *typed: str) -> dict[str, str]:
    def composed(point) -> DictConfig:
        with composer(home.conf):
            return compose("train", overrides=[*typed, *overrides(point)])

    return common_settings(space, composed, home)[0]


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_what_is_typed_as_it_stands_in_the_config_changes_nothing(home):
    assert settings(home, DEPTHS) == settings(home, DEPTHS, "seed=0", "model=mlp", "data=digits")


def test_where_things_are_changes_nothing(home):
    places = ("tracking.uri=null", "data.mirror=/there", "checkpoint_seconds=1")
    assert settings(home, DEPTHS) == settings(home, DEPTHS, *places)


@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ({"model.depth": IntRange(3, 4)}, {"model.depth": IntRange(1, 9)}),
        ({"seed": IntRange(2, 3)}, {"seed": IntRange(0, 9)}),
        ({"data.prepare.seed": IntRange(1, 2)}, {"data.prepare.seed": IntRange(0, 3)}),
    ],
)
def test_a_wider_range_changes_nothing(home, narrow, wide):
    typed = ("matching=parameters", "model.dropout=0.1")
    assert settings(home, Space(narrow), *typed) == settings(home, Space(wide), *typed)


def test_an_edited_yaml_is_another_setting(home):
    before = settings(home, DEPTHS)
    edit(home.conf / "model/mlp.yaml", "width: 64", "width: 16")
    after = settings(home, DEPTHS)
    assert before | {"model.width": "16"} == after


def test_an_edited_yaml_of_a_choice_is_another_setting(home):
    space = Space({"optimizer": Choice(("adam", "sgd"))})
    before = settings(home, space)
    edit(home.conf / "optimizer/sgd.yaml", "momentum: ", "momentum: 0.123 # ")
    after = settings(home, space)
    assert {name for name in after if after[name] != before.get(name)} == {
        "optimizer.momentum (optimizer=sgd)"
    }


@pytest.mark.parametrize("edited", ["nets/mlp.py", "study/matching.py"])
def test_edited_code_is_another_setting(home, monkeypatch, edited):
    typed = ("matching=parameters",)
    before = settings(home, DEPTHS, *typed)
    real = common.fingerprint.checksum
    monkeypatch.setattr(
        common.fingerprint,
        "checksum",
        lambda files: (
            real(files) if not any(str(file).endswith(edited) for file in files) else "another code"
        ),
    )
    assert before | {"source code": "another code"} == settings(home, DEPTHS, *typed)


def test_other_examples_are_another_setting(home, monkeypatch):
    before = settings(home, DEPTHS)
    monkeypatch.setattr(common, "train_checksum", lambda cfg, project: "other numbers")
    assert before | {"training examples": "other number"} == settings(home, DEPTHS)


def test_a_setting_of_the_wrong_kind_is_refused_before_anything_runs(home):
    with pytest.raises(UserError, match=r"data.name must be"):
        settings(home, DEPTHS, "data.name=3")


def a_plan(home: Project, space: Space) -> Plan:
    return Plan("s", space, 4, setting=settings(home, space))


@pytest.mark.parametrize("matching", ["width", "parameters"])
def test_a_job_fits_its_study_until_something_is_edited(home, matching):
    typed = (f"matching={matching}",)
    space = Space({"optimizer": Choice(("adam", "sgd")), "model.dropout": FloatRange(0, 0.5)})
    plan = Plan("s", space, 4, setting=settings(home, space, *typed))
    point = ("optimizer=sgd", "model.dropout=0.2", *typed)
    check_fits(compose_train(home.conf, point), plan, home)
    edit(home.conf / "optimizer/sgd.yaml", "momentum: ", "momentum: 0.123 # ")
    with pytest.raises(Hopeless, match=r"^optimizer.momentum was .* and is now 0.123: start it again"):
        check_fits(compose_train(home.conf, point), plan, home)


def test_the_same_command_with_another_study_is_told_what_has_changed(home):
    def told(typed: list[str], study: str, width: str) -> str | None:
        return other_than_last_time(typed, study, {"model.width": width}, home)

    assert told(["seed=0", "model.depth"], "one", "64") is None
    assert told(["model.depth", "seed=0"], "one", "64") is None
    assert told(["seed=1", "model.depth"], "three", "16") is None
    assert told(["seed=0", "model.depth"], "two", "16") == (
        "not one, the study of this command last time, since the setting model.width was 64 and is now 16; that one "
        "keeps its trials"
    )
