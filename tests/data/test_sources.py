"""Fetching against a real server on this machine, and folders that play the mirror."""

import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sklearn

from howdeep.data import sources
from howdeep.errors import UserError

CONTENT = b"the official file\n" * 200_000  # 3.6 MB: several chunks


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """/right and /mirror/... give the file, /wrong another, /truncated a part of it, anything else 404."""

    def do_GET(self) -> None:
        if self.path in ("/endless", "/endless/toy/toy.bin", "/guarded/toy/toy.bin", "/nonsense"):
            return self.odd()
        known = self.path in ("/right", "/wrong", "/truncated", "/mirror/toy/toy.bin")
        if not known:
            self.send_error(404)
            return
        body = {"/wrong": b"another file", "/truncated": CONTENT[:5000]}.get(self.path, CONTENT)
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT if self.path == "/truncated" else body)))
        self.end_headers()
        with suppress(ConnectionError):  # whoever asked has gone
            self.wfile.write(body)

    def odd(self) -> None:
        """A body without an end, one behind a password, and a length that is none."""
        if self.path.startswith("/guarded") and self.headers["Authorization"] != "Basic bWU6cC93QA==":
            self.send_error(401)
            return
        self.send_response(200)
        if self.path == "/nonsense":
            self.send_header("Content-Length", "many")
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(CONTENT)
            while self.path.startswith("/endless"):
                self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the tests' output clean."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def toy(url: str, **checksum: str) -> list[dict[str, str]]:
    return [{"file": "toy.bin", "url": url, **(checksum or {"sha256": sha256(CONTENT)})}]


