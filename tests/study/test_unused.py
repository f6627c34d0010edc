"""Settings of Hydra that would do nothing are refused, before anything is trained."""

import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from howdeep.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture
def conf(project, tmp_path, monkeypatch) -> Iterator[Path]:
    """The config folder of a project to type commands in, which has experiments of a stranger."""
    handlers = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    }
    folder = shutil.copytree(project.conf, tmp_path / "conf")
    shutil.copy(project.params, tmp_path)
    head = "# @package _global_\n"
    for name, text in {
        "own_params": "hydra: {sweeper: {params: {model.depth: '1,2'}}}",
        "own_launcher": "defaults: [{override /hydra/launcher: joblib}]",
        "plain": "seed: 3",
    }.items():
        (folder / "experiment" / f"{name}.yaml").write_text(head + text)
    (folder / "model" / "swept.yaml").write_text(
        f"{head}defaults: [mlp@model, _self_]\nhydra: {{sweeper: {{params: {{seed: '1,2'}}}}}}"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)
    yield folder
    for number, handler in handlers.items():
        signal.signal(number, handler)


SWEEP = "a sweep of its own (hydra.sweeper), which a job of another one cannot run: type a command for each"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["experiment=depth_x_optimizer,learning_rate_x_depth"], f"experiment=depth_x_optimizer brings {SWEEP}"),
        (["experiment=plain,own_params"], f"experiment=own_params brings {SWEEP}"),
        (["experiment=choice(plain,own_params)", "seed=1,2"], "experiment=own_params brings"),
        (["experiment=glob(own_*)"], "experiment=own_launcher brings a sweep of its own (hydra.launcher)"),
        (["experiment=own_launcher,plain"], "experiment=own_launcher brings a sweep of its own (hydra.launcher)"),
        (["model=mlp,swept"], "model=swept brings a sweep of its own (hydra.sweeper)"),
        (["++hydra.sweeper.params={experiment: 'plain,own_params'}"], "experiment=own_params brings"),
        (["hydra/sweeper=optuna", "experiment=plain,own_params"], "experiment=own_params brings"),
        (["hydra/sweeper=optuna", "experiment=plain,depth_x_optimizer"], "experiment=depth_x_optimizer brings"),
        (["hydra.run.dir=x", "seed=1,2"], "hydra.run.dir=x is a setting of single runs: write hydra.sweep.dir with -m"),
        (["hydra/sweeper=optuna", "seed=1,2", "hydra.sweep.subdir=x"], "leave hydra.sweep.subdir=x out"),
    ],
)  # fmt: skip
def test_a_multirun_with_a_setting_that_would_do_nothing_trains_nothing(conf, capfd, typed, words):
    assert main(["train", "-m", "tracking.uri=null", "trainer.max_epochs=1", *typed]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert words in line
    assert {path.name for path in conf.parent.iterdir()} == {"conf", "params.yaml"}


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (["hydra.sweep.dir=x"], "hydra.sweep.dir=x is a setting of sweeps: add -m, or leave it out"),
        (["hydra/sweeper=optuna"], "hydra/sweeper=optuna is a setting of sweeps"),
        (["hydra.launcher.n_jobs=2", "hydra/launcher=joblib"], "is a setting of sweeps"),
        (
            ["experiment=own_params"],
            "experiment=own_params says what a sweep tries (hydra.sweeper.params): add -m",
        ),
        (
            ["experiment=depth_x_optimizer", "hydra.mode=RUN"],
            "experiment=depth_x_optimizer says what a sweep tries",
        ),
    ],
)
def test_a_single_run_with_a_setting_of_sweeps_trains_nothing(conf, capfd, typed, words):
    assert main(["train", "tracking.uri=null", "hydra.run.dir=out", *typed]) == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert words in line
    assert not list(conf.parent.rglob("record.json"))


def test_one_experiment_with_a_sweep_of_its_own_is_swept(conf, capfd):
    assert main(["train", "-m", "experiment=own_params", "--cfg", "hydra"]) == 1  # one at a time, says Hydra
    assert main(["train", "experiment=own_params", "--cfg", "hydra"]) == 0
    assert "model.depth: 1,2" in capfd.readouterr().out
