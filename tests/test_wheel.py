"""Howdeep from a wheel, in a project outside a clone: what people who never see its repository type."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from sklearn.datasets import load_breast_cancer

from tests.clones import ENV

pytestmark = pytest.mark.slow
STUDY = {
    "study": "own", "data": ["mine"], "depths": [1, 2], "matching": ["width"], "seeds": [0, 1], "split": "fixed",
    "optimizer": "adam", "schedule": "constant", "trainer": "cpu", "margins": {"accuracy": 0.01}, "tune": None,
    "entries": {
        "mine-mlp": {
            "data": "mine", "model": "mlp", "task": "classification", "overrides": {"trainer": {"max_epochs": 1}},
        }
    },
}  # fmt: skip
LR = 0.0123  # of the project's own optimizer/adam.yaml


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(root)], check=True)
    (found,) = folder.glob("*.whl")
    return found


def test_it_holds_the_source_and_conf_and_nothing_else(root, wheel):
    def below(folder: str, as_: str) -> set[str]:
        paths = [path for path in (root / folder).rglob("*") if path.is_file() and path.suffix != ".pyc"]
        return {f"{as_}/{path.relative_to(root / folder).as_posix()}" for path in paths}

    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = below("src/howdeep", "howdeep") | below("src/hydra_plugins", "hydra_plugins")
    assert names == sources | below("conf", "howdeep/conf")


@dataclass
class Installed:
    """A project, and an environment of its own with the wheel."""

    folder: Path
    environment: Path

    def run(self, *args: str) -> str:
        known = ("PYTHON", "HOWDEEP_RESTARTED")
        env = {name: value for name, value in ENV.items() if not name.startswith(known)}
        env["PATH"] = f"{self.environment / 'bin'}{os.pathsep}{env['PATH']}"
        done = subprocess.run(args, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{args}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def of_package(self, expression: str) -> str:
        """What Python in the project says of the package."""
        return self.run("python", "-c", f"import howdeep; print({expression})").strip()

    def lock(self) -> str:
        return (self.folder / "dvc.lock").read_text()


@pytest.fixture(scope="module")
def project(wheel, tmp_path_factory) -> Installed:
    """What `howdeep init` makes of a CSV, with an optimizer of its own and a small study, after `dvc repro`."""
    folder = tmp_path_factory.mktemp("outside")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(environment),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
    ]
    # A PYTHONPATH may lead to another howdeep, which pip would take for installed.
    subprocess.run([*pip, "--ignore-installed", str(wheel)], check=True)
    # All other packages are those of the tests; this howdeep comes before theirs.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    home = Installed(folder / "project", environment)
    conf = packages / "howdeep/conf"
    home.folder.mkdir()
    (home.folder.parent / "mine.csv").write_text(
        load_breast_cancer(as_frame=True)["frame"].to_csv(index=False)  # type: ignore[index]
    )
    home.run("howdeep", "init", ".", "--data", "../mine.csv")
    (home.folder / "conf/optimizer").mkdir()
    text = (conf / "optimizer/adam.yaml").read_text()
    (home.folder / "conf/optimizer/adam.yaml").write_text(text.replace("lr: 3.0e-3", f"lr: {LR}"))
    (home.folder / "params.yaml").write_text(yaml.safe_dump(STUDY))
    home.run("dvc", "repro")
    return home


def records(home: Installed) -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(home.folder.glob("runs/*/*/record.json"))]


def test_what_runs_is_the_wheel(project, wheel):
    package = Path(project.of_package("howdeep.__file__")).parent
    assert package.is_relative_to(project.environment)
    assert (package / "conf/train.yaml").is_file()
    assert not (project.folder / "conf/train.yaml").exists()


def test_repro_leaves_results_and_report(project):
    assert len(records(project)) == 4
    for name in (
        "results/summary.csv",
        "results/metrics.json",
        "results/tables/verdicts.csv",
        "reports/index.html",
    ):
        assert (project.folder / name).stat().st_size > 0
    assert "mine-mlp" in (project.folder / "results/summary.csv").read_text()


def test_own_files_win_over_those_of_the_wheel(project):
    for record in records(project):
        assert record["config"]["data"]["name"] == "mine"
        assert record["config"]["optimizer"]["lr"] == LR
        assert record["config"]["optimizer"]["betas"] == [0.9, 0.999]


def test_without_a_commit_the_runs_say_so(project):
    said = [json.loads(path.read_text())["commit"] for path in project.folder.glob("provenance/*.json")]
    assert said == ["unknown"] * 4


def test_what_is_up_to_date_stays(project):
    before, lock = [record["key"] for record in records(project)], project.lock()
    said = project.run("dvc", "repro")
    assert project.lock() == lock
    assert [record["key"] for record in records(project)] == before
    ran = [line for line in said.splitlines() if line.startswith("Running stage")]
    assert ran == ["Running stage 'code':"]


def test_without_git_it_runs_as_well(project, tmp_path):
    ignored = shutil.ignore_patterns(
        ".git", ".dvc", "dvc.lock", "scratch", "mlflow.db*", "mlartifacts", "results"
    )
    copy = Installed(tmp_path / "copy", project.environment)
    shutil.copytree(project.folder, copy.folder, ignore=ignored)
    copy.run("dvc", "init", "-q", "--no-scm")
    copy.run("dvc", "repro")
    copy.run("howdeep", "repair")
    for name in ("results/summary.csv", "results/metrics.json"):
        assert (copy.folder / name).read_bytes() == (project.folder / name).read_bytes()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("howdeep repair", ""),
        ("howdeep report", ""),
        ("howdeep sync", ""),
        ("howdeep pull data=sunspots", ""),
        ("howdeep completion fish -- train data=mi", "data=mine"),
        ("howdeep completion fish -- train model=ls", "model=lstm"),
        ("howdeep train -m data=mine debug=smoke model.depth=1,2", "mlp depth 2 on mine, seed 0"),
        (
            "howdeep train -m hydra/sweeper=optuna hydra.sweeper.n_trials=2 hydra.sweeper.n_jobs=1 data=mine "
            "trainer.max_epochs=1 optimizer.lr=interval(0.001,0.01)",
            "2 complete",
        ),
    ],
)
def test_commands_work_in_it(project, command, words):
    assert words in project.run(*command.split())
