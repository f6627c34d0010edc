"""Hostile names at every door: nothing is deleted, nothing is run, and what is refused is one line."""

import shutil
import subprocess
from collections.abc import Callable

import pytest
import yaml

from tests.amount import drawn, times
from tests.clones import Clone, copy_of
from tests.commands import ENV, SECONDS
from tests.torture.harness import (
    check_quiet,
    differences,
    own_traceback,
)
from tests.torture.hostile import NAMES, PRECIOUS, QUICKLY, World, check_refused, safe_id

pytestmark = pytest.mark.slow


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


def typed(key: str, name: str) -> str:
    """Quoted as Hydra wants it, so that all of the name arrives."""
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{escaped}'"


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
