"""Where studies are kept: a journal file, an sqlite file, or PostgreSQL for several machines."""

import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from filelock import FileLock, Timeout

from howdeep.errors import UserError, masked, of_place
from howdeep.processes.signals import stop_if_asked

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from sqlalchemy.exc import DBAPIError

Answer = TypeVar("Answer")

SECONDS_TO_WAIT = 60.0  # for a lock that others hold for milliseconds
PAUSES = 0.1, 0.3, 1.0, 3.0, 9.0  # before another connection is made to a server that has ended one
BEAT, STALE = 30, 120  # seconds between two signs of life of a trial, and without one until it counts as dead
ADVISORY_LOCK = 0x686F7764656570  # 'howdeep'
KINDS = "a path to a journal (sweep.journal), sqlite:///sweep.db, or postgresql://user@host/database"


class Storage:
    """A storage of Optuna and a lock beside it, which the operating system or the server frees if its holder dies.

    Connections must not be shared by processes: make one after a fork, `close` it before one.

    Args:
        where: a path (a journal), or the URL of an sqlite file or of a PostgreSQL database.
        has_answered: whether there was a connection to it before. A server that is not there is waited for then; else
            it is a mistake.

    Raises:
        UserError: it cannot be reached, is locked or damaged, or is MLflow's own database.
    """

    def __init__(self, where: str, *, has_answered: bool = False) -> None:
        self.where, self.has_answered = where, has_answered
        self.is_postgresql = where.startswith("postgresql")
        self._database: RDBStorage | None = None
        if "://" in where and not where.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
            raise UserError(f"the storage of a sweep is {KINDS}; got {masked(where)}")

    @property
    def path(self) -> Path | None:
        """The file, None for PostgreSQL."""
        return None if self.is_postgresql else Path(self.where.removeprefix("sqlite:///"))

    @cached_property
    def optuna(self) -> "BaseStorage":
        """Optuna's view of it, opened when it is first asked for."""
        if self.path:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(
                    f"the folder {self.path.parent} cannot be made ({error.strerror}): name another storage"
                ) from error
        with self.lock():
            return self._open_database() if "://" in self.where else self._open_journal(Path(self.where))

    def _open_journal(self, path: Path) -> "BaseStorage":
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        try:
            if path.exists() and path.read_bytes()[:10] not in (b"", b'{"op_code"'):
                raise ValueError("some other file, which must not be written to")
            lock: Any = KernelLock(path)  # Optuna asks it to acquire and to release
            return JournalStorage(JournalFileBackend(str(path), lock))
        except OSError as error:
            raise of_place(error) or UserError(
                f"the journal {path} cannot be read: {error.strerror}"
            ) from error
        except Exception as error:  # a line that is no operation of Optuna fails in many ways
            stop_if_asked()
            raise UserError(f"{path} {_damage(path)}: restore it, or name another storage") from error

    def _open_database(self) -> "BaseStorage":
        from optuna.exceptions import ExperimentalWarning, StorageInternalError
        from optuna.storages import RDBStorage, get_storage
        from sqlalchemy.exc import SQLAlchemyError

        try:
            self._refuse_mlflow()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)  # the heartbeat
                beat: dict[str, Any] = (
                    {"heartbeat_interval": BEAT, "grace_period": STALE} if self.is_postgresql else {}
                )
                # A connection that the server has ended is replaced where nothing was under way on it.
                engine = (
                    {"pool_pre_ping": True}
                    if self.is_postgresql
                    else {"connect_args": {"timeout": SECONDS_TO_WAIT}}
                )
                self._database = RDBStorage(_driver(self.where), engine_kwargs=engine, **beat)
                return get_storage(self._database)
        except (SQLAlchemyError, StorageInternalError, ImportError, RuntimeError) as error:
            raise unreachable(self.where, error) from error

    def _refuse_mlflow(self) -> None:
        import sqlalchemy

        if self.path and not self.path.exists():
            return
        engine = sqlalchemy.create_engine(_driver(self.where), poolclass=sqlalchemy.NullPool)
        if sqlalchemy.inspect(engine).has_table("experiments"):
            raise UserError(
                f"{masked(self.where)} is MLflow's database: a sweep needs a storage of its own, such as "
                "sqlite:///sweep.db or a journal"
            )

    @contextmanager
    def lock(self) -> Iterator[Callable[[], bool]]:
        """Held by one process at a time, whatever happens to the others. Keep it short.

        Yields whether it is still held: a server that ends the connection gives it to the next one.

        Raises:
            UserError: another process has held it for a minute.
        """
        with self._advisory_lock() if self.path is None else _file_lock(self.path) as is_held:
            yield is_held

    @contextmanager
    def _advisory_lock(self) -> Iterator[Callable[[], bool]]:
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            connection = self._lock_engine.connect()
            self.has_answered = True
            connection.execute(text(f"set lock_timeout = '{SECONDS_TO_WAIT:.0f}s'"))
            connection.execute(text(f"select pg_advisory_lock({ADVISORY_LOCK})"))
        except (SQLAlchemyError, ImportError) as error:
            raise unreachable(self.where, error) from error

        def is_held() -> bool:
            try:
                connection.execute(text("select 1"))
            except SQLAlchemyError:
                return False
            return True

        try:
            yield is_held
        finally:
            with suppress(SQLAlchemyError):  # the server has ended the connection, and freed the lock with it
                connection.execute(text(f"select pg_advisory_unlock({ADVISORY_LOCK})"))
            connection.close()

    @cached_property
    def _lock_engine(self):
        import sqlalchemy
        from sqlalchemy.exc import ArgumentError

        try:
            return sqlalchemy.create_engine(
                _driver(self.where), isolation_level="AUTOCOMMIT", pool_pre_ping=True
            )
        except (ArgumentError, ValueError, ImportError) as error:
            raise unreachable(self.where, error) from error

    def stale(self, study_id: int) -> set[int]:
        """Ids of running trials that have given no sign of life for a while; only PostgreSQL knows."""
        return set(self.optuna._get_stale_trial_ids(study_id)) if self.is_postgresql else set()  # type: ignore[attr-defined]

    @contextmanager
    def alive(self, trial_id: int) -> Iterator[None]:
        """Gives signs of life for a trial, where the storage keeps them.

        The thread of Optuna would end with the first connection that breaks, and a trial that is silent is begun anew
        by other hosts.
        """
        if not self.is_postgresql:
            yield
            return
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        ended = Event()

        def beat() -> None:
            while True:
                with suppress(StorageInternalError, SQLAlchemyError):  # the next one comes in time
                    self.optuna.record_heartbeat(trial_id)  # type: ignore[attr-defined]
                if ended.wait(BEAT):
                    return

        thread = Thread(target=beat)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def close(self) -> None:
        """Closes all connections; the next use opens them again."""
        self.__dict__.pop("optuna", None)
        self._disconnect()
        self._database = None
        self.__dict__.pop("_lock_engine", None)

    def _disconnect(self) -> None:
        if self._database:
            self._database.remove_session()
            self._database.engine.dispose()
        if engine := self.__dict__.get("_lock_engine"):
            engine.dispose()

    def steadily(self, do: "Callable[[], Answer]") -> "Answer":
        """What `do` returns, which is done again on new connections while the server ends those that there are.

        It must be something that can be done twice: the server may have done it.

        Raises:
            UserError: a storage that cannot be used, in one line.
        """
        from optuna.exceptions import StorageInternalError
        from sqlalchemy.exc import SQLAlchemyError

        for pause in (*PAUSES, None):
            try:
                return do()
            except Exception as error:
                self.has_answered |= any(of.statement or _state(of) for of in _of_database(error))
                if pause is not None and self.has_answered and was_cut(self.where, error):
                    self._disconnect()
                    time.sleep(pause)
                elif isinstance(error, StorageInternalError | SQLAlchemyError):
                    raise unreachable(self.where, error) from error
                else:
                    raise
        raise AssertionError("the last try returns or raises")


