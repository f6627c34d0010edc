"""Clones and studies for the torture tests, and the counts that stand at their end."""

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from howdeep.files.project import Project
from tests.clones import STUDY, Clone, at, copy_of, made_once
from tests.commands import ENV, SECONDS, Command, howdeep
from tests.torture import harness
from tests.torture.harness import (
    COMMANDS,
    OUTPUTS,
    RUN,
    UNTRACKED,
    tree,
    wait_until,
)
from tests.torture.hostile import World

# Tuned, two entries, long enough to be stopped in the middle of everything.
KILLED = {
    **STUDY,
    "tune": {"trials": 2, "epochs": 0.5, "optimizers": {"adam": [0.001, 0.1]}},
    "entries": {
        name: {
            **entry,
            "overrides": {
                **entry["overrides"],
                "trainer": {"max_epochs": epochs},
                "checkpoint_seconds": 0.1,
            },
        }
        for (name, entry), epochs in zip(STUDY["entries"].items(), (40, 10), strict=True)
    },
}


@pytest.fixture
def counted(record_property) -> Callable[[str, int], None]:
    """Notes what a test has done for the summary: `counted('kills')`, `counted('flips', 3)`."""

    def note(kind: str, n: int = 1) -> None:
        record_property(f"torture {kind}", n)

    return note


def pytest_terminal_summary(terminalreporter) -> None:
    counts, failed = Counter(), Counter()
    for report in (r for outcome in ("passed", "failed") for r in terminalreporter.stats.get(outcome, ())):
        if report.failed:
            failed[
                next((kind for kind in harness.KINDS if f"test_{kind}.py" in report.nodeid), "others")
            ] += 1
        if report.when == "call":
            for name, n in report.user_properties:
                counts[name.removeprefix("torture ")] += n if name.startswith("torture ") else 0
    if not sum(counts.values()):
        return
    terminalreporter.section("torture")
    for kind in harness.KINDS:
        terminalreporter.write_line(f"{kind}: {counts[kind]}, failed tests: {failed[kind]}")


@pytest.fixture(scope="session")
def fresh(root, tmp_path_factory) -> Clone:
    """A clone in which nothing was done; tests take a copy."""
    clone = Clone(root, tmp_path_factory.mktemp("torture") / "fresh")
    clone.write_params(KILLED)
    clone.commit()
    return clone


@pytest.fixture(scope="session")
def whole(fresh, tmp_path_factory) -> Clone:
    """The same study, from its beginning to its end without a pause: what every other one must end as."""

    def make(folder: Path) -> None:
        clone = copy_of(fresh, folder)
        clone.repro()
        harness.check_quiet(clone.folder)

    return at(made_once("whole", make, tmp_path_factory))


@pytest.fixture
def victim(fresh, tmp_path) -> Iterator[Clone]:
    """A copy of the fresh clone, to be stopped; what still runs there at the end is ended."""
    clone = copy_of(fresh, tmp_path / "victim")
    yield clone
    harness.kill_all_at(clone.folder)
    shutil.rmtree(clone.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def trained(project, tmp_path_factory) -> Path:
    """A study of two runs, tuned, trained, tested and compared, and a run that was killed in the middle."""
    return made_once("trained", lambda folder: train(project, folder), tmp_path_factory)


def train(project: Project, folder: Path) -> None:
    shutil.copytree(project.conf, folder / "conf")
    for part in ("raw", "prepared"):
        shutil.copytree(project.root / "data" / part / "digits", folder / "data" / part / "digits")
    study = yaml.safe_load((project.root / "params.yaml").read_text())
    entry = {"data": "digits", "model": "mlp", "task": "classification"}
    small = {"train_examples": 60, "trainer": {"max_epochs": 2}, "model": {"width": 4}}
    tune = {"trials": 1, "epochs": 0.5, "optimizers": {"adam": [0.001, 0.01]}}
    study |= {"data": ["digits"], "depths": [1, 2], "matching": ["width"], "seeds": [0], "tune": tune}
    study["entries"] = {"digits-mlp": entry | {"overrides": small}}
    (folder / "params.yaml").write_text(yaml.safe_dump(study))
    for command in (
        ("plan",),
        *(
            COMMANDS[name]
            for name in ("tune-entry", "train-entry", "evaluate", "inspect", "compare", "train")
        ),
    ):
        done = howdeep(folder, *command, **UNTRACKED)
        assert done.code == 0, done.err
    whole = tree(folder, "out/run")
    shutil.rmtree(folder / "out")
    command = Command(folder, *RUN)
    wait_until(
        lambda: list(folder.glob("scratch/*.ckpt")) or not command.process.is_alive(), "it never trained"
    )
    command.kill()
    command.wait()
    assert list(folder.glob("scratch/*.ckpt")), "the kill came too late"
    (folder / "expected.json").write_text(json.dumps(whole | tree(folder, *OUTPUTS)))


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
