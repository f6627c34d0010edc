"""The pipeline of a project outside a clone is that of a clone, with checksums in the place of sources."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

import howdeep
from howdeep.errors import UserError
from howdeep.files.project import Project
from howdeep.records import fingerprint
from howdeep.stages import code

TEMPLATE = Path(howdeep.__file__).with_name("project") / "pipeline.yaml"
HERE = "src/howdeep/"


def stages_of(path: Path) -> dict[str, dict]:
    """Each stage, or what each of its kind does."""
    stages = yaml.safe_load(path.read_text())["stages"]
    return {name: {"foreach": of.get("foreach"), **of.get("do", of)} for name, of in stages.items()}


@pytest.fixture(scope="module")
def both(root):
    return stages_of(root / "dvc.yaml"), stages_of(TEMPLATE)


def test_the_template_has_the_stages_of_a_clone_and_one_more(both):
    clones, templates = both
    assert list(templates) == ["code", *clones]
    for name, stage in clones.items():
        own = templates[name]
        for key in {*stage, *own} - {"deps", "do"}:
            assert own.get(key) == stage.get(key), (name, key)


def test_it_depends_on_the_same_but_for_what_is_howdeeps(both):
    clones, templates = both
    for name, stage in clones.items():
        sources = {dep for dep in stage["deps"] if dep.startswith(HERE)}
        data = {dep for dep in stage["deps"] if dep.startswith("conf/data/")}
        noted = {f"code/{name}.txt"} if sources else set()
        noted |= {"code/data/${item}.txt"} if data else set()
        assert set(templates[name]["deps"]) == set(stage["deps"]) - sources - data | noted
        packaged = {"conf"} & set(stage["deps"])  # as a whole
        assert {dep.removeprefix(HERE) for dep in sources} | packaged == set(code.SOURCES.get(name, ())), name


@pytest.fixture
def package(root, tmp_path, monkeypatch):
    """A copy of howdeep's files, as a wheel installs them, to be edited; nothing is imported from it."""
    copy = tmp_path / "site-packages/howdeep"
    shutil.copytree(root / "src/howdeep", copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(root / "conf", copy / "conf")
    monkeypatch.setattr(howdeep, "__file__", str(copy / "__init__.py"))
    monkeypatch.setattr("howdeep.files.configs.PACKAGED", copy / "conf")
    return copy


@pytest.fixture
def here(root, tmp_path) -> Project:
    (tmp_path / "project/conf/data").mkdir(parents=True)
    shutil.copy(root / "params.yaml", tmp_path / "project")
    return Project(tmp_path / "project")


def noted(here: Project) -> dict[str, str]:
    code.note_code(here)
    folder = here.root / "code"
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.txt")}


def edit(path: Path, pattern: str, new: str) -> None:
    text, n = re.subn(pattern, new, path.read_text(), count=1)
    assert n == 1
    path.write_text(text)


@pytest.mark.parametrize(
    ("name", "pattern", "new", "changed"),
    [
        ("data/sources.py", r"\Z", "\nSIZE = 1\n", {"pull.txt", "prepare.txt", "plan.txt"}),
        ("nets/mlp.py", r"\Z", "\nSIZE = 1\n", {"plan.txt", "evaluate.txt", "inspect.txt"}),
        ("nets/mlp.py", r"\Z", "\n# a comment\n", set()),
        ("report/template.html", r"\Z", "<p>new</p>", {"compare.txt"}),
        ("conf/optimizer/adam.yaml", "lr: 3.0e-3", "lr: 1.0e-3", {"plan.txt"}),
        ("conf/data/digits.yaml", r"\Z", "more: 1\n", {"plan.txt", "data/digits.txt"}),
    ],
)
def test_an_edit_of_howdeep_changes_what_stages_that_read_it_depend_on(
    package, here, name, pattern, new, changed
):
    before = noted(here)
    edit(package / name, pattern, new)
    fingerprint._meaning.cache_clear()  # no process outlives an install
    after = noted(here)
    assert before.keys() == after.keys()
    assert {stage for stage in before if before[stage] != after[stage]} == changed


def test_the_yaml_of_a_data_set_is_the_projects_own_where_it_has_one(package, here):
    before = noted(here)
    (here.conf / "data/digits.yaml").write_text((package / "conf/data/digits.yaml").read_text() + "more: 1\n")
    after = noted(here)
    assert {name for name in before if before[name] != after[name]} == {"data/digits.txt"}
    (here.conf / "data/digits.yaml").unlink()
    assert noted(here) == before


def test_python_s_caches_change_nothing(package, here):
    before = noted(here)
    (package / "nets/__pycache__").mkdir()
    (package / "nets/__pycache__/mlp.cpython-311.pyc").write_bytes(b"x")
    assert noted(here) == before


def test_a_data_set_without_a_yaml_is_refused_with_a_near_one_before_dvc_misses_a_file(package, here):
    edit(here.params, r"data: \[digits,", "data: [digitz, digits,")
    with pytest.raises(UserError, match="got 'digitz', did you mean 'digits'"):
        code.note_code(here)
    assert not (here.root / "code").exists()
