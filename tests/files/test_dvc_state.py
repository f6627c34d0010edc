"""A dvc.lock that a kill has cut short is noticed wherever it was cut, and put back."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from howdeep.errors import UserError
from howdeep.files import dvc_state
from howdeep.files.project import Project

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "dvc.lock").read_bytes()


@pytest.fixture
def here(tmp_path) -> Project:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "dvc.lock").write_bytes(LOCK)
    return Project(tmp_path)


def test_a_whole_lock_is_left_as_it_is(here, capsys):
    dvc_state.keep(here)
    (here.root / "dvc.lock").write_bytes(LOCK + b"\n")
    dvc_state.repair(here)
    assert (here.root / "dvc.lock").read_bytes() == LOCK + b"\n"
    assert capsys.readouterr().err == ""


PUT_BACK = "howdeep: a kill or a full disk had cut dvc.lock short: it is again as it was before that write\n"
CUTS = [0, 1, 13, *random.Random(0).sample(range(len(LOCK)), 30)]


@pytest.mark.parametrize("at", CUTS)
def test_a_lock_that_dvc_could_not_read_is_put_back_with_one_line(here, capsys, at):
    from dvc.dvcfile import Lockfile
    from dvc.repo import Repo

    dvc_state.keep(here)
    (here.root / "dvc.lock").write_bytes(LOCK[:at])
    dvc_state.repair(here)
    found = (here.root / "dvc.lock").read_bytes()
    said = capsys.readouterr().err
    assert found in (LOCK, LOCK[:at])
    assert said == (PUT_BACK if found == LOCK else "")
    (here.root / ".dvc").mkdir()
    (here.root / ".dvc/config").write_text("[core]\n    no_scm = true\n")
    with Repo(str(here.root)) as repo:
        assert Lockfile(repo, str(here.root / "dvc.lock")).load()["stages"]  # type: ignore[index]


def test_the_very_first_lock_that_was_cut_short_is_none_again(here, capsys):
    (here.root / "dvc.lock").unlink()
    dvc_state.keep(here)
    for at in (0, 10, 1000):
        (here.root / "dvc.lock").write_bytes(LOCK[:at])
        dvc_state.repair(here)
        assert not (here.root / "dvc.lock").exists()
        assert capsys.readouterr().err == PUT_BACK
    (here.root / "dvc.lock").write_bytes(LOCK)
    dvc_state.repair(here)
    assert (here.root / "dvc.lock").read_bytes() == LOCK


def test_the_lock_of_the_claims_is_put_back_too(here, capsys):
    here.claims.mkdir()
    lock = here.claims / "dvc.lock"
    lock.write_bytes(LOCK)
    dvc_state.keep(here)
    lock.write_bytes(LOCK[:1000])
    dvc_state.repair(here)
    assert lock.read_bytes() == LOCK
    assert capsys.readouterr().err == PUT_BACK.replace("dvc.lock", "claims/dvc.lock")
    lock.write_bytes(LOCK[:1000])
    (here.scratch / "claims.dvc.lock").unlink()
    with pytest.raises(UserError, match=r"^claims/dvc\.lock was cut short"):
        dvc_state.repair(here)


def test_without_a_copy_the_line_says_what_to_do(here):
    (here.root / "dvc.lock").write_bytes(LOCK[:1000])
    with pytest.raises(UserError, match=r"cut short and there is no copy of it: `git checkout dvc\.lock`"):
        dvc_state.repair(here)


@pytest.mark.parametrize("content", [b"", b'{"read": {"a', b"\xff"])
def test_a_list_of_locks_that_was_cut_short_is_removed(here, content):
    locks = here.root / ".dvc/tmp/rwlock"
    locks.parent.mkdir(parents=True)
    locks.write_bytes(content)
    dvc_state.mend(here)
    assert not locks.exists()
    locks.write_bytes(b'{"read": {}}')
    dvc_state.mend(here)
    assert locks.exists()


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.slow
def test_in_a_downloaded_zip_repair_says_how_dvc_starts(here):
    (here.root / ".dvc").mkdir()
    dvc = str(Path(sys.executable).with_name("dvc"))
    (here.root / "dvc.yaml").write_text("stages: {a: {cmd: 'true'}}")
    (here.root / "dvc.lock").unlink()
    assert "is not a git repository" in run(here.root, dvc, "repro").stderr  # as README quotes it
    assert "`... is not a git repository`, in a downloaded ZIP" in (ROOT / "README.md").read_text()
    with pytest.raises(UserError, match=r"expected a git repository at .*: make one by `git init`$"):
        dvc_state.repair(here)
    assert run(here.root, "git", "init").returncode == 0
    dvc_state.repair(here)
    assert run(here.root, dvc, "repro").returncode == 0
