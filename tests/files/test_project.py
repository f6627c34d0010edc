"""What a project is, and how it is found."""

import shutil
import subprocess

import pytest

from howdeep.errors import UserError
from howdeep.files.project import find


@pytest.fixture
def here(tmp_path):
    """A project of one's own: no train.yaml, no source."""
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "params.yaml").touch()
    (tmp_path / "claims/degradation").mkdir(parents=True)
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


def test_a_folder_with_params_and_conf_is_a_project_for_all_below_it(here):
    for name in (".", "conf/data", "claims"):
        assert find(here / name).root == here


def test_the_folders_of_claims_are_no_projects(here):
    """They have a params.yaml, and that of all claims a dvc.yaml too."""
    for name in ("claims/params.yaml", "claims/dvc.yaml", "claims/degradation/params.yaml"):
        (here / name).touch()
    for name in ("claims", "claims/degradation"):
        assert find(here / name).root == here


def test_a_clone_is_one(root):
    assert find(root / "claims").root == root
    assert find(root / "src/howdeep").root == root


def test_a_copy_that_has_lost_its_empty_conf_is_refused_rather_than_the_project_around_it_taken(here):
    """`dvc exp run --temp` runs in such a copy, below the project: git keeps no empty folder."""
    shutil.rmtree(here / "conf/data")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-C", str(here)]
    copy = here / "tmp/copy"
    for words in (["init", "-q"], ["add", "params.yaml", "dvc.yaml"], ["commit", "-qm", "project"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run(["git", "clone", "-q", str(here), str(copy)], check=True)
    with pytest.raises(UserError, match=rf"expected a folder conf/ beside .* in {copy}, .* \.gitkeep"):
        find(copy)
    (here / "conf/.gitkeep").touch()
    for words in (["add", "conf"], ["commit", "-qm", "kept"]):
        subprocess.run([*git, *words], check=True)
    subprocess.run(["git", "-C", str(copy), "pull", "-q"], check=True)
    assert find(copy).root == copy
