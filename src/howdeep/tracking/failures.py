"""What MLflow raises where its database, its server or its files cannot be used, and what a person is told of it.

MLflow is a view of the records: none of this is a reason to end a training.
"""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from howdeep.errors import masked

LONGEST = 200
# What is said of a file that was left half made, or spoiled, or that is none of MLflow's.
DAMAGED = (
    "not a database", "malformed", "no such table", "no such column", "duplicate column", "already exists",
    "can't locate revision", "out-of-date database schema",
)  # fmt: skip

# What a server with passwords answers, with its words and ours.
UNKNOWN = ("error code 401", "401 Client Error")
FORBIDDEN = ("error code 403", "403 Client Error", "PERMISSION_DENIED")
FAILED = (
    "too many 500 error responses",
    "Connection aborted",
)  # MLflow breaks off where it cannot store a file

_USERS = re.compile(r"://[^:/@]*:(.*)@")
_ASKED = re.compile(r"[?&;](?:\w*pass\w*|pwd|\w*token|\w*secret\w*|\w*key)=([^&;]+)", re.IGNORECASE)


def is_mlflows(error: BaseException) -> bool:
    """Whether it is a failure of MLflow or of what it stands on; anything else is a bug of ours."""
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    kinds = (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, OSError, ImportError)
    return isinstance(error, kinds)


@contextmanager
def clouds_are_mlflows() -> Iterator[None]:
    """Artifacts may lie in anybody's cloud, whose library raises its own kinds of errors: they are MLflow's here."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError):
        raise
    except Exception as error:
        raise MlflowException(f"{type(error).__name__}: {error}") from error


def database_of(uri: str) -> Path | None:
    """The file of an sqlite store, None for another store or one in memory."""
    place = uri.removeprefix("sqlite:///").partition("?")[0]
    return None if place == uri or place in ("", ":memory:") else Path(place)


def told(error: BaseException, uri: str) -> str:
    """The store and the reason in one line, without passwords."""
    return f"MLflow's store {masked(uri)} cannot be used ({reason(error, uri)})"


def reason(error: BaseException, uri: str) -> str:
    """The first cause in one line, without the password of the store's address, however it is written."""
    words = _short(error)
    for password in _passwords(uri):
        words = words.replace(password, "***")
    words = masked(words)
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}..."


def remedy(error: BaseException, uri: str) -> str:
    """What a person can do."""
    words = " ".join(str(cause) for cause in _causes(error)).lower()
    if (path := database_of(uri)) and any(said in words for said in DAMAGED):
        return f"move {path} away, then `howdeep sync` makes it again from the records"
    if _says(error, UNKNOWN):
        return (
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or write both into ~/.mlflow/credentials, then "
            "`howdeep sync` adds what MLflow lacks"
        )
    if _says(error, FORBIDDEN):
        return "take another name for the study, or ask whoever runs the server for the right, then `howdeep sync`"
    return "`howdeep sync` adds what MLflow lacks as soon as it can be used"


def _short(error: BaseException) -> str:
    for cause in _causes(error):
        if type(cause).__module__.startswith(("requests", "urllib3")):
            if "Timeout" in type(cause).__name__ or "timed out" in str(cause):
                return "the server does not answer"
            if "Connection refused" in str(cause):
                return "connection refused"
    if _says(error, UNKNOWN):
        return "the server does not know this user with this password"
    if _says(error, FORBIDDEN):
        return "the server does not let this user write there, as in the study of another user"
    if _says(error, FAILED):
        return "the server failed: its log says whether its database or its bucket is gone"
    lines = str(error).splitlines() or [type(error).__name__]
    return " ".join(re.sub(r"^\((?:\w+\.)+(\w+)\) ", "", lines[0]).split())


def _says(error: BaseException, words: Iterable[str]) -> bool:
    return any(word in str(cause) for cause in _causes(error) for word in words)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _passwords(uri: str) -> set[str]:
    """The passwords in an address, as typed and as they are sent."""
    typed = [*_USERS.findall(uri), *_ASKED.findall(uri)]
    return {form for word in typed for form in (word, unquote(word)) if form}