def failure(url: str, folder: Path, mirror: str | None = None) -> str:
    """The message of a pull that must fail and leave nothing behind."""
    with pytest.raises(UserError) as caught:
        sources.pull("toy", toy(url), folder, mirror)
    assert list(folder.iterdir()) == []
    assert "\n" not in str(caught.value)
    return str(caught.value)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize(
    "checksum", [{"sha256": sha256(CONTENT)}, {"md5": md5(CONTENT)}], ids=["sha256", "md5"]
)
def test_a_right_download_has_the_final_name_and_nothing_else_is_left(server, tmp_path, checksum):
    sources.pull("toy", toy(f"{server}/right", **checksum), tmp_path / "toy", None)
    assert [path.name for path in (tmp_path / "toy").iterdir()] == ["toy.bin"]
    assert (tmp_path / "toy" / "toy.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_names_address_expectation_and_what_came(server, tmp_path):
    message = failure(f"{server}/wrong", tmp_path / "toy")
    for part in (f"{server}/wrong", sha256(CONTENT), sha256(b"another file"), "data.mirror"):
        assert part in message


def test_a_truncated_transfer_is_told_from_a_wrong_file(server, tmp_path):
    message = failure(f"{server}/truncated", tmp_path / "toy")
    assert f"{server}/truncated" in message
    assert "5000" in message
    assert "data.mirror" in message


def test_a_missing_page_gives_its_status(server, tmp_path):
    message = failure(f"{server}/absent", tmp_path / "toy")
    assert f"{server}/absent, got 404 Not Found" in message
    assert "data.mirror" in message


def test_an_unreachable_address_gives_the_reason_and_names_the_mirror(tmp_path):
    address = f"http://127.0.0.1:{closed_port()}/toy.bin"
    message = failure(address, tmp_path / "toy")
    assert address in message
    assert "refused" in message
    assert "data.mirror" in message


def test_a_wrong_file_is_not_taken_for_the_right_one_that_cannot_be_had(server, tmp_path):
    (tmp_path / "toy.bin").write_bytes(b"damaged")
    for wanted in (toy(f"{server}/absent"), toy(f"{server}/wrong")):
        with pytest.raises(UserError):
            sources.pull("toy", wanted, tmp_path, None)
        with pytest.raises(UserError, match="found sha256"):
            sources.check("toy", wanted, tmp_path)
        assert (tmp_path / "toy.bin").read_bytes() == b"damaged"  # somebody may want it


def test_a_file_that_went_bad_is_fetched_again(server, tmp_path):
    (tmp_path / "toy.bin").write_bytes(b"damaged")
    sources.pull("toy", toy(f"{server}/right"), tmp_path, None)
    assert (tmp_path / "toy.bin").read_bytes() == CONTENT


def test_a_verified_file_is_kept_without_asking_the_network(tmp_path):
    (tmp_path / "toy.bin").write_bytes(CONTENT)
    before = (tmp_path / "toy.bin").stat().st_mtime_ns
    sources.pull("toy", toy(f"http://127.0.0.1:{closed_port()}/toy.bin"), tmp_path, None)
    assert (tmp_path / "toy.bin").stat().st_mtime_ns == before


def test_files_that_no_source_names_are_left_alone_and_named(server, tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / ".toy.bin.99999999.tmp").touch()  # of a pull that was killed
    sources.pull("toy", toy(f"{server}/right"), tmp_path, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "toy.bin"]
    assert "holds notes.txt too, which is left alone" in capsys.readouterr().err


def test_a_mirror_folder_stands_in_for_every_url(tmp_path):
    (tmp_path / "mirror" / "toy").mkdir(parents=True)
    (tmp_path / "mirror" / "toy" / "toy.bin").write_bytes(CONTENT)
    sources.pull("toy", toy("http://unreachable.invalid/toy.bin"), tmp_path / "toy", str(tmp_path / "mirror"))
    assert (tmp_path / "toy" / "toy.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_mirror_may_be_a_url_prefix(server, tmp_path, slash):
    mirror = f"{server}/mirror{slash}"
    sources.pull("toy", toy("http://unreachable.invalid/toy.bin"), tmp_path, mirror)
    assert (tmp_path / "toy.bin").read_bytes() == CONTENT


def test_a_mirror_without_the_file_is_named_with_the_place_that_was_tried(tmp_path):
    message = failure("http://unreachable.invalid/toy.bin", tmp_path / "toy", mirror=str(tmp_path / "mirror"))
    assert str(tmp_path / "mirror" / "toy" / "toy.bin") in message


def test_a_mirror_with_a_wrong_file_is_refused_too(tmp_path):
    (tmp_path / "mirror" / "toy").mkdir(parents=True)
    (tmp_path / "mirror" / "toy" / "toy.bin").write_bytes(b"another file")
    message = failure("http://unreachable.invalid/toy.bin", tmp_path / "toy", mirror=str(tmp_path / "mirror"))
    assert sha256(b"another file") in message


def test_package_files_need_neither_network_nor_mirror(monkeypatch, tmp_path, composed):
    def no_network(*args: object, **kwargs: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(sources, "urlopen", no_network)
    sources.pull("digits", composed("data=digits").data.sources, tmp_path, "http://unreachable.invalid")
    original = Path(sklearn.__file__).parent / "datasets" / "data" / "digits.csv.gz"
    assert (tmp_path / "digits.csv.gz").read_bytes() == original.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"package": "no_such_package"}, "'no_such_package', found none"),
        ({"path": "datasets/data/absent.csv"}, "absent.csv, found none: install the pinned version"),
        ({"sha256": "0" * 64}, "install the pinned version of the package that provides 'sklearn'"),
    ],
    ids=["no package", "no file", "another version"],
)
def test_a_package_that_lacks_the_file_gives_one_line(tmp_path, composed, change, message):
    source = {**composed("data=digits").data.sources[0], **change}
    with pytest.raises(UserError, match=message):
        sources.pull("digits", [source], tmp_path, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"file": "a", "url": "http://x/a"}, "either a sha256 or an md5"),
        ({"file": "a", "url": "http://x/a", "sha256": "0", "md5": "0"}, "either a sha256 or an md5"),
        ({"file": "a", "package": "sklearn", "sha256": "0"}, "either a url, or a package and a path"),
        ({"file": "../a", "url": "http://x/a", "md5": "0"}, "a source's file must be a name"),
        ({"file": "-a", "url": "http://x/a", "md5": "0"}, "a source's file must be a name"),
        ({"file": 5, "url": "http://x/a", "md5": "0"}, "a source's file must be a name"),
        ({"file": "a", "url": "http://x/a", "md5": 5}, "md5 of the source of a must be text, got 5"),
        ({"file": "a", "url": "file:///etc/passwd", "md5": "0"}, "url .* such as https://host/folder"),
        ({"file": "a", "url": "http://[::1", "md5": "0"}, "url .* such as https://host/folder"),
        (
            {"file": "a", "package": "sklearn.nope.x", "path": "a", "md5": "0"},
            "without dots, .* 'sklearn.nope.x'",
        ),
        ({"file": "a", "package": "../etc", "path": "a", "md5": "0"}, "without dots"),
        (
            {"file": "a", "package": "sklearn", "path": "../a", "md5": "0"},
            "inside of the package, got '../a'",
        ),
        ({"file": "a", "package": "sklearn", "path": "/etc/passwd", "md5": "0"}, "inside of the package"),
        (
            {"file": "a", "package": "__main__", "path": "a", "md5": "0"},
            "the Python package '__main__', found none",
        ),
        ({"file": "a", "ulr": "http://x/a", "md5": "0"}, "unknown key 'ulr', did you mean 'url'?"),
        ("http://x/a", "must be a map with file, .*, got 'http://x/a'"),
        ({"file": "a", "url": "http://x/a", "sha1": "0"}, "conf/data/toy.yaml has wrong keys.*sha1"),
        ({"url": "http://x/a", "md5": "0"}, "conf/data/toy.yaml has wrong keys.*file"),
    ],
)
def test_a_source_that_says_too_little_or_too_much_is_refused(tmp_path, source, message):
    with pytest.raises(UserError, match=message):
        sources.pull("toy", [source], tmp_path, None)


