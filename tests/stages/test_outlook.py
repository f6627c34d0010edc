"""What a `dvc repro` says of the time that is left: which stages are, and how long they take."""

import hashlib
import re
import shutil

import pytest
import yaml

from howdeep.files.project import Project
from howdeep.stages.outlook import changed, duration, left
from howdeep.study import params
from tests.clones import STUDY


@pytest.fixture
def project(root, tmp_path) -> Project:
    """Plans and tunings of a study, and the lock file that DVC writes when all of it is done."""
    shutil.copytree(root / "conf", tmp_path / "conf")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(STUDY))
    stages = {}
    for name in STUDY["entries"]:
        for stage, path in (("tune", f"plans/{name}.json"), ("train", f"tuned/{name}/settings.json")):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(name)
            dep = {"path": path, "md5": hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()}
            stages[f"{stage}@{name}"] = {"cmd": "howdeep", "deps": [dep, {"path": "data", "md5": "0"}]}
    (tmp_path / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}))
    return Project(tmp_path)


def test_what_is_done_as_it_is_planned_is_not_left(project):
    plan = params.read(project.params)
    assert left(plan, project) == []
    assert changed(plan, project) == "; none of the entries are new or changed"
    assert len(left(plan, project, forced=True)) == 4


def test_a_new_plan_is_left_to_tune_and_train_and_new_settings_to_train(project):
    plan = params.read(project.params)
    (project.tuned / "sunspots-lstm/settings.json").write_text("others")
    assert left(plan, project) == ["train@sunspots-lstm"]
    (project.plans / "digits-mlp.json").unlink()
    assert left(plan, project) == ["tune@digits-mlp", "train@digits-mlp", "train@sunspots-lstm"]
    assert changed(plan, project) == ""  # all of them


@pytest.mark.parametrize("text", ["", "stages: [", "stages: [1]", "stages: {tune@digits-mlp: 1}", "\x00"])
def test_without_a_lock_file_that_can_be_read_all_is_left(project, text):
    (project.root / "dvc.lock").write_text(text)
    assert len(left(params.read(project.params), project)) == 4


def test_times_are_told_as_people_tell_them():
    assert [duration(of) for of in (0.4, 89, 90, 3000, 5400, 9000)] == [
        "1 s", "89 s", "2 min", "50 min", "1.5 h", "2.5 h",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_repro_says_what_changed_what_is_left_and_how_long_it_took(clone):
    (clone.folder / "scratch/paces.json").write_text("[broken")
    clone.write_params({**STUDY, "seeds": [0, 1, 2]})
    done = clone.run("dvc", "repro")
    said = done.stdout + done.stderr
    assert "plan: 2 entries, 4 cells, 12 runs\n" in said
    assert re.search(r"digits-mlp: 2 runs in .* s; about \d+ s of training left\n", said)
    assert re.search(r"sunspots-lstm: 2 runs in .* s\n", said)
    assert re.search(r"tables: results/tables, after \d+ s\n", said)
    changed = {**STUDY["entries"]["digits-mlp"], "overrides": {"trainer": {"max_epochs": 2}}}
    clone.write_params({**STUDY, "entries": {**STUDY["entries"], "digits-mlp": changed}, "seeds": [0, 1, 2]})
    done = clone.run("dvc", "repro", "train@digits-mlp")
    said = done.stdout + done.stderr
    assert "plan: 2 entries, 4 cells, 12 runs; 1 of the entries is new or changed\n" in said
    assert "left" not in said  # of a target nobody knows


@pytest.mark.slow
def test_make_repro_says_in_one_line_that_nothing_changed_and_hides_no_error_of_dvc(clone):
    make = ("make", "--old-file=install", "repro")  # with the packages that are there
    nothing, places = clone.run(*make).stdout.splitlines()
    assert nothing == "nothing has changed since the last time"
    assert places == f"report: {clone.folder}/reports/index.html; runs: make ui"
    clone.write_params({**STUDY, "seeds": [0]})
    assert "nothing" not in clone.run(*make).stdout
    (clone.folder / "dvc.yaml").write_text("stages: [")
    failed = clone.run(*make, check=False)
    assert failed.returncode != 0
    assert "dvc.yaml" in failed.stderr
