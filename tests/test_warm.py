"""The warm processes of a `dvc repro`: real processes, really killed. Here pytest takes the place of dvc."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from howdeep import warm

pytestmark = pytest.mark.slow

ENV = {**os.environ, "OMP_NUM_THREADS": "1", "DVC_STAGE": "train", "MLFLOW_TRACKING_URI": ""}
HOWDEEP = [sys.executable, "-m", "howdeep"]
ENDLESS = ["train", "trainer.max_epochs=1000000", "tracking.uri=null", "hydra.run.dir=out"]


@pytest.fixture(scope="module")
def folder(root, tmp_path_factory) -> Path:
    """A project; its warm processes start with the first test and are shared."""
    folder = tmp_path_factory.mktemp("warm")
    shutil.copytree(root / "conf", folder / "conf")
    shutil.copy(root / "params.yaml", folder)
    return folder


def start(folder: Path, *argv: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*HOWDEEP, *argv], cwd=folder, env={**ENV, **env}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )  # fmt: skip


def run(folder: Path, *argv: str, **env: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a command."""
    process = start(folder, *argv, **env)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def servers(folder: Path, kind: str = "torch") -> list[psutil.Process]:
    """The warm processes of a project of one kind, oldest first, without what they forked."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if words[2:4] == ["howdeep.warm", kind] and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return [process for process in found if process.ppid() not in {other.pid for other in found}]


def wait_for(what: Callable[[], object]) -> object:
    deadline = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return found


def training(folder: Path) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A command whose training goes on for ever, and the fork that trains."""
    for path in folder.glob("scratch/*.ckpt"):
        path.unlink()
    command = start(folder, *ENDLESS, "checkpoint_seconds=0")
    wait_for(lambda: list(folder.glob("scratch/*.ckpt")))
    (server,) = servers(folder)
    (fork,) = server.children()
    return command, fork


def test_a_command_says_and_returns_what_it_does_without_a_warm_process(folder):
    cold = {name: value for name, value in ENV.items() if name != "DVC_STAGE"}
    for argv in (["--version"], ["prepare", "data=digits"], ["prepare", "data=digit"], ["nonsense"]):
        alone = subprocess.run([*HOWDEEP, *argv], cwd=folder, env=cold, text=True, capture_output=True)
        assert run(folder, *argv) == (alone.returncode, alone.stdout, alone.stderr)
    assert len(servers(folder)) == len(servers(folder, "data")) == 1


def test_commands_share_one_process_that_has_imported_torch(folder):
    run(folder, "--version")
    (before,) = servers(folder)
    run(folder, "--version")
    (after,) = servers(folder)
    assert before == after
    assert any("libtorch" in place.path for place in after.memory_maps())


def test_the_environment_is_the_callers(folder):
    for place in ("here", "there"):
        _, _, err = run(folder, "train", "data=mnist", HOWDEEP_MIRROR=str(folder / place))
        assert str(folder / place) in err


def test_data_is_pulled_and_prepared_without_torch_by_a_process_of_its_own(root, tmp_path):
    shutil.copytree(root / "conf", tmp_path / "conf")
    shutil.copy(root / "params.yaml", tmp_path)
    assert run(tmp_path, "pull", "data=digits") == (0, "", "digits: data/raw/digits\n")
    assert run(tmp_path, "prepare", "data=digits") == (0, "", "digits: data/prepared/digits\n")
    (data,) = servers(tmp_path, "data")
    assert not any("libtorch" in place.path for place in data.memory_maps())


@pytest.mark.parametrize("command", ["code", "claim-code"])
def test_what_runs_in_every_repro_starts_none(root, tmp_path, command):
    shutil.copytree(root / "conf", tmp_path / "conf")
    shutil.copy(root / "params.yaml", tmp_path)
    assert run(tmp_path, command) == (0, "", "")
    assert not list(tmp_path.glob("scratch/warm-*"))


def test_the_first_to_pull_starts_the_process_that_imports_torch_too(root, tmp_path):
    shutil.copytree(root / "conf", tmp_path / "conf")
    shutil.copy(root / "params.yaml", tmp_path)
    for name in ("digits", "sunspots"):
        run(tmp_path, "pull", f"data={name}")
        assert len(servers(tmp_path)) == len(servers(tmp_path, "data")) == 1


def test_a_stop_is_passed_on(folder):
    command, fork = training(folder)
    command.terminate()
    _, err = command.communicate(timeout=60)
    assert command.returncode == 128 + signal.SIGTERM
    assert err.count("howdeep: stopped") == 1
    assert not fork.is_running()


def test_the_fork_ends_when_its_command_is_killed(folder):
    command, fork = training(folder)
    command.kill()
    command.communicate(timeout=60)
    fork.wait(timeout=20)
    (server,) = servers(folder)
    assert server.is_running()


def test_a_fork_that_is_killed_looks_like_a_command_that_is_killed(folder):
    command, fork = training(folder)
    fork.kill()
    command.communicate(timeout=60)
    assert command.returncode == -signal.SIGKILL


def test_a_warm_process_that_is_killed_takes_its_command_along_and_the_next_one_starts_another(folder):
    command, fork = training(folder)
    (server,) = servers(folder)
    server.kill()
    _, err = command.communicate(timeout=60)
    assert command.returncode == 1
    assert "howdeep: the process that runs the stages of this `dvc repro` was killed" in err
    fork.wait(timeout=20)
    assert run(folder, "--version")[0] == 0
    (another,) = servers(folder)
    assert another != server


def test_code_that_was_edited_is_not_run_from_memory(root, tmp_path):
    """DVC would keep the result under the checksum of the new code."""
    for name in ("conf", "src"):
        shutil.copytree(root / name, tmp_path / name)
    shutil.copy(root / "params.yaml", tmp_path)
    env = {"PYTHONPATH": str(tmp_path / "src")}
    assert "Experiments that answer it" in run(tmp_path, "--help", **env)[1]
    wait_for(lambda: servers(tmp_path))
    words = tmp_path / "src/howdeep/arguments.py"
    words.write_text(words.read_text().replace("Experiments that answer it", "Ask a network"))
    for _ in range(2):  # by the command itself, then by another warm process
        assert "Ask a network" in run(tmp_path, "--help", **env)[1]
    wait_for(lambda: len(servers(tmp_path)) == 1)


def test_it_ends_with_its_dvc(folder, tmp_path):
    shutil.copytree(folder / "conf", tmp_path / "conf")
    shutil.copy(folder / "params.yaml", tmp_path)
    env = {name: value for name, value in ENV.items() if name != "DVC_STAGE"}
    script = f"DVC_STAGE=train {sys.executable} -m howdeep --version; kill -9 $$"
    dvc = subprocess.Popen(["sh", "-c", script], cwd=tmp_path, env=env)
    dvc.wait(timeout=60)
    wait_for(lambda: not servers(tmp_path) and not list(tmp_path.glob("scratch/warm-*")))


def test_sockets_of_dead_processes_are_removed_and_those_of_living_ones_are_not(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = [tmp_path / f"warm-{kind}-{gone.pid}.sock" for kind in warm.IMPORTS]
    alive = tmp_path / f"warm-torch-{os.getpid()}.sock"
    for path in (*dead, alive):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.relpath(path))
    warm._remove_dead_sockets(tmp_path)
    assert list(tmp_path.iterdir()) == [alive]