def test_a_dotted_package_is_refused_without_an_import(tmp_path, monkeypatch):
    (tmp_path / "watched").mkdir()
    (tmp_path / "watched" / "__init__.py").write_text("raise SystemExit('it was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for package in ("watched.inside", "watched"):
        source = {"file": "a", "package": package, "path": "a", "md5": "0"}
        with pytest.raises(UserError):
            sources.pull("toy", [source], tmp_path / "raw", None)


def test_a_body_without_an_end_is_left_at_the_size_of_the_file(server, tmp_path, monkeypatch):
    source = [{**toy(f"{server}/endless")[0], "bytes": len(CONTENT)}]
    with pytest.raises(
        UserError, match=rf"at most {len(CONTENT)} bytes of .*/endless \(its size\), got more"
    ):
        sources.pull("toy", source, tmp_path, None)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sources, "MOST", 10_000_000)
    said = failure(f"{server}/endless", tmp_path / "toy")
    assert "at most 10000000 bytes" in said
    assert "set bytes of toy.bin in the data set's YAML" in said
    assert "at most 10000000 bytes" in failure("http://x/a", tmp_path / "toy", f"{server}/endless")


def test_a_file_of_the_project_may_be_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST", 3)  # of what a server sends
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "toy.bin").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    source = {"file": "toy.bin", "local": "source/toy.bin", "sha256": digest}
    sources.pull("toy", [source], tmp_path / "raw", None, tmp_path)
    assert (tmp_path / "raw" / "toy.bin").read_bytes() == CONTENT


def test_a_length_that_is_more_than_the_file_has_is_refused_before_anything_is_read(server, tmp_path):
    with pytest.raises(UserError, match=r"at most 5 bytes of .*/right \(its size\), got more"):
        sources.pull("toy", [{**toy(f"{server}/right")[0], "bytes": 5}], tmp_path, None)


def test_a_length_that_is_none_is_left_out_of_account(server, tmp_path):
    sources.pull("toy", toy(f"{server}/nonsense"), tmp_path, None)
    assert (tmp_path / "toy.bin").read_bytes() == CONTENT


def test_a_mirror_may_ask_for_a_password_and_no_message_holds_it(server, tmp_path):
    host = server.removeprefix("http://")
    sources.pull("toy", toy("http://x/a"), tmp_path / "a", f"http://me:p%2Fw%40@{host}/guarded")
    assert (tmp_path / "a" / "toy.bin").read_bytes() == CONTENT
    for place in (f"{host}/guarded", f"{host}/absent", f"127.0.0.1:{closed_port()}"):
        assert "secret" not in failure("http://x/a", tmp_path / "b", f"http://me:secret@{place}")


@pytest.mark.parametrize(
    "mirror",
    [
        *(
            "://",
            "http://",
            "http://[::1",
            "http://[::1/x",
            "http://a..b",
            "http://host:port",
            "http://host:0",
        ),
        *(
            "http:///x",
            "file:///etc",
            "ftp://host",
            "s3://bucket",
            "x://",
            "http://a b",
            "http://a\n",
            "a\0b",
        ),
        f"http://{'a' * 70}.b",
    ],
)
def test_a_mirror_that_is_no_address_is_one_line(tmp_path, mirror):
    assert "data.mirror" in failure("http://x/a", tmp_path / "toy", mirror)


@pytest.mark.parametrize("what", ["pipe", "device", "folder", "socket", "loop"])
def test_what_is_no_file_in_a_mirror_is_refused_at_once(tmp_path, monkeypatch, what):
    place = tmp_path / "mirror" / "toy" / "toy.bin"
    place.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        if what == "pipe":
            os.mkfifo(place)
        elif what == "device":
            place.symlink_to("/dev/zero")
        elif what == "folder":
            place.mkdir()
        elif what == "socket":
            monkeypatch.chdir(place.parent)  # an address has 100 letters at most
            listener.bind(place.name)
        else:
            place.symlink_to(place)
        said = failure("http://x/a", tmp_path / "toy", str(tmp_path / "mirror"))
    assert str(place) in said


def test_a_folder_in_the_place_of_a_file_is_not_removed(server, tmp_path):
    (tmp_path / "toy.bin" / "mine").mkdir(parents=True)
    with pytest.raises(UserError, match=r"found a folder: move it elsewhere"):
        sources.pull("toy", toy(f"{server}/right"), tmp_path, None)
    assert (tmp_path / "toy.bin" / "mine").exists()


def test_check_tells_an_absent_and_a_changed_file_from_the_right_one(tmp_path):
    source = toy("http://unreachable.invalid/toy.bin")
    with pytest.raises(UserError, match=r"found no file: run `howdeep pull data=toy`"):
        sources.check("toy", source, tmp_path)
    (tmp_path / "toy.bin").write_bytes(b"another file")
    with pytest.raises(
        UserError, match=f"found sha256 {sha256(b'another file')}: run `howdeep pull data=toy`"
    ):
        sources.check("toy", source, tmp_path)
    (tmp_path / "toy.bin").write_bytes(CONTENT)
    sources.check("toy", source, tmp_path)


def test_a_data_set_without_files_has_a_folder_that_says_so(tmp_path, capsys):
    for _ in range(2):
        sources.pull("toy", [], tmp_path / "toy", None)
        assert [path.read_text() for path in (tmp_path / "toy").iterdir()] == [
            "There is nothing to fetch: `howdeep prepare data=toy` draws it.\n"
        ]
    sources.check("toy", [], tmp_path / "toy")
    assert capsys.readouterr().err == ""
