"""A study that `dvc repro` has run, and copies of it."""

from pathlib import Path

import pytest

from tests.clones import Clone, at, copy_of, made_once


@pytest.fixture(scope="session")
def reproduced(root, tmp_path_factory) -> Clone:
    """A clone in which `dvc repro` has run; tests that change it take a copy."""

    def make(folder: Path) -> None:
        clone = Clone(root, folder)
        clone.repro()
        clone.commit()

    return at(made_once("reproduced", make, tmp_path_factory))


@pytest.fixture
def clone(reproduced, tmp_path) -> Clone:
    return copy_of(reproduced, tmp_path / "clone")
