"""Hostile names and files at every door: nothing is deleted, nothing is run, and what is refused is one line.

Each case has a small world of its own: a project some folders deep, precious folders beside and above it, and HOME.
"""

import functools
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml

from tests.clones import ENV, Clone, copy_of
from tests.torture.harness import (
    COMMANDS,
    OUTPUTS,
    RUN,
    SECONDS,
    UNTRACKED,
    Done,
    check_quiet,
    differences,
    drawn,
    howdeep,
    own_traceback,
    times,
    tree,
)

pytestmark = pytest.mark.slow
MADE = (  # what commands may write into a project
    *OUTPUTS, "scratch", "provenance", "outputs", "multirun", "reports", "out", "mlartifacts", "mlflow.db", "mlruns",
)  # fmt: skip
CACHES = ("home/.cache", "home/.config", "home/.local")  # of other programs
PRECIOUS = "{precious}"  # stands for the absolute path of a precious folder
NAMES = (
    "..", ".", "../..", "../../..", "../../../precious", "../../../../..", PRECIOUS, "a/b", "a/../..", "~", "*", "",
    "x; touch pwned #", "$(touch pwned)", "`touch pwned`", "| touch pwned", "&& touch pwned", "x'y", 'x"y',
    "';touch pwned;'", '";touch pwned;"', "a\nb", "a\ntouch pwned\n", "a" * 101, "-rf", "--help", ".hidden", ".git",
    "ünïcode", "a b", "x\\y", "a\0b", "${oc.env:HOME}",
)  # fmt: skip


@dataclass
class World:
    """A project among what must not be touched."""

    top: Path

    def __post_init__(self) -> None:
        self.home = self.top / "home"
        self.project = self.home / "a/b/c/project"
        self.precious = self.home / "a/b/c/precious"

    def remember(self) -> None:
        self.before, self.made = self.around(), tree(self.project, *OUTPUTS)

    def around(self) -> dict[str, str]:
        """All that is not made by commands."""
        inside = str(self.project.relative_to(self.top))
        found = tree(self.top)
        return {
            name: of
            for name, of in found.items()
            if (not name.startswith(f"{inside}/") or not name[len(inside) + 1 :].startswith(MADE))
            and not name.startswith(CACHES)
        }

    def howdeep(self, *argv: str, **env: str) -> Done:
        return howdeep(self.project, *argv, **(UNTRACKED | {"HOME": str(self.home)} | env))

    def check(self, *, grown: bool = False) -> None:
        """Nothing was deleted, changed or run; `grown`: a folder that people have linked may hold more than it did."""
        changed = differences(self.around(), self.before)
        if grown:
            changed = {name: pair for name, pair in changed.items() if pair[1] is not None}
        assert changed == {}
        assert not list(self.top.rglob("pwned*"))
        assert not Path("pwned").exists()


def check_refused(done: Done, world: World) -> None:
    assert done.code not in (0, None), f"it was taken\n{done.out}\n{done.err}"
    assert "Traceback" not in done.out + done.err, done.err[-3000:]
    if done.code != 2:  # argparse's own two lines
        assert len(done.complaints) == 1, done.err[-3000:]
        assert len(done.err.splitlines()) == 1, done.err[-3000:]
    assert differences(tree(world.project, *OUTPUTS), world.made) == {}


