"""Folders are replaced whole, and nothing that is not howdeep's is ever removed."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from howdeep.errors import UserError
from howdeep.files.folders import PLANS, PREPARED, RUN, clear_asides, discard, is_ours, remove, written_aside


def filled(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text("precious")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("kind", "names", "ours"),
    [
        (RUN, (), True),
        (RUN, ("record.json", "weights.safetensors"), True),
        (RUN, ("weights.safetensors", "sample.txt"), True),  # its record was lost
        (RUN, ("weights.safetensors", "notes.md"), False),
        (RUN, ("record.json", "notes.md"), True),  # it carries the mark
        (PREPARED, ("photo.jpg",), False),
        (PREPARED, ("card.json",), True),
        (PLANS, ("digits-mlp.json",), True),
        (PLANS, ("digits-mlp.json", "plan of the house.pdf"), False),
    ],
)
def test_a_folder_is_howdeeps_by_its_mark_or_by_all_that_is_in_it(tmp_path, kind, names, ours):
    assert is_ours(filled(tmp_path / "folder", *names), kind) == ours


def test_what_is_not_howdeeps_stays_and_is_named_before_anything_is_written(tmp_path):
    folder = filled(tmp_path / "digits", "photo.jpg")
    before = tree(tmp_path)
    for attempt in (
        lambda: remove(folder, PREPARED, tmp_path),
        lambda: written_aside(folder, PREPARED).__enter__(),
    ):
        with pytest.raises(UserError, match="found what howdeep did not make: move it away") as refused:
            attempt()
        assert str(folder) in str(refused.value)
        assert tree(tmp_path) == before


def test_a_link_to_a_folder_is_not_followed(tmp_path):
    precious = filled(tmp_path / "precious", "record.json")
    (tmp_path / "runs").mkdir()
    link = tmp_path / "runs" / "depth=1-seed=0"
    link.symlink_to(precious)
    with pytest.raises(UserError, match="did not make"):
        remove(link, RUN, tmp_path / "runs")
    assert tree(precious) == {"record.json": b"precious"}


def test_what_a_process_has_made_is_removed_in_its_own_folder_alone(tmp_path):
    precious, own = filled(tmp_path / "precious", "a"), tmp_path / "own"
    filled(own / "made", "b")
    (own / "link").symlink_to(precious)
    for name in ("made", "link", "gone"):
        discard(own / name, own)
    assert list(own.iterdir()) == []
    for path in (precious, own / "..", own):
        with pytest.raises(ValueError, match="expected something inside"):
            discard(path, own)
    assert list(tree(precious)) == ["a"]


def test_no_other_code_removes_a_folder(root):
    found = {
        str(path.relative_to(root))
        for path in (root / "src").rglob("*.py")
        if "rmtree" in path.read_text() or "removedirs" in path.read_text()
    }
    assert found == {"src/howdeep/files/folders.py"}


@pytest.mark.parametrize("name", ["..", ".", "../outside"])
def test_nothing_outside_of_its_home_is_removed(tmp_path, name):
    filled(tmp_path / "outside", "record.json")
    home = filled(tmp_path / "runs", "record.json")
    before = tree(tmp_path)
    with pytest.raises(UserError, match=r"expected a (folder inside|run in)"):
        remove(home / name, RUN, home)
    assert tree(tmp_path) == before


def test_a_failure_leaves_the_old_folder_and_nothing_aside(tmp_path):
    folder = filled(tmp_path / "run", "record.json")
    with suppress(ZeroDivisionError), written_aside(folder, RUN) as aside:
        (aside / "record.json").write_text("half")
        raise ZeroDivisionError
    assert tree(tmp_path) == {"run/record.json": b"precious"}


def test_a_new_folder_takes_the_place_of_the_old_one_whole(tmp_path):
    folder = filled(tmp_path / "run", "record.json", "weights.safetensors")
    with written_aside(folder, RUN) as aside:
        (aside / "record.json").write_text("new")
    assert tree(tmp_path) == {"run/record.json": b"new"}


def test_what_a_killed_process_left_aside_is_cleared_and_what_a_living_one_writes_is_not(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f".run.{gone.pid}.tmp", f".run.{gone.pid}.old"):
        filled(tmp_path / name, "record.json")
    (tmp_path / f".x.ckpt.{gone.pid}.tmp").touch()
    kept = filled(tmp_path / f".run.{os.getppid()}.tmp", "record.json"), filled(tmp_path / ".git", "HEAD")
    clear_asides(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(kept)
