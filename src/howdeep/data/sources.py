"""Fetching the official files of a data set from a package, their address or a mirror, and verifying them."""

import hashlib
import os
import re
import stat
import sys
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from howdeep.errors import UserError, masked, near
from howdeep.files.folders import clear_asides
from howdeep.names import check_name

DRAWN = "drawn.txt"  # in the folder of a data set that has no files
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 20  # bytes
MOST = 2 << 30  # bytes of a file that does not say how many it has
PACKAGE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # without dots: to find what is inside of one would import it
ADVICE = "try again, or name a folder or URL that holds <name>/<file> with data.mirror or HOWDEEP_MIRROR"


@dataclass(frozen=True)
class Source:
    """One file: its name, where it comes from (`package` and `path`, `url`, or `local`, a path below the project's own
    folder), and its checksum.

    With `bytes`, its size, a server that sends more is left at once.
    """

    file: str
    package: str | None = None
    path: str | None = None
    url: str | None = None
    local: str | None = None
    sha256: str | None = None
    md5: str | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        check_name(self.file, "a source's file")
        of = f"the source of {self.file}"
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "bytes":
                if value is not None and (type(value) is not int or value < 1):
                    raise UserError(f"bytes of {of} must be a whole number of at least 1, got {value!r}")
                continue
            if value is not None and not isinstance(value, str):
                raise UserError(f"{field.name} of {of} must be text, got {value!r}: put it into quotes")
        if sum(map(bool, (self.url, self.package and self.path, self.local))) != 1:
            raise UserError(f"{of} must be either a url, or a package and a path in it, or a local path")
        if self.local and not _stays_inside(self.local):
            raise UserError(f"local of {of} must lead to a file inside of the project, got {self.local!r}")
        if bool(self.sha256) == bool(self.md5):
            raise UserError(f"{of} must have either a sha256 or an md5")
        if self.url:
            _check_url(self.url, f"url of {of}")
        if self.package and not PACKAGE.fullmatch(self.package):
            raise UserError(
                f"package of {of} must be the name of a package without dots, such as sklearn, got {self.package!r}: "
                "what is inside of it stands in path"
            )
        if self.path and not _stays_inside(self.path):
            raise UserError(f"path of {of} must lead to a file inside of the package, got {self.path!r}")

    @property
    def checksum(self) -> tuple[str, str]:
        """The kind of checksum and its hexadecimal digits."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", str(self.md5))


def _stays_inside(path: str) -> bool:
    parts = path.split("/")
    return not any(part in ("", ".", "..") or "\\" in part or not part.isprintable() for part in parts)


def _check_url(url: str, what: str) -> None:
    """Refuses what urllib would stumble over, or read from this machine's own files."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("idna")
        good = parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number, a host with two dots
        good = False
    if not good or not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
        raise UserError(f"{what} must be an address such as https://host/folder, got {masked(url)!r}")


def pull(name: str, sources: Sequence[object], folder: Path, mirror: str | None, root: Path = Path()) -> None:
    """Brings `folder` to hold the files of a data set, verified.

    A file goes aside, is verified and then renamed; files that are there and right are kept. Whoever reads one verifies
    it again (`check`), so that a wrong one may stay where the right one cannot be had; what else lies there may be
    somebody's own and is left alone. Files of installed packages need no network, and no mirror.

    Args:
        name: the data set; its folder in the mirror.
        sources: the keys of a `Source` for each file.
        folder: where the files go.
        mirror: a folder or URL prefix that holds `<name>/<file>`, used instead of each `url`.
        root: the folder of the project, in which `local` files lie.

    Raises:
        UserError: a file that cannot be had or is not the expected one; which, and what to do.
    """
    wanted = [_source(name, node) for node in sources]
    folder.mkdir(parents=True, exist_ok=True)
    clear_asides(folder)
    if not wanted:  # of an empty folder DVC warns at every stage
        (folder / DRAWN).write_text(f"There is nothing to fetch: `howdeep prepare data={name}` draws it.\n")
    for source in wanted:
        if not _is_right(folder / source.file, source):
            address = root / source.local if source.local else _address(name, source, mirror)
            _fetch(address, folder / source.file, source)
    if others := {path.name for path in folder.iterdir()} - {source.file for source in wanted} - {DRAWN}:
        print(f"{folder} holds {', '.join(sorted(others))} too, which is left alone", file=sys.stderr)


def check(name: str, sources: Sequence[object], folder: Path) -> None:
    """Raises `UserError` unless `folder` holds every file of the data set with its checksum."""
    for source in (_source(name, node) for node in sources):
        path = folder / source.file
        if not _is_right(path, source):
            kind, digits = source.checksum
            came = f"{kind} {_digest(path, kind)}" if path.is_file() else "no file"
            advice = f"run `howdeep pull data={name}`"
            raise UserError(f"expected {path} with {kind} {digits}, found {came}: {advice}")


