"""Full disks, real ones of a few MB: one line, nothing half-written under a final name, and the same end with room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from howdeep.tracking.store import Store
from tests.amount import drawn, times
from tests.clones import Clone, copy_of
from tests.commands import ENV, SECONDS, Done, howdeep
from tests.torture.harness import (
    check_quiet,
    differences,
    kill_all_at,
    own_traceback,
    tree,
)

pytestmark = pytest.mark.slow
KB = 1024
FREE = (0, 4, 12, 40, 120, 400)  # KB that are left; all is written with the last of them, or nearly
RUN = (
    "train", "model.width=16", "train_examples=100", "trainer.max_epochs=8", "checkpoint_seconds=0",
    "hydra.run.dir=out",
)  # fmt: skip
TRACKED_BY = "mlflow"  # the folder of the database, where it has a disk of its own
SMALL = {"train_examples": 100, "checkpoint_seconds": 0, "trainer": {"max_epochs": 4}, "model": {"width": 16}}


def disk(place: Path, megabytes: int) -> None:
    """A disk of its own at a folder, with what lies there."""
    aside = place.with_name(f"{place.name}-aside")
    place.mkdir(exist_ok=True)
    place.rename(aside)
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "torture", str(place)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        place.rmdir()
        aside.rename(place)
        pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")
    shutil.copytree(aside, place, dirs_exist_ok=True, symlinks=True)
    shutil.rmtree(aside)


def leave(place: Path, kilobytes: int) -> None:
    """Fills the disk up to what is left free."""
    ballast = place / ".ballast"
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    with ballast.open("wb") as file, suppress(OSError):
        file.write(b"\0" * max(0, free - kilobytes * KB))


def empty(place: Path) -> None:
    (place / ".ballast").unlink()


@pytest.fixture
def disks() -> Iterator:
    """Mounts disks, and takes them away at the end, whoever still looks at them."""
    mounted: list[Path] = []

    def at(place: Path, megabytes: int) -> Path:
        disk(place, megabytes)
        mounted.append(place)
        return place

    yield at
    for place in reversed(mounted):
        kill_all_at(place)
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture(scope="module")
def prepared(project, tmp_path_factory) -> Path:
    """A small project whose study has one entry, tuned."""
    folder = tmp_path_factory.mktemp("disks") / "project"
    shutil.copytree(project.conf, folder / "conf")
    for part in ("raw", "prepared"):
        shutil.copytree(project.root / "data" / part / "digits", folder / "data" / part / "digits")
    study = yaml.safe_load((project.root / "params.yaml").read_text())
    entry = {"data": "digits", "model": "mlp", "task": "classification", "overrides": SMALL}
    study |= {
        "data": ["digits"],
        "depths": [1, 2],
        "matching": ["width"],
        "seeds": [0],
        "tune": None,
        "entries": {"digits-mlp": entry},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(study))
    return folder


COMMANDS = {"train": RUN, "train-entry": ("train-entry", "digits-mlp")}


@pytest.fixture(scope="module")
def expected(prepared, tmp_path_factory) -> dict[str, dict[str, str]]:
    """What each command leaves where there is room."""
    found = {}
    for name, argv in COMMANDS.items():
        folder = tmp_path_factory.mktemp("room") / "project"
        shutil.copytree(prepared, folder)
        done = howdeep(folder, *argv)
        assert done.code == 0, done.err
        found[name] = results(folder)
    return found


def results(folder: Path) -> dict[str, str]:
    """The files of finished runs and of the data."""
    found = tree(folder, "runs", "out/run", "data")
    return {name: of for name, of in found.items() if of != "folder" and ".ballast" not in name}


# What is on the small disk: the folder, its size in MB, what else the command needs there.
PLACES = {
    "project": (".", 12),
    "scratch": ("scratch", 1),
    "runs": ("runs", 1),
    "data": ("data", 4),
    "mlflow": (TRACKED_BY, 4),
    "mlartifacts": ("mlartifacts", 1),
}
CASES = [
    (place, command, free)
    for place in PLACES
    for command in COMMANDS
    for free in FREE
    if not (place == "runs" and command == "train")
]
ONLY_TRACKING = ("mlflow", "mlartifacts")


def named(case: tuple[str, str, int]) -> str:
    return "{}-{}-{} KB".format(*case)


def spread(quick: int, full: int) -> list:
    """Each place at least once before any comes twice."""
    piles = {
        place: drawn([case for case in CASES if case[0] == place], len(CASES), len(CASES)) for place in PLACES
    }
    order = [pile[n] for n in range(len(CASES)) for pile in piles.values() if n < len(pile)]
    return [pytest.param(*case, id=named(case)) for case in order[: times(quick, full)]]


@pytest.mark.parametrize(("place", "command", "free"), spread(5, 34))
def test_a_full_disk_is_one_line_and_with_room_the_same_command_ends_the_same(
    prepared, expected, tmp_path, disks, counted, place, command, free
):
    home = tmp_path / "project"
    shutil.copytree(prepared, home)
    if place == "data":
        shutil.rmtree(home / "data")  # it is prepared there
    name, megabytes = PLACES[place]
    full = disks(home / name, megabytes)
    env = {"MLFLOW_TRACKING_URI": f"sqlite:///{TRACKED_BY}/mlflow.db"} if place == "mlflow" else {}
    leave(full, free)
    done = howdeep(home, *COMMANDS[command], **env)
    counted("disks")
    check_quiet(home)
    assert "Traceback" not in done.out + done.err, done.err[-3000:]
    half = differences(results(home), expected[command])
    assert {name: pair for name, pair in half.items() if pair[0] is not None} == {}, "half-written"
    if place in ONLY_TRACKING:
        assert (done.code, half) == (0, {}), (
            f"MLflow lacks room, and the training did not end\n{done.err[-3000:]}"
        )
        assert len(done.complaints) <= 1, done.err
        if free == 0 and place == "mlflow":
            assert len(done.complaints) == 1, f"nobody says what MLflow lacks\n{done.err}"
    elif done.code:
        ours = [
            line for line in done.complaints if "MLflow" not in line
        ]  # which has its own line, and ends nothing
        assert len(ours) == 1, done.err[-3000:]
    else:
        assert half == {}
        assert len(done.complaints) <= 1, done.err[-3000:]  # of MLflow, where it alone found no room
    empty(full)
    again = howdeep(home, *COMMANDS[command], **env)
    assert (again.code, again.complaints) == (0, []), again.err[-3000:]
    assert differences(results(home), expected[command]) == {}
    assert howdeep(home, "sync", **env).code == 0
    uri = f"sqlite:///{home / env['MLFLOW_TRACKING_URI'].removeprefix('sqlite:///') if env else home / 'mlflow.db'}"
    experiment = (
        "howdeep" if command == "train" else yaml.safe_load((home / "params.yaml").read_text())["study"]
    )
    runs = Store(uri, experiment, home).find(howdeep__kind="run")
    assert [run.info.status for run in runs] == ["FINISHED"] * (1 if command == "train" else 2)


# dvc repro


REPRO = [
    pytest.param(place, free, id=f"{place}-{free} KB")
    for place, free in drawn(
        [
            (place, free)
            for place in ("project", "scratch", "mlartifacts", ".dvc")
            for free in (0, 16, 100, 900)
        ],
        1,
        6,
    )
]


@pytest.mark.parametrize(("place", "free"), REPRO)
def test_dvc_repro_on_a_full_disk_ends_with_room_as_if_there_had_always_been_some(
    fresh, whole, tmp_path, disks, counted, place, free
):
    clone = copy_of(fresh, tmp_path / "clone")
    full = disks(
        clone.folder if place == "project" else clone.folder / place, 48 if place == "project" else 16
    )
    leave(full, free)
    done = repro(clone)
    counted("disks")
    check_quiet(clone.folder)
    assert not (found := own_traceback(done.out)), found
    assert sum(line.startswith("howdeep: ") for line in done.out.splitlines()) <= 1, done.out[-3000:]
    if place == "mlartifacts":
        assert done.code == 0, done.out[-3000:]
        assert clone.lock == whole.lock
    names = ("plans", "tuned", "runs", "results")
    half = differences(tree(clone.folder, *names), tree(whole.folder, *names))
    assert {name: pair for name, pair in half.items() if pair[0] not in (None, "folder")} == {}, (
        "half-written"
    )
    empty(full)
    again = repro(clone)
    assert again.code == 0, again.out[-3000:]
    assert clone.lock == whole.lock
    assert not differences(tree(clone.folder, *names), tree(whole.folder, *names))


def repro(clone: Clone) -> Done:
    log = clone.folder.parent / "repro.log"
    with log.open("w") as file:
        done = subprocess.run(
            ["dvc", "repro"],
            cwd=clone.folder,
            env=ENV,
            stdout=file,
            stderr=subprocess.STDOUT,
            timeout=SECONDS,
        )
    return Done(done.returncode, log.read_text(errors="replace"), "")
