"""A study that `dvc repro` has run, and copies of it."""

import pytest

from tests.clones import Clone, copy_of


@pytest.fixture(scope="session")
def reproduced(root, tmp_path_factory) -> Clone:
    """A clone in which `dvc repro` has run; tests that change it take a copy."""
    clone = Clone(root, tmp_path_factory.mktemp("pipeline") / "clone")
    clone.repro()
    clone.commit()
    return clone


@pytest.fixture
def clone(reproduced, tmp_path) -> Clone:
    return copy_of(reproduced, tmp_path / "clone")