def _driver(where: str) -> str:
    return where.replace("postgresql://", "postgresql+psycopg://", 1)


def unreachable(where: str, error: Exception) -> UserError:
    """What a database says where it cannot be used, in one line."""
    if isinstance(error, ImportError):
        return UserError(f"PostgreSQL needs a driver: pip install -e '.[postgresql]' ({error})")
    cause = getattr(error, "orig", None) or error.__cause__ or error
    reason = " ".join(str(getattr(cause, "orig", None) or cause).split())[:200]
    return UserError(f"the storage {masked(where)} cannot be used ({reason}): expected {KINDS}")


def was_cut(where: str, error: BaseException) -> bool:
    """Whether a server has ended the connection, as one that is started again does: another one may be made."""
    from sqlalchemy.exc import PendingRollbackError

    # 08: connections; 57P: the server ends, or starts. A lock that others hold is neither.
    cut = any((_state(of) or "08").startswith(("08", "57P")) for of in _of_database(error))
    pending = any(isinstance(of, PendingRollbackError) for of in _causes(error))
    return where.startswith("postgresql") and (cut or pending)


def _causes(error: BaseException) -> list[BaseException]:
    """An error, what caused it, and so on back."""
    causes, cause = list[BaseException](), error
    while cause and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return causes


def _of_database(error: BaseException) -> "list[DBAPIError]":
    from sqlalchemy.exc import DBAPIError

    return [of for of in _causes(error) if isinstance(of, DBAPIError)]


def _state(error: "DBAPIError") -> str | None:
    """The server's code for an error that it has told."""
    return getattr(error.orig, "sqlstate", None)


@contextmanager
def _file_lock(path: Path) -> Iterator[Callable[[], bool]]:
    lock = FileLock(path.with_name(f".{path.name}.queue"), timeout=SECONDS_TO_WAIT, poll_interval=0.005)
    try:
        lock.acquire()
    except Timeout:
        raise locked(path) from None
    except OSError as error:
        raise of_place(error) or error from error
    try:
        yield lambda: True
    finally:
        lock.release()


def locked(path: Path) -> UserError:
    return UserError(
        f"{path} has been locked by another process for {SECONDS_TO_WAIT:.0f} s: stop that process, then try again"
    )


class KernelLock:
    """Optuna's own locks outlive a killed holder by 30 seconds; the kernel frees this one at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        name = path.with_name(f".{path.name}.append")
        self.lock = FileLock(name, timeout=SECONDS_TO_WAIT, poll_interval=0.002)

    def acquire(self) -> bool:
        """Waits until this process may append."""
        try:
            self.lock.acquire()
        except Timeout:
            raise locked(self.path) from None
        _cut_torn_line(self.path)
        return True

    def release(self) -> None:
        """Lets the next one append."""
        self.lock.release()


def _cut_torn_line(path: Path) -> None:
    """Drops a line without an end: whoever wrote it was killed in the middle, and nobody has read it."""
    with path.open("rb+") as file:
        size = file.seek(0, 2)
        if size == 0:
            return
        file.seek(-1, 2)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _damage(path: Path) -> str:
    """What is wrong with a journal, with the first line that is no JSON."""
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            if "op_code" in json.loads(line):
                continue
        except (ValueError, TypeError):
            pass
        return f"is no journal of Optuna, or damaged in line {number}"
    return "is no journal of Optuna, or damaged"
