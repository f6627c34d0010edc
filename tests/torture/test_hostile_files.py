"""Hostile files, and a user's own where we write: nothing is run, nothing of his is lost."""

import functools
import io
import json
import os
import pickle
import shutil
import zipfile
from pathlib import Path

import pytest
import torch

from tests.amount import drawn
from tests.torture.harness import (
    COMMANDS,
    RUN,
)
from tests.torture.hostile import QUICKLY, World, check_refused, safe_id

pytestmark = pytest.mark.slow


# Files that run code


class Evil:
    """What runs a command as soon as it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def a_pickle(command: str, _identity: dict) -> bytes:
    return pickle.dumps(Evil(command))


def a_checkpoint(command: str, identity: dict) -> bytes:
    """One that says of itself what a checkpoint of this run would."""
    file = io.BytesIO()
    torch.save({"howdeep": identity, "state_dict": Evil(command)}, file)
    return file.getvalue()


def an_old_checkpoint(command: str, identity: dict) -> bytes:
    file = io.BytesIO()
    torch.save({"howdeep": identity, "evil": Evil(command)}, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


def a_zip_with_paths_outside(command: str, identity: dict) -> bytes:
    file = io.BytesIO(a_checkpoint(command, identity))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("../../../../pwned", "x")
    return file.getvalue()


def a_spoiled_one(_command: str, _identity: dict) -> bytes:
    return b"\x80\x04\x95" + bytes(range(200))


PICKLES = (a_pickle, a_checkpoint, an_old_checkpoint, a_zip_with_paths_outside, a_spoiled_one)


def the_run(world: World) -> tuple[Path, dict]:
    """The checkpoint of the run that was killed, and what it says of itself."""
    (path,) = world.project.glob("scratch/*.ckpt")
    identity = {"model": "mlp", "data": "digits", "depth": 1, "seed": 0, "key": path.stem}
    try:
        identity = torch.load(path, weights_only=False)["howdeep"]  # our own, made a moment ago
    except Exception:
        identity["key"] = path.stem
    return path, identity


def command_of(world: World) -> str:
    return f"touch '{world.top}/pwned'"


@pytest.mark.parametrize("kind", PICKLES)
@pytest.mark.parametrize("place", ["scratch", "resume"])
def test_a_hostile_checkpoint_runs_nothing(world, counted, place, kind):
    path, identity = the_run(world)
    content = kind(command_of(world), identity)
    counted("hostile")
    if place == "scratch":
        path.write_bytes(content)
        done = world.howdeep(*RUN)
    else:
        path.unlink()
        (world.home / "its.ckpt").write_bytes(content)
        world.remember()
        done = world.howdeep(*RUN, f"resume={world.home / 'its.ckpt'}")
        assert done.code != 0
    world.check()
    done.check_words()


@pytest.mark.parametrize("kind", ["pickle", "map"])
@pytest.mark.parametrize("command", ["train-entry", "tune-entry", "plan"])
def test_hostile_kept_compositions_run_nothing(world, counted, kind, command):
    (evil := world.home / "evil.pt").write_bytes(a_pickle(command_of(world), {}))
    target = dict(targets(world, evil))["os.system"]
    for path in [path for path in world.project.glob("scratch/compositions/*/*") if path.is_file()]:
        path.write_bytes(
            pickle.dumps(Evil(command_of(world)))
            if kind == "pickle"
            else json.dumps({"model": target, "task": target, "data": {"prepare": target}}).encode()
        )
    shutil.rmtree(world.project / "runs")
    world.remember()
    counted("hostile")
    done = world.howdeep(*COMMANDS.get(command, (command,)))
    world.check()
    done.check_words()


def targets(world: World, evil: Path) -> list[tuple[str, dict]]:
    """Nodes that run something if they are instantiated."""
    command, words = command_of(world), ["touch", f"{world.top}/pwned"]
    return [
        ("psutil.Popen", {"_target_": "psutil.Popen", "args": words}),
        ("os.system", {"_target_": "os.system", "command": command}),
        ("subprocess.run", {"_target_": "subprocess.run", "args": words}),
        ("builtins.eval", {"_target_": "builtins.eval", "_args_": [f"__import__('os').system({command!r})"]}),
        ("torch.load", {"_target_": "torch.load", "f": str(evil), "weights_only": False}),
        ("through mlp", {"_target_": "howdeep.nets.mlp.torch.load", "f": str(evil), "weights_only": False}),
        ("through cli", {"_target_": "howdeep.cli.os.system", "_args_": [command]}),
        ("through ui", {"_target_": "howdeep.processes.signals.os.system", "_args_": [command]}),
        ("own main", {"_target_": "howdeep.cli.main", "argv": ["train", "hydra.run.dir=../pwned", *QUICKLY]}),
        ("hydra", {"_target_": "hydra.utils.call", "config": {"_target_": "os.system", "_args_": [command]}}),
        ("nested", {"_target_": "howdeep.nets.mlp.MLP", "in_shape": [1, 8, 8], "out_features": 10, "depth": 1,
                    "width": 4, "activation": {"a": [{"b": {"_target_": "os.system", "_args_": [command]}}]}}),
        ("through optim", {"_target_": "torch.optim.adam.torch.load", "f": str(evil), "weights_only": False}),
    ]  # fmt: skip


TARGETS = ("psutil.Popen", "os.system", "subprocess.run", "builtins.eval", "torch.load", "through mlp", "through cli",
           "through ui", "own main", "hydra", "nested", "through optim")  # fmt: skip
NODES = ("model", "task", "data.examples", "data.prepare", "optimizer", "trainer", "schedule")
READERS = ("evaluate", "inspect", "train-entry", "report")
LOADED = {("model", "evaluate"), ("task", "evaluate"), ("data.examples", "evaluate"), ("model", "inspect")}
RECORDS = [(target, node, reader) for target in TARGETS for node in NODES for reader in READERS]


@pytest.mark.parametrize(
    ("target", "node", "reader"),
    [
        *[pytest.param(*case, id=" ".join(case)) for case in drawn(RECORDS, 12, 60)],
        *[
            pytest.param("psutil.Popen", "model", reader, id=f"psutil.Popen model {reader}")
            for reader in READERS[:3]
        ],
    ],
)
def test_a_hostile_target_in_a_record_runs_nothing(world, counted, target, node, reader):
    (evil := world.home / "evil.pt").write_bytes(a_pickle(command_of(world), {}))
    hostile = dict(targets(world, evil))[target]
    for path in world.project.glob("runs/*/*/record.json"):
        record = json.loads(path.read_text())
        above = functools.reduce(lambda of, key: of[key], node.split(".")[:-1], record["config"])
        above[node.split(".")[-1]] = hostile
        path.write_text(json.dumps(record))
    world.remember()
    counted("hostile")
    env = {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"} if reader == "sync" else {}
    done = world.howdeep(*COMMANDS.get(reader, (reader,)), **env)
    world.check()
    done.check_words()
    if (node, reader) in LOADED:
        assert done.code == 1, "it was taken"


SETTINGS = {
    "target": ["model._target_=os.system", "+model.command='touch {top}/pwned'"],
    "optimizer": ["optimizer._target_=os.system", "+optimizer.command='touch {top}/pwned'"],
    "Popen": ["optimizer._target_=psutil.Popen", "+optimizer.args=[touch,{top}/pwned]"],
    "data.name": ["data.name=../.."],
    "precious": ["data.name={precious}"],
    "prepare": ["data.name=mine", "data.prepare._target_=os.system"],
    "resume": ["resume={top}/home/evil.pt"],
    "tracking": ["tracking.uri=sqlite:///{precious}/pwned.db"],
    "model": ["model=../../../precious/model"],
    "task": ["task._target_=builtins.eval"],
    "searchpath": ["hydra.searchpath=[file://{precious}]"],
    "run.dir": ["hydra.run.dir={precious}"],
    "no list": "optimizer=sgd",
    "a map": {"optimizer": "sgd"},
    "numbers": [1, None, {"a": 1}],
    "no override": ["x; touch pwned #"],
}


@pytest.mark.parametrize("name", drawn(SETTINGS, 7, 99))
def test_hostile_overrides_in_a_tuned_setting_are_refused(world, counted, name):
    path = world.project / "tuned/digits-mlp/settings.json"
    (world.home / "evil.pt").write_bytes(a_pickle(command_of(world), {}))
    found, overrides = json.loads(path.read_text()), SETTINGS[name]
    for run in found.values():
        run["overrides"] = (
            [
                o.replace("{top}", str(world.top)).replace("{precious}", str(world.precious))
                if isinstance(o, str) else o
                for o in overrides
            ]
            if isinstance(overrides, list) else overrides
        )  # fmt: skip
    path.write_text(json.dumps(found))
    world.remember()
    counted("hostile")
    done = world.howdeep("train-entry", "digits-mlp")
    world.check()
    check_refused(done, world)


# A user's own files where we write


NOTES = {  # where they lie -> the commands that write there
    "data/prepared/digits": ("prepare data=digits", "train {quickly}", "train-entry digits-mlp"),
    "data/raw/digits": ("pull data=digits", "prepare data=digits"),
    "runs/digits-mlp": ("train-entry digits-mlp", "evaluate"),
    "runs/digits-mlp/mine": ("train-entry digits-mlp",),
    "runs/digits-mlp/depth=1-seed=0": ("train-entry digits-mlp",),
    "tuned/digits-mlp": ("tune-entry digits-mlp",),
    "plans": ("plan",),
    "results": ("evaluate", "compare"),
    "results/inspection": ("inspect",),
    "results/tables": ("compare",),
    "results/figures": ("compare",),
}
SHARED = ("data/raw/digits", "runs/digits-mlp", "runs/digits-mlp/mine", "results")  # not ours alone, ever
OWN = [
    (place, command, alone)
    for place, commands in NOTES.items()
    for command in commands
    for alone in ((True, False) if place in SHARED else (True,))
]


@pytest.mark.parametrize(
    ("place", "command", "alone"),
    [
        pytest.param(
            *case, id=f"{safe_id(case[0])}-{safe_id(case[1])}-{'alone' if case[2] else 'among ours'}"
        )
        for case in drawn(OWN, 9, 99)
    ],
)
def test_a_users_own_files_stay(world, counted, place, command, alone):
    """Alone in a folder that we would write, or in one that we share with him: they stay, or the command refuses."""
    folder = world.project / place
    if alone:
        shutil.rmtree(folder, ignore_errors=True)
    own = {"notes.txt": "mine", "thesis/chapter 1.tex": "years of work", "thesis/record.json": "{}"}
    for name, text in own.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    world.remember()
    counted("hostile")
    done = world.howdeep(*command.replace("{quickly}", " ".join(QUICKLY)).split())
    world.check()
    done.check_words()
    left = {name: (folder / name).read_text() for name in own if (folder / name).exists()}
    assert left == own, f"exit code {done.code}\n{done.err}"


LINKS = {
    "data/prepared/digits": ("prepare data=digits", "train {quickly}"),
    "data/raw/digits": ("pull data=digits",),
    "runs/digits-mlp": ("train-entry digits-mlp",),
    "runs/digits-mlp/mine": ("train-entry digits-mlp",),
    "runs/digits-mlp/depth=1-seed=0": ("train-entry digits-mlp",),
    "runs/digits-mlp/depth=1-seed=0/weights.safetensors": ("train-entry digits-mlp", "evaluate"),
    "tuned/digits-mlp": ("tune-entry digits-mlp",),
    "plans": ("plan",),
    "results": ("compare",),
    "results/inspection": ("inspect",),
    "scratch/compositions": ("train-entry digits-mlp", "plan"),
}
LINKED = [(place, command) for place, commands in LINKS.items() for command in commands]


@pytest.mark.parametrize(
    ("place", "command"),
    [pytest.param(*case, id=f"{safe_id(case[0])}-{safe_id(case[1])}") for case in drawn(LINKED, 6, 99)],
)
def test_a_link_to_a_precious_folder_loses_it_nothing(world, counted, place, command):
    link = world.project / place
    target = world.precious / "thesis/chapter 1.tex" if link.suffix else world.precious
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    world.remember()
    counted("hostile")
    done = world.howdeep(*command.replace("{quickly}", " ".join(QUICKLY)).split())
    world.check(grown=True)
    done.check_words()