@pytest.fixture
def world(trained, root, tmp_path) -> World:
    here = World(tmp_path / "world")
    for folder in (here.top, here.home, here.home / "a/b", here.home / "a/b/c"):
        for path in (
            "precious/thesis/chapter 1.tex",
            "precious/photos/1.jpg",
            "precious/record.json",
            ".hidden/key",
        ):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(f"years of work: {path}")
    (here.home / ".bashrc").write_text("export EDITOR=vi\n")
    shutil.copytree(trained, here.project, symlinks=True)
    shutil.copytree(
        root / "src", here.project / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    for name in ("dvc.yaml", "README.md", ".gitignore"):
        shutil.copy(root / name, here.project)
    git = ("git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "gc.auto=0")
    for words in (("init", "-q", "."), ("add", "README.md", "params.yaml"), ("commit", "-qm", "mine")):
        subprocess.run([*git, *words], cwd=here.project, env=ENV, check=True, timeout=SECONDS)
    here.remember()
    return here


def safe_id(text: object) -> str:
    """A name for a test that pytest, files and terminals can take."""
    return re.sub(r"[^\w.-]+", "_", ascii(text).strip("'\""))[:40]


# Names in params.yaml


def rewrite(world: World, change: Callable[[dict], None]) -> None:
    path = world.project / "params.yaml"
    study = yaml.safe_load(path.read_text())
    change(study)
    path.write_text(yaml.safe_dump(study, sort_keys=False, allow_unicode=True))
    world.remember()


def in_entry(study: dict, key: str, name: str) -> None:
    study["entries"]["digits-mlp"][key] = name


def as_data(study: dict, name: str) -> None:
    study["data"].append(name)


def as_data_of_an_entry(study: dict, name: str) -> None:
    study["data"] = [name]
    in_entry(study, "data", name)


def as_an_entry(study: dict, name: str) -> None:
    study["entries"][name] = dict(study["entries"]["digits-mlp"])


def as_the_only_entry(study: dict, name: str) -> None:
    study["entries"] = {name: study["entries"]["digits-mlp"]}


def as_study(study: dict, name: str) -> None:
    study["study"] = name


def as_a_tuned_optimizer(study: dict, name: str) -> None:
    study["tune"]["optimizers"] = {name: [0.001, 0.1]}


def as_a_choice(study: dict, name: str, key: str) -> None:
    study[key] = name


DOORS: dict[str, Callable[[dict, str], None]] = {
    "study": as_study,
    "data": as_data,
    "entry.data": as_data_of_an_entry,
    "entries": as_an_entry,
    "only entry": as_the_only_entry,
    "model": lambda study, name: in_entry(study, "model", name),
    "task": lambda study, name: in_entry(study, "task", name),
    "optimizer": lambda study, name: as_a_choice(study, name, "optimizer"),
    "schedule": lambda study, name: as_a_choice(study, name, "schedule"),
    "trainer": lambda study, name: as_a_choice(study, name, "trainer"),
    "tune.optimizers": as_a_tuned_optimizer,
}


def pairs(doors, names, quick: int, full: int) -> list:
    """Doors and names, every door as often as the others."""
    piles = [
        [(door, name) for name in drawn(names, len(names), len(names), seed)]
        for seed, door in enumerate(doors)
    ]
    order = [pile[n] for n in range(len(names)) for pile in piles]
    return [
        pytest.param(door, name, id=f"{safe_id(door)}-{names.index(name)}-{safe_id(name)}")
        for door, name in order[: times(quick, full)]
    ]


def filled(name: str, world: World) -> str:
    return name.replace(PRECIOUS, str(world.precious))


@pytest.mark.parametrize(("door", "name"), pairs(list(DOORS), NAMES, 11, 66))
def test_a_hostile_name_in_params_is_refused(world, counted, door, name):
    name = filled(name, world)
    rewrite(world, lambda study: DOORS[door](study, name))
    typeable = name and "\0" not in name and name != "--help"  # which would be a question
    entry = name if door in ("entries", "only entry") and typeable else "digits-mlp"
    counted("hostile")
    commands = [("plan",), ("train-entry", entry), ("tune-entry", entry), ("evaluate",), ("report",)]
    for command in commands[: times(3, len(commands))]:
        done = world.howdeep(*command)
        world.check()
        check_refused(done, world)


# Names in the command line


def typed(key: str, name: str) -> str:
    """Quoted as Hydra wants it, so that all of the name arrives."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


QUICKLY = ("trainer.max_epochs=1", "train_examples=40", "model.width=4", "tracking.uri=null")
SWEEP = (
    "train",
    "-m",
    "hydra/sweeper=optuna",
    "model.depth=1,2",
    "hydra.sweeper.n_trials=1",
    "hydra.sweeper.n_jobs=1",
)
TYPED: dict[str, Callable[[str], tuple[str, ...]]] = {
    "train data.name": lambda name: ("train", *QUICKLY, typed("data.name", name)),
    "train data": lambda name: ("train", *QUICKLY, typed("data", name)),
    "train model": lambda name: ("train", *QUICKLY, typed("model", name)),
    "pull data.name": lambda name: ("pull", typed("data.name", name)),
    "prepare data.name": lambda name: ("prepare", typed("data.name", name)),
    "pull data": lambda name: ("pull", typed("data", name)),
    "tracking.experiment": lambda name: ("train", *QUICKLY[:3], typed("tracking.experiment", name), "tracking.uri=sqlite:///mlflow.db"),
    "hydra.sweeper.study": lambda name: (*SWEEP, *QUICKLY, typed("hydra.sweeper.study", name)),
    "sweep data.name": lambda name: (*SWEEP, *QUICKLY, typed("data.name", name)),
    "train-entry": lambda name: ("train-entry", name),
    "tune-entry": lambda name: ("tune-entry", name),
    "compare --against": lambda name: ("compare", f"--against={name}"),
}  # fmt: skip
TYPEABLE = tuple(name for name in NAMES if name and "\0" not in name)


@pytest.mark.parametrize(("door", "name"), pairs(list(TYPED), TYPEABLE, 12, 60))
def test_a_hostile_name_in_a_command_is_refused(world, counted, door, name):
    name = filled(name, world)
    counted("hostile")
    if name == "--help" and door in ("train-entry", "tune-entry"):
        pytest.skip("that is a question")
    done = world.howdeep(*TYPED[door](name))
    world.check()
    check_refused(done, world)


@pytest.mark.parametrize("words", ["--output=pwned", "--ext-diff", "HEAD --output=pwned", "HEAD:../../pwned"])
def test_a_revision_is_no_option_of_git(world, counted, words):
    counted("hostile")
    done = world.howdeep("compare", f"--against={words}")
    world.check()
    check_refused(done, world)


SOURCES = {
    "file": ("..", ".", "../x", "../../../../precious/thesis", PRECIOUS, "a\nb", "", "-rf", "a/b", ".hidden",
             "x; touch pwned #"),
    "path": ("../../../../../../../../etc/passwd", PRECIOUS + "/record.json", "..", "x; touch pwned #", ""),
    "package": ("..", "sklearn.nope.x", "../sklearn", "os; touch pwned", "", "sklearn\nx"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param(key, value, id=f"{key}-{n}-{safe_id(value)}")
        for key, value, n in drawn([(k, v, n) for k, vs in SOURCES.items() for n, v in enumerate(vs)], 5, 99)
    ],
)
def test_a_hostile_source_of_a_data_set_is_refused(world, counted, key, value):
    conf = world.project / "conf/data/evil.yaml"
    data = yaml.safe_load((world.project / "conf/data/digits.yaml").read_text())
    data["name"] = "evil"
    data["sources"][0][key] = filled(value, world)
    conf.write_text(yaml.safe_dump(data))
    world.remember()
    counted("hostile")
    done = world.howdeep("pull", "data=evil")
    world.check()
    assert done.code not in (0, None)
    done.check_words()
    assert not [path for path in world.project.glob("data/raw/evil/**/*") if path.is_file()]


# dvc repro: names reach a shell


DVC_DOORS = ("data", "entries", "only entry", "entry.data", "study", "model")
SHELL = tuple(
    name
    for name in NAMES
    if any(sign in name for sign in (";", "$", "`", "|", "&", "..", "'", '"', "\n", "-rf"))
)


@pytest.mark.parametrize(("door", "name"), pairs(DVC_DOORS, SHELL, 2, 14))
def test_a_hostile_name_in_params_runs_nothing_at_dvc_repro(fresh, tmp_path, counted, door, name):
    world = World(tmp_path / "world")
    for path in (
        "precious/thesis.tex",
        "a/precious/thesis.tex",
        "a/b/c/precious/thesis.tex",
        "a/b/precious/x",
    ):
        (world.home / path).parent.mkdir(parents=True, exist_ok=True)
        (world.home / path).write_text("years of work")
    clone = copy_of(fresh, world.project)
    name = filled(name, world)
    study = yaml.safe_load((clone.folder / "params.yaml").read_text())
    DOORS[door](study, name)
    clone.write_params(study)
    world.remember()
    counted("hostile")
    done = repro(clone, world)
    assert done.returncode != 0, done.stdout
    assert not (found := own_traceback(done.stdout + done.stderr)), found
    check_quiet(clone.folder)
    before = {name: of for name, of in world.before.items() if not is_dvcs(name)}
    assert differences({n: of for n, of in world.around().items() if not is_dvcs(n)}, before) == {}
    assert not list(world.top.rglob("pwned*"))
    shutil.rmtree(world.top)


def is_dvcs(name: str) -> bool:
    """What DVC itself writes; and git's index, which whoever asks git for changes brings up to date."""
    return "/.dvc/" in name or name.endswith(("dvc.lock", "/.dvc", "/.git", "/.git/index"))


def repro(clone: Clone, world: World) -> subprocess.CompletedProcess[str]:
    env = ENV | {"HOME": str(world.home)}
    return subprocess.run(
        ["dvc", "repro"], cwd=clone.folder, env=env, capture_output=True, text=True, timeout=SECONDS
    )


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
        ("through ui", {"_target_": "howdeep.processes.os.system", "_args_": [command]}),
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
    for cell in found.values():
        cell["overrides"] = (
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


# Doors in the code


CODE = {
    r"weights_only\s*=\s*False": "reads pickle",
    r"\btorch\.load\((?!(?:.|\n){0,120}weights_only=True)": "reads pickle",
    r"\bc?[pP]ickle\.loads?\(": "reads pickle",
    r"\bUnpickler\b": "reads pickle",
    r"\b(joblib|dill|cloudpickle)\.loads?\b": "reads pickle",
    r"\bread_pickle\b": "reads pickle",
    r"allow_pickle\s*=\s*True": "reads pickle",
    r"\bserialization_format\s*=\s*[\"']pickle": "writes what must be read as pickle",
    r"\byaml\.(unsafe_|full_)?load(_all)?\((?![^)]*Safe)": "builds any object",
    r"(?<![\w.])eval\(": "runs text",
    r"(?<![\w.])exec\(": "runs text",
    r"\bshell\s*=\s*True": "runs a shell",
    r"\bos\.(system|popen)\(": "runs a shell",
}


def doors_in(text: str) -> list[str]:
    return [
        f"line {text[: found.start()].count(chr(10)) + 1} {why}: {found[0]}"
        for pattern, why in CODE.items()
        for found in re.finditer(pattern, text)
    ]


def test_no_code_reads_pickle_or_runs_text(root):
    found = set()
    for path in sorted((root / "src").rglob("*.py")):
        name = str(path.relative_to(root))
        found |= {f"{name} {door}" for door in doors_in(path.read_text())}
    assert found == set()


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, map_location='cpu', weights_only=False)", "torch.load(path)", "pickle.loads(content)",
        "joblib.load(path)", "np.load(path, allow_pickle=True)", "yaml.load(text)", "eval(text)", "exec(text)",
        "subprocess.run(text, shell=True)", "os.system(text)", "yaml.load(text, Loader=yaml.Loader)",
    ],
)  # fmt: skip
def test_the_search_for_such_code_finds_it(line):
    assert doors_in(line)


def test_the_search_for_such_code_lets_safe_lines_pass():
    for line in (
        "torch.load(path, weights_only=True)",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "net.eval()",
    ):
        assert doors_in(line) == []
