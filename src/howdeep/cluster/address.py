"""Where a scheduler is, and the file with which its nodes and coordinators know each other."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from howdeep.errors import UserError
from howdeep.files import reading

ADDRESS, SECURITY = "HOWDEEP_SCHEDULER", "HOWDEEP_SECURITY"
SECONDS = 15.0  # to reach a scheduler
LOCAL = ("127.0.0.1", "localhost", "::1")
NONE = "none"  # said on purpose


class Unreachable(UserError):
    """A scheduler that does not answer, or not any more: what was to be done is as it was."""


@dataclass(frozen=True)
class Address:
    """A scheduler.

    Args:
        url: such as tcp://127.0.0.1:8786, or tls:// with a security file.
        security: see `cluster.security`; None: none.
    """

    url: str
    security: Path | None = None

    def __str__(self) -> str:
        return self.url

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of Dask.

        Raises:
            Unreachable: there is no scheduler, or it wants another security file.
            UserError: Dask is not installed, or there is no security file.
        """
        try:
            from distributed import Client
        except ModuleNotFoundError:
            raise UserError(
                f"expected Dask for the scheduler at {self}, found none: pip install 'howdeep[cluster]'"
            ) from None
        from howdeep.cluster import security

        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what is wrong is told in one line
        options = {"security": security.read(self.security), "timeout": SECONDS, "set_as_default": False}
        try:
            client = _in_time(lambda: Client(self.url, name="howdeep", **options))
        except (OSError, TimeoutError, ValueError) as error:
            told = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise Unreachable(
                f"expected a scheduler at {self}, got none ({told}): `howdeep cluster up --local 2` starts one, "
                f"`cluster: null` in params.yaml uses this machine"
            ) from None
        try:
            yield client
        finally:
            client.close(timeout=SECONDS)


def _in_time(make: Callable[[], Any]) -> Any:
    """What `make` gives, which may wait for ever: Dask does, for a server that is none of its own.

    Raises:
        TimeoutError: it has given nothing.
        Exception: what it raised.
    """
    given: Future[Any] = Future()

    def give() -> None:
        try:
            given.set_result(make())
        except BaseException as error:
            given.set_exception(error)

    threading.Thread(target=give, daemon=True).start()
    try:
        return given.result(SECONDS + 1)
    except TimeoutError:
        raise TimeoutError("it does not answer as one") from None


def parsed(url: Any, security: Any, where: str) -> Address:
    """
    Args:
        where: it was written, for messages.

    Raises:
        UserError: it is none, or encryption is missing.
    """
    parts = urlsplit(url) if isinstance(url, str) else None
    try:
        right = parts is not None and parts.scheme in ("tcp", "tls") and parts.hostname and parts.port
    except ValueError:  # a port that is none
        right = False
    if parts is None or not right:
        raise UserError(
            f"{where} must be the address of a scheduler, such as tcp://127.0.0.1:8786, got {url!r}"
        )
    if security is not None and not isinstance(security, str):
        raise UserError(f"the security file of {where} must be a path, got {security!r}")
    if parts.scheme == "tls" and security in (None, NONE):
        raise UserError(
            f"{where} must have a security file for {url}: set {SECURITY}, or cluster.security in params.yaml, to the "
            "one that `howdeep cluster up` wrote"
        )
    if parts.scheme == "tcp" and parts.hostname not in LOCAL and security != NONE:
        raise UserError(
            f"{where} must begin with tls:// for another machine, got {url}: whoever reaches a scheduler without "
            "encryption can run anything on its nodes (in a network of your own say security: none)"
        )
    return Address(url, None if security in (None, NONE) else Path(security))


def declared(node: Any) -> Address | None:
    """The scheduler that params.yaml names under `cluster`; None for null.

    Raises:
        UserError: it names something else.
    """
    if node is None:
        return None
    if not isinstance(node, dict) or not {"scheduler"} <= set(node) <= {"scheduler", "security"}:
        raise UserError(
            "cluster in params.yaml must be null, or a map such as {scheduler: tls://host:8786, security: "
            f"security.pem}}, got {node!r}"
        )
    return parsed(node["scheduler"], node.get("security"), "cluster.scheduler in params.yaml")


def named_in(params: Path) -> Address | None:
    """That of a params.yaml, whatever else stands in it; None: none, or no such file.

    Raises:
        UserError: no YAML, or no address.
    """
    content = reading.yaml_of(params) if params.exists() else None
    return declared(content.get("cluster")) if isinstance(content, dict) else None


def found(named: Address | None) -> Address | None:
    """The scheduler that is asked for: by the environment, or in params.yaml; None: none."""
    if url := os.environ.get(ADDRESS):
        return parsed(url, os.environ.get(SECURITY), ADDRESS)
    return named
