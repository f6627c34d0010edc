"""Real stores, and a real disk that is soon full."""

import subprocess

import pytest

from howdeep.tracking.store import Store


@pytest.fixture
def store(made, tmp_path) -> Store:
    (tmp_path / "mlflow.db").write_bytes(made)
    return Store(f"sqlite:///{tmp_path}/mlflow.db", "study", tmp_path)


@pytest.fixture
def disk(tmp_path):
    """A real file system of 1.5 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", place], capture_output=True
    ).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", place], check=True)
