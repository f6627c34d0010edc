"""Mistakes in the YAMLs that people write end in one line that names file or key, before anything is trained."""

import shutil

import pytest
import yaml

from howdeep.cli import main
from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.runs.examples import load_split, prepare
from howdeep.stages.plan import plan
from howdeep.study.composition import compose_train


@pytest.fixture(scope="module")
def mistyped(tmp_path_factory, project) -> Project:
    """A project whose YAMLs the tests spoil, and write back."""
    folder = tmp_path_factory.mktemp("mistyped")
    shutil.copytree(project.conf, folder / "conf")
    shutil.copy(project.params, folder)
    shutil.copytree(project.root / "data", folder / "data")
    return Project(folder)


@pytest.fixture
def spoil(mistyped, monkeypatch):
    """Writes a file of conf/ anew until the test ends."""
    monkeypatch.chdir(mistyped.root)
    before = {}

    def write(path: str, content: str | bytes) -> None:
        file = mistyped.conf / path
        before[file] = file.read_bytes()
        file.write_bytes(content if isinstance(content, bytes) else content.encode())

    yield write
    for file, content in before.items():
        file.write_bytes(content)


def refusal(call, *args) -> str:
    with pytest.raises(UserError) as refused:
        call(*args)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def prepared(here: Project) -> None:
    data = compose_train(here.conf, ["data=digits"]).data
    prepare(data, here)


DIGITS = {  # (what stands in conf/data/digits.yaml, what is written) -> what is said
    (
        "howdeep.data.digits.prepare",
        "MLP",
    ): "data.prepare._target_ must be a function of a file in howdeep/data, such",
    (
        "howdeep.data.digits.prepare",
        "null",
    ): "data.prepare._target_ must be a function of a file in howdeep/data, such",
    (
        "howdeep.data.digits.prepare",
        "os.system",
    ): "data.prepare._target_ must be a function of a file in howdeep/data",
    (
        "howdeep.data.digits.prepare",
        "howdeep.data.digits.prepar",
    ): "got 'howdeep.data.digits.prepar', did you mean 'prep",
    ("howdeep.data.digits.prepare", "howdeep.data.dgits.prepare"): "there is no file howdeep/data/dgits.py",
    (
        "_target_: howdeep.data.digits.prepare\n",
        "x: 1\n",
    ): "data.prepare must be a map with _target_, as in conf/, got",
    (
        "test_fraction: 0.2",
        "test_fractoin: 0.2",
    ): "no option data.prepare.test_fractoin, did you mean 'test_fraction'?",
    (
        "  test_fraction: 0.2",
        "  #",
    ): "howdeep.data.digits.prepare needs the option data.prepare.test_fraction: write",
    ("test_fraction: 0.2", "test_fraction: a"): "a held-out fraction must lie between 0 and 1",
    ("licence:", "license:"): "the data set's YAML lacks the key 'licence': did you mean it with 'license'?",
    ("homepage:", "hompage:"): "lacks the key 'homepage': did you mean it with 'hompage'?",
    ("sources:", "source:"): "lacks the key 'sources': did you mean it with 'source'?",
    ("prepare:", "prepair:"): "lacks the key 'prepare': did you mean it with 'prepair'?",
    ("examples:", "example:"): "lacks the key 'examples': did you mean it with 'example'?",
    ("name: digits", "nam: digits"): "lacks the key 'name': did you mean it with 'nam'?",
    ("licence: CC BY", "#"): "data.licence must be text, as in conf/, got None",
    (
        "in_shape: [1",
        "in_shap: [1",
    ): "the config lacks data.in_shape, from which another setting takes its value, did you",
    (
        "out_features:",
        "out_feature:",
    ): "the config lacks data.out_features, from which another setting takes its value, d",
    (
        "package: sklearn ",
        "package: sklearn.nope.x #",
    ): "must be the name of a package without dots, such as sklearn",
    ("licence:", "licence: ["): "conf/data/digits.yaml line 9, column 9 is no YAML: expected ',' or ']'",
}


@pytest.mark.parametrize("mistake", DIGITS, ids=lambda pair: pair[1].strip())
def test_a_mistake_in_the_yaml_of_a_data_set_is_one_line(mistyped, spoil, mistake):
    text = (mistyped.conf / "data/digits.yaml").read_text()
    assert mistake[0] in text
    spoil("data/digits.yaml", text.replace(*mistake))
    assert DIGITS[mistake] in refusal(prepared, mistyped)


