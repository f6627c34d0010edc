"""dvc.yaml declares all that a stage depends on, and nothing else: a test composes and imports, and compares."""

import ast
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.stage import PipelineStage

from howdeep.records import fingerprint
from howdeep.records.cell import Cell
from howdeep.study import params
from howdeep.study.composition import compose_train

ROOT = Path(__file__).parents[2]
PLAN = params.read(ROOT / "params.yaml")


@pytest.fixture(scope="module")
def stages() -> dict[str, PipelineStage]:
    """Every stage of dvc.yaml, as DVC itself resolves it."""
    with Repo(str(ROOT)) as repo:
        return {str(stage.name): stage for stage in repo.index.stages if isinstance(stage, PipelineStage)}


def cell_of(name: str, depth: int) -> tuple[params.Entry, Cell]:
    entry = PLAN.entry(name)
    return entry, Cell(entry.data, entry.model, depth)


def declared_files(stage: PipelineStage) -> set[str]:
    """The source files among a stage's dependencies, folders expanded."""
    found: set[Path] = set()
    for path in (ROOT / dep.def_path for dep in stage.deps if dep.def_path.startswith("src/")):
        found |= set(path.rglob("*.py")) if path.is_dir() else {path}
    return {str(path.relative_to(ROOT)) for path in found if path.name != "__init__.py"}


@pytest.mark.parametrize("name", PLAN.entries)
def test_the_plan_depends_on_every_source_that_a_training_imports(stages, name):
    cfg = compose_train(ROOT / "conf", PLAN.overrides(*cell_of(name, 1)))
    imported = {str(path.relative_to(ROOT)) for path in fingerprint.sources(cfg)}
    assert imported <= declared_files(stages["plan"])
    assert {"src/howdeep/study/matching.py", "src/howdeep/study/tuning.py"} <= declared_files(stages["plan"])


def test_the_plan_depends_on_all_yamls_and_the_report_on_what_params_say_of_it(stages):
    assert {"conf", "params.yaml"} <= {dep.def_path for dep in stages["plan"].deps}
    (names,) = (dep.params for dep in stages["compare"].deps if hasattr(dep, "params"))
    assert set(names) == {"study", "margins"} <= set(params.KEYS)


@pytest.mark.parametrize("name", PLAN.entries)
def test_an_entry_depends_on_its_plan_and_on_what_its_tuning_says(stages, name):
    """The plan holds config and code of tuning and training, the settings their keys; seeds stand apart."""
    data = f"data/prepared/{PLAN.entry(name).data}/train.safetensors"
    tune, train = ({dep.def_path for dep in stages[f"{stage}@{name}"].deps} for stage in ("tune", "train"))
    assert tune == {f"plans/{name}.json", f"plans/seeds/{name}.json", data}
    assert train == {f"plans/seeds/{name}.json", f"tuned/{name}/settings.json", data}


@pytest.mark.parametrize("name", PLAN.entries)
def test_an_entry_composes_to_the_data_model_and_task_that_it_names(name):
    entry = PLAN.entry(name)
    cfg = compose_train(ROOT / "conf", PLAN.overrides(*cell_of(name, 3)))
    assert cfg.data.name == entry.data
    assert cfg.model._target_.startswith(f"howdeep.nets.{entry.model}.")
    assert cfg.task._target_.startswith(f"howdeep.tasks.{entry.task}.")
    assert cfg.model.depth == 3


def test_only_evaluate_and_the_reader_of_a_folder_depend_on_test_examples(stages):
    readers = {
        name
        for name, stage in stages.items()
        for dep in stage.deps
        if dep.def_path.startswith("data/prepared") and not dep.def_path.endswith("train.safetensors")
    }
    assert readers == {"evaluate"}


def test_outputs_of_training_are_kept_until_the_stage_itself_has_looked_at_them(stages):
    assert all(
        out.persist for name, stage in stages.items() if name.startswith("train@") for out in stage.outs
    )


def test_packages_hold_a_docstring_and_no_code_that_a_fingerprint_would_miss():
    for path in (ROOT / "src" / "howdeep").rglob("__init__.py"):
        body = ast.parse(path.read_text()).body
        assert all(isinstance(node, ast.Expr) for node in body), path
