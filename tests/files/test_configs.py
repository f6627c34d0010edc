"""A project's own YAML files stand before those that an installed howdeep brings; Hydra and howdeep see the same."""

import shutil

import pytest
import yaml

from howdeep.completion import candidates
from howdeep.errors import UserError
from howdeep.files import configs
from howdeep.study.composition import Compositions, compose_train
from howdeep.study.hints import of_key


@pytest.fixture
def conf(root, tmp_path, monkeypatch):
    """The conf/ of a project that has one data set of its own, with howdeep's beside the package as in a wheel."""
    monkeypatch.setattr(
        configs, "PACKAGED", shutil.copytree(root / "conf", tmp_path / "site-packages/howdeep/conf")
    )
    here = tmp_path / "project"
    (here / "conf/data").mkdir(parents=True)
    (here / "params.yaml").touch()
    text = (root / "conf/data/digits.yaml").read_text()
    (here / "conf/data/mine.yaml").write_text(text.replace("name: digits", "name: mine"))
    monkeypatch.chdir(here)
    return here / "conf"


def write(conf, name, text):
    (conf / name).parent.mkdir(exist_ok=True)
    (conf / name).write_text(text)


def test_a_project_without_a_train_yaml_composes_what_a_clone_composes(conf, root, project):
    for overrides in ([], ["model=lstm", "data=sunspots"], ["debug=smoke"], ["optimizer=sgd", "seed=3"]):
        assert compose_train(conf, overrides) == compose_train(project.conf, overrides)


def test_an_editable_install_brings_those_of_its_clone(conf, project, monkeypatch, root):
    monkeypatch.setattr(configs, "PACKAGED", root / "src/howdeep/conf")
    assert compose_train(conf, ["model=lstm"]) == compose_train(project.conf, ["model=lstm"])
    assert compose_train(conf, ["data=mine"]).data.name == "mine"
    assert configs.behind(root / "conf") is None  # of the clone itself


def test_own_data_are_found_beside_those_of_the_package(conf):
    assert compose_train(conf, ["data=mine"]).data.name == "mine"
    assert compose_train(conf, ["data=sunspots"]).data.name == "sunspots"


def test_an_own_file_takes_the_place_of_the_packaged_one_and_the_others_stay(conf, tmp_path):
    kept = tmp_path / "compositions"
    before = Compositions(conf, kept).of(["optimizer=adam"])
    text = (configs.PACKAGED / "optimizer/adam.yaml").read_text()
    write(conf, "optimizer/adam.yaml", text.replace("lr: 3.0e-3", "lr: 0.5"))
    assert before.optimizer.lr == 0.003
    assert compose_train(conf, ["optimizer=adam"]).optimizer.lr == 0.5
    assert Compositions(conf, kept).of(["optimizer=adam"]).optimizer.lr == 0.5  # not what was kept
    assert compose_train(conf, ["optimizer=sgd"]).optimizer._target_ == "torch.optim.SGD"


def test_kept_compositions_are_of_the_packaged_files_too(conf, tmp_path):
    kept = tmp_path / "compositions"
    assert Compositions(conf, kept).of([]).batch_size == 64
    path = configs.PACKAGED / "train.yaml"
    path.write_text(path.read_text().replace("batch_size: 64", "batch_size: 32"))
    assert Compositions(conf, kept).of([]).batch_size == 32


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model=mlpp", "files in conf/model/ or howdeep's own, got model=mlpp, did you mean 'mlp'"),
        ("data=mien", "files in conf/data/ or howdeep's own, got data=mien, did you mean 'mine'"),
        ("optimizer.moment=0.9", "optimizer.moment"),
        ("modle=lstm", "did you mean 'model'"),
    ],
)
def test_near_matches_are_of_both(conf, override, words):
    with pytest.raises(UserError, match=words):
        compose_train(conf, [override])


def test_a_hint_knows_the_files_of_both(conf):
    assert "optimizer=adam lacks and optimizer=rmsprop,sgd has" in of_key(
        "optimizer.momentum", conf, ["optimizer=adam"]
    )


def test_a_packaged_file_that_is_no_map_is_named(conf):
    (configs.PACKAGED / "model/mlp.yaml").write_text("7\n")
    with pytest.raises(UserError, match=r"site-packages/howdeep/conf/model/mlp\.yaml must be a map"):
        compose_train(conf, [])


def test_tab_completes_the_files_of_both(conf):
    def found(word):
        return candidates(["train", word], ["train"], lambda _: [])

    assert {"model=lstm ", "model=mlp "} <= set(found("model="))
    assert {"data=mine ", "data=mnist "} <= set(found("data=m"))
    assert {"model=", "data=", "optimizer="} <= set(found(""))
    assert "hydra/sweeper=optuna " in found("hydra/sweeper=")


def test_a_hydra_application_of_somebody_else_sees_none_of_it(conf, tmp_path):
    from hydra import compose, initialize_config_dir
    from hydra.errors import MissingConfigException

    write(conf.parent.parent, "other/app.yaml", yaml.safe_dump({"defaults": [{"model": "mlp"}]}))
    with (
        initialize_config_dir(str(tmp_path / "other"), version_base="1.3"),
        pytest.raises(MissingConfigException),
    ):
        compose("app")


def test_in_a_clone_nothing_is_packaged(root):
    assert not (root / "src/howdeep/conf").exists()
    names = {path.relative_to(root / "conf").as_posix() for path in (root / "conf").rglob("*.yaml")}
    assert set(configs.files(root / "conf")) == names
