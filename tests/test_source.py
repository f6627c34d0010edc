"""A project that has a source of its own runs it, wherever howdeep was installed from; real commands."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SAID, EDITED = "Experiments that answer it", "Ask a network"
COMMANDS = ([str(Path(sys.executable).with_name("howdeep"))], [sys.executable, "-m", "howdeep"])


@pytest.fixture(scope="module")
def other(root, tmp_path_factory) -> Path:
    """A second clone, whose source was edited."""
    folder = tmp_path_factory.mktemp("other")
    for name in ("conf", "src"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "params.yaml", folder)
    cli = folder / "src/howdeep/arguments.py"
    cli.write_text(cli.read_text().replace(SAID, EDITED))
    return folder


def help_of(command: list[str], folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, "--help"], cwd=folder, env=os.environ | env, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("command", COMMANDS, ids=["howdeep", "python -m howdeep"])
def test_a_command_runs_the_source_of_the_project_in_which_it_is_typed(root, other, tmp_path, command):
    (other / "runs").mkdir(exist_ok=True)
    for place, words in ((other, EDITED), (other / "runs", EDITED), (root, SAID), (tmp_path, SAID)):
        done = help_of(command, place)
        assert (words in done.stdout, done.stderr) == (True, ""), place


def test_a_project_of_configs_alone_runs_what_is_installed(root, tmp_path):
    shutil.copytree(root / "conf", tmp_path / "conf")
    shutil.copy(root / "params.yaml", tmp_path)
    (tmp_path / "src").mkdir()
    assert SAID in help_of(COMMANDS[0], tmp_path).stdout


def test_where_python_imports_another_one_all_the_same_it_is_refused_by_name(root, other):
    again = {"HOWDEEP_RESTARTED": str(other / "src"), "PYTHONPATH": str(root / "src")}
    done = help_of(COMMANDS[1], other, **again)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert f"expected Python to import this project's own {other}/src/howdeep, got {root}/src" in done.stderr
    assert f"`pip install -e {other}`" in done.stderr
