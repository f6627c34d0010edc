"""Shared fixtures: a project of its own with prepared data, and the config of a run in it."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")  # as `howdeep.tracking.store` does, if it comes first
import pytest
from omegaconf import DictConfig

from howdeep.files.project import Project
from howdeep.runs import examples
from howdeep.study.composition import compose_train
from tests.choices import EMBEDDED

ROOT = Path(__file__).parents[1]
# The commands that tests start run this checkout's source, in folders of configs alone too.
os.environ["PYTHONPATH"] = os.pathsep.join([f"{ROOT}/src", *filter(None, [os.environ.get("PYTHONPATH")])])
# records that nobody trained, for results, figures and report; a server of PostgreSQL
pytest_plugins = ["tests.studies", "tests.postgresql"]

STUDIES = {"reproduced", "judged", "fresh"}  # fixtures of those who run `dvc repro`


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first: no process is left alone with one in the end (`--no-loadscope-reorder`)."""
    n_tests = Counter(item.path for item in items)
    n_studies = Counter(item.path for item in items if STUDIES & {*getattr(item, "fixturenames", ())})
    items.sort(key=lambda item: (-n_studies[item.path], -n_tests[item.path]))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with the checkout's conf/ and the embedded data sets prepared; tests must not write into it."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(ROOT / "conf", folder / "conf")
    shutil.copy(ROOT / "params.yaml", folder)
    here = Project(folder)
    for data in EMBEDDED:
        examples.ensure_prepared(compose_train(here.conf, [f"data={data}"]).data, here)
    return here


@pytest.fixture(scope="session")
def compose(project: Project):
    """Composes the config of an untracked run: `compose('model=lstm', 'seed=3')`."""

    def of(*overrides: str) -> DictConfig:
        return compose_train(project.conf, ["tracking.uri=null", *overrides])

    return of


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> bytes:
    """The bytes of a database of MLflow with its tables, which take two seconds to make."""
    from howdeep.tracking.store import Store

    root = tmp_path_factory.mktemp("made")
    Store(f"sqlite:///{root}/mlflow.db", "study", root).client  # noqa: B018
    return (root / "mlflow.db").read_bytes()


@pytest.fixture(autouse=True)
def paths_of_imports() -> Iterator[None]:
    """Puts back where Python looks for modules: MLflow adds the code that lies beside a model when it loads one."""
    before = sys.path.copy()
    yield
    sys.path[:] = before
