"""A `dvc repro` that is stopped in any way ends, started again, as an uninterrupted one."""

import json
import os
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest

from tests.amount import first
from tests.clones import STUDY, Clone, copy_of
from tests.commands import ENV

pytestmark = pytest.mark.slow


# Long enough to be killed in the middle of the first entry, which is the one that is looked for.
EPOCHS = {"digits-mlp": 300, "sunspots-lstm": 10}
LONG = {
    **STUDY,
    "entries": {
        name: {
            **entry,
            "overrides": {
                **entry["overrides"],
                "trainer": {"max_epochs": EPOCHS[name]},
                "checkpoint_seconds": 0.1,
            },
        }
        for name, entry in STUDY["entries"].items()
    },
}


@pytest.fixture(scope="module")
def uninterrupted(reproduced, tmp_path_factory) -> str:
    """The dvc.lock of the longer study, trained without a pause; what comes after training is not under test."""
    copy = copy_of(reproduced, tmp_path_factory.mktemp("uninterrupted") / "clone")
    copy.write_params(LONG)
    copy.repro("train")
    return copy.lock


def start(clone: Clone) -> subprocess.Popen[str]:
    """`dvc repro train` in a process group of its own, up to the middle of the first training."""
    clone.write_params(LONG)
    process = subprocess.Popen(
        ["dvc", "repro", "train"], cwd=clone.folder, env=ENV, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    while not list(clone.folder.glob("scratch/*.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    return process


def stage_of(dvc: subprocess.Popen[str]) -> psutil.Process:
    """The stage that dvc runs: the topmost howdeep below it."""
    below = psutil.Process(dvc.pid).children(recursive=True)
    return next(process for process in below if "train-entry" in process.cmdline()[1:5])


def family_of(stage: psutil.Process, clone: Clone) -> list[psutil.Process]:
    """The command of a stage, the warm process that serves it, and what that has forked."""
    warm = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if "howdeep.warm" in process.cmdline() and process.cwd() == str(clone.folder):
                warm.append(process)
    assert len(warm) > 1
    return [stage, *warm]


def keys(clone: Clone) -> set[str]:
    """The keys of the runs that have a record."""
    return {json.loads(path.read_text())["key"] for path in clone.folder.glob("runs/*/*/record.json")}


def kill_the_stage(dvc):
    stage_of(dvc).kill()


def kill_dvc(dvc):
    dvc.kill()


def terminate_dvc(dvc):
    dvc.terminate()


def terminate_the_stage(dvc):
    stage_of(dvc).terminate()


def press_ctrl_c(dvc):
    os.killpg(dvc.pid, signal.SIGINT)


@pytest.mark.parametrize(
    "stop", first([kill_the_stage, press_ctrl_c, kill_dvc, terminate_dvc, terminate_the_stage], 2)
)
def test_repro_after_a_stop_gives_the_lock_of_an_uninterrupted_one(clone, uninterrupted, stop):
    process = start(clone)
    stage = stage_of(process)
    family = family_of(stage, clone)
    stop(process)
    out, _ = process.communicate(timeout=60)
    assert process.returncode != 0
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, "a writer outlived its dvc"
    if stop in (terminate_the_stage, press_ctrl_c):
        assert out.count("howdeep: stopped") == 1
        assert "Traceback" not in out
    assert len(clone.stamps()) < 8 or clone.lock != uninterrupted
    interrupted = {path.stem for path in clone.folder.glob("scratch/*.ckpt")} - keys(clone)
    clone.repro("train")
    assert clone.lock == uninterrupted
    statuses = {run.info.status for run in clone.store().find(howdeep__kind="run")}
    assert "RUNNING" not in statuses
    traces = {path.stem: json.loads(path.read_text()) for path in clone.folder.glob("provenance/*.json")}
    assert {key for key, trace in traces.items() if trace["resumed"]} == interrupted