def test_a_mistyped_option_of_examples_is_one_line_when_they_are_loaded(mistyped, spoil):
    text = (mistyped.conf / "data/digits.yaml").read_text()
    spoil("data/digits.yaml", text.replace("validation_fraction", "validation_fracton"))
    cfg = compose_train(mistyped.conf, [])
    said = "labelled has no option data.examples.validation_fracton, did you mean 'validation_fraction'?"
    assert said in refusal(load_split, cfg, mistyped)


CONTENT = {  # at the end of a file, or in its place -> what is said of it, after the file's name
    b"\na: [1\n": "is no YAML: expected ',' or ']'",
    b"\n\tb: 1\n": "is no YAML: found character",
    b"\na: @b\n": "is no YAML: found character '@'",
    b"\n<<: 5\n": "is no YAML: expected a mapping or list of mappings for merging",
    b"\n? [1]\n: 2\n": "is no YAML: found unhashable key",
    b"\nx: !!python/name:os.system\n": "is no YAML: could not determine a constructor for the tag",
    b"=\xff\xfe\x00a": "is no YAML: ",
    b"=5": "must be a map of settings, got 5",
    b"=a: b: c": "line 1, column 5 is no YAML: mapping values are not allowed here",
}


@pytest.mark.parametrize(
    "path", ["train.yaml", "model/mlp.yaml", "optimizer/adam.yaml", "hydra/sweeper/grid.yaml"]
)
@pytest.mark.parametrize("content", CONTENT)
def test_a_file_of_conf_that_is_no_yaml_is_named(mistyped, spoil, path, content):
    text = (mistyped.conf / path).read_bytes()
    spoil(path, content[1:] if content.startswith(b"=") else text + content)
    said = refusal(compose_train, mistyped.conf, [])
    assert said.startswith(f"conf/{path} ")
    assert CONTENT[content] in said


def test_so_it_is_at_the_command_line(spoil, mistyped, capfd):
    spoil("model/mlp.yaml", (mistyped.conf / "model/mlp.yaml").read_text() + "\na: [1\n")
    for command in (["prepare", "data=digits"], ["train", "tracking.uri=null"], ["train", "-m", "seed=1,2"]):
        assert main(command) == 1
        said = capfd.readouterr().err
        assert said.startswith("howdeep: conf/model/mlp.yaml line 14")
        assert said.count("\n") == 1


ENTRY = {"data": "digits", "model": "mlp", "task": "classification"}
OVERRIDES = [
    ({"model": {"width": [8]}}, "width must be a whole number of at least 1, got [8]"),
    ({"model": {"width": "a"}}, "width must be a whole number"),
    ({"model": {"activation": "rellu"}}, "unknown activation 'rellu', did you mean 'relu'?"),
    ({"model": {"dropout": 2}}, "dropout must be a number from 0 to below 1"),
    ({"trainer": {"max_epochs": 0}}, "trainer.max_epochs must be a whole number of at least 1"),
    ({"batch_size": "a"}, "batch_size must be a whole number of at least 1"),
    ({"optimizer": {"betas": [1]}}, "torch.optim.Adam refuses its values"),
    ({"diagnostics": {"every": 0}}, "diagnostics.every must be a whole number"),
    ({"model": "lstm"}, "lstm reads sequences"),
    (
        {"task": {"_target_": "howdeep.tasks.task.torch.load"}},
        "task._target_ must be a class of a file in howdeep/tasks",
    ),
]


@pytest.mark.parametrize(("overrides", "said"), OVERRIDES, ids=lambda value: str(value))
def test_what_cannot_be_trained_is_found_by_plan(mistyped, root, overrides, said):
    content = yaml.safe_load((root / "params.yaml").read_text())
    content |= {
        "data": ["digits"],
        "depths": [1],
        "tune": None,
        "entries": {"a": {**ENTRY, "overrides": overrides}},
    }
    (mistyped.root / "params.yaml").write_text(yaml.safe_dump(content))
    assert said in refusal(plan, mistyped)
    assert not mistyped.plans.exists()


def test_what_was_typed_is_never_its_own_remedy(mistyped):
    for overrides in (
        ["model=gan", "model.out_features=3"],
        ["schedule.warmup=3"],
        ["model=cnn", "model.latent=3"],
    ):
        key = overrides[-1].partition("=")[0]
        assert f"'{key}'?" not in refusal(compose_train, mistyped.conf, overrides)


def test_a_full_disk_is_not_taken_for_a_mistake_in_conf(mistyped, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("howdeep.study.composition.compose", full)
    with pytest.raises(OSError, match="No space left"):
        compose_train(mistyped.conf, [])
