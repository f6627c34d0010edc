"""Many files as one: a ZIP archive whose bytes are a function of the names and contents alone."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from howdeep.errors import UserError

FIRST = (1980, 1, 1, 0, 0, 0)  # the earliest time that ZIP knows


def pack(files: Iterable[tuple[str, Path]], archive: Path) -> None:
    """Writes files into an archive, in the order given, as they are: images are compressed already.

    Args:
        files: the name of each in the archive, and where it is.
    """
    with zipfile.ZipFile(archive, "w") as target:
        for name, path in files:
            member = zipfile.ZipInfo(name, FIRST)
            member.create_system, member.external_attr = 3, 0o644 << 16  # as on Unix, wherever it is written
            target.writestr(member, path.read_bytes())


def member(path: str) -> str:
    """The name in the archive of an image that a table lists: tables from Windows have \\ between folders."""
    return path.replace("\\", "/")


def names(archive: zipfile.ZipFile) -> list[str]:
    """The files of an archive, sorted."""
    return sorted(member.filename for member in archive.infolist() if not member.is_dir())


def opened(path: Path) -> zipfile.ZipFile:
    """Raises `UserError` where the file is no archive."""
    try:
        return zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise UserError(f"expected a ZIP archive at {path}, got another file ({error})") from None