def _source(name: str, node: object) -> Source:
    where, known = f"a source in conf/data/{name}.yaml", [field.name for field in fields(Source)]
    if not isinstance(node, Mapping):
        raise UserError(f"{where} must be a map with {', '.join(known)}, got {node!r}")
    for key in node:
        if key not in known:
            raise UserError(f"{where} has wrong keys: it has the unknown key {key!r}{near(key, known)}")
    if "file" not in node:
        raise UserError(f"{where} has wrong keys: it lacks the key 'file'")
    return Source(**{str(key): value for key, value in node.items()})


def _is_right(path: Path, source: Source) -> bool:
    kind, digits = source.checksum
    return path.is_file() and _digest(path, kind) == digits


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        # Not for security: MD5 is what some official pages publish, and strict systems refuse it otherwise.
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def _shown(address: str | Path) -> str:
    return masked(str(address))


def _address(name: str, source: Source, mirror: str | None) -> str | Path:
    """A path, or a URL as a string."""
    if source.package:
        return _package_folder(source.package) / str(source.path)
    if not mirror:
        return str(source.url)
    if "://" in mirror:
        _check_url(mirror, "data.mirror")
        return f"{mirror.rstrip('/')}/{name}/{source.file}"
    try:
        folder = Path(mirror).expanduser()
    except RuntimeError:  # ~nobody
        folder = Path(mirror)
    if "\0" in mirror:
        raise UserError(f"data.mirror must be a folder or an address, got {mirror!r}")
    return folder / name / source.file


def _package_folder(package: str) -> Path:
    try:
        spec = find_spec(package)  # does not import it
    except ValueError:  # __main__
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise UserError(f"expected the Python package '{package}', found none: reinstall what howdeep needs")
    return Path(spec.submodule_search_locations[0])


def _fetch(address: str | Path, target: Path, source: Source) -> None:
    """Brings one file under its final name, or nothing."""
    if target.is_dir():
        raise UserError(f"expected a file, or nothing, at {target}, found a folder: move it elsewhere")
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            file.writelines(_chunks(address, source))
        kind, expected = source.checksum
        if (came := _digest(aside, kind)) != expected:
            advice = _advice(source)
            raise UserError(f"expected {kind} {expected} of {_shown(address)}, got {came}: {advice}")
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _chunks(address: str | Path, source: Source) -> Iterator[bytes]:
    """The content of a file or URL. Only errors of reading are told here: a full disk is another matter."""
    try:
        with _open(address) as stream:
            yield from _all_of(stream, address, source)
    except HTTPError as error:
        error.close()
        status = f"{error.code} {error.reason}"
        raise UserError(f"expected a file at {_shown(address)}, got {status}: {ADVICE}") from None
    except FileNotFoundError:
        advice = _advice(source, "data.mirror must hold <name>/<file>")
        raise UserError(f"expected a file at {_shown(address)}, found none: {advice}") from None
    except (OSError, HTTPException) as error:
        if isinstance(error, IsADirectoryError):
            raise UserError(f"expected a file at {_shown(address)}, got a folder: {ADVICE}") from None
        reason = getattr(error, "reason", None) or str(error) or type(error).__name__
        raise UserError(f"cannot read {_shown(address)} ({masked(str(reason))}): {ADVICE}") from None


def _open(address: str | Path) -> IO[bytes]:
    if isinstance(address, Path):
        return open(address, "rb", opener=_regular)
    parts = urlsplit(address)
    user, _, host = parts.netloc.rpartition("@")
    request = Request(urlunsplit(parts._replace(netloc=host)))
    if user:  # urllib would take it for a part of the host
        request.add_unredirected_header(
            "Authorization", f"Basic {b64encode(unquote(user).encode()).decode()}"
        )
    return urlopen(request, timeout=TIMEOUT)


def _regular(path: str, flags: int) -> int:
    """Opens a file; a pipe or a device, which may never end, is refused and waits for nobody."""
    descriptor = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UserError(f"expected a file at {path}, got a folder, a pipe or a device: {ADVICE}")
    return descriptor


def _all_of(stream: IO[bytes], address: str | Path, source: Source) -> Iterator[bytes]:
    """Read in chunks, http.client ends a broken transfer like a whole one: the length tells them apart."""
    said = str(getattr(stream, "headers", {}).get("Content-Length") or "")
    endless = MOST if isinstance(address, str) else sys.maxsize  # a file has an end
    expected, came, most = int(said) if said.isascii() and said.isdigit() else 0, 0, source.bytes or endless
    if expected <= most:
        while came <= most and (chunk := stream.read(min(CHUNK, most + 1 - came))):
            came += len(chunk)
            yield chunk
    if max(came, expected) > most:
        limit = (
            "its size"
            if source.bytes
            else f"set bytes of {source.file} in the data set's YAML if it has more"
        )
        raise UserError(f"expected at most {most} bytes of {_shown(address)} ({limit}), got more: {ADVICE}")
    if came < expected:
        raise UserError(f"expected {expected} bytes of {_shown(address)}, got only {came}: {ADVICE}")


def _advice(source: Source, of_mirror: str = ADVICE) -> str:
    if source.local:
        return "if it was changed on purpose, write its new checksum into the data set's YAML and look at its columns"
    if source.package:
        return f"install the pinned version of the package that provides '{source.package}'"
    return of_mirror
