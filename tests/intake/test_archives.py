"""One archive of many files: its bytes are a function of names and contents."""

import os
import zipfile

import pytest

from howdeep.errors import UserError
from howdeep.intake import archives


def test_the_same_files_give_the_same_bytes_whatever_their_time(tmp_path):
    packed = []
    for place, time in (("first", 1), ("second", 2_000_000_000)):
        path = tmp_path / f"{place}.png"
        path.write_bytes(b"content")
        path.chmod(0o600 if time == 1 else 0o644)
        os.utime(path, (time, time))
        archives.pack([("Köln/1.png", path), ("b/2.png", path)], tmp_path / f"{place}.zip")
        packed.append((tmp_path / f"{place}.zip").read_bytes())
    assert packed[0] == packed[1]
    with archives.opened(tmp_path / "first.zip") as archive:
        assert archives.names(archive) == ["Köln/1.png", "b/2.png"]
        assert archive.read("Köln/1.png") == b"content"
    assert zipfile.ZipFile(tmp_path / "first.zip").testzip() is None


def test_another_file_is_no_archive(tmp_path):
    (tmp_path / "a.zip").write_text("text")
    with pytest.raises(UserError, match="expected a ZIP archive"):
        archives.opened(tmp_path / "a.zip")
