"""MLflow is a view of the records: what it raises ends no work, and is told once."""

import hashlib
import mmap
from collections.abc import Callable
from functools import wraps
from multiprocessing import get_context
from typing import Any, TypeVar

from howdeep.errors import UserError
from howdeep.processes.progress import say
from howdeep.processes.signals import stop_if_asked
from howdeep.tracking import database, failures

F = TypeVar("F", bound=Callable[..., Any])

# The store that was lost, by a digest of its address; all forks of this process see it.
_lost = mmap.mmap(-1, 16)
_turn = get_context("fork").Lock()  # of those that lose it in the same moment, one tells
SECONDS_FOR_A_TURN = 5.0  # more than any takes that has not been killed in it


class View:
    """A store whose methods do nothing from the moment on in which MLflow has failed.

    It says so in one line, and neither this process nor any of its forks tries again.

    Attributes:
        uri: where MLflow keeps its runs.
        strict: what MLflow raises becomes a `UserError`.
    """

    uri: str
    strict: bool
    _inside: bool

    @property
    def lost(self) -> bool:
        """Whether MLflow could not be used, here or in another fork."""
        return not self.strict and _lost[:] == self._digest

    @property
    def _digest(self) -> bytes:
        return hashlib.md5(self.uri.encode(), usedforsecurity=False).digest()

    def _lose(self, error: Exception) -> None:
        """Tells a person, unless another fork has."""
        told, remedy = failures.told(error, self.uri), failures.remedy(error, self.uri)
        database.forget(self.uri)
        if self.strict:
            raise UserError(f"{told}: {remedy}") from error
        is_mine = _turn.acquire(timeout=SECONDS_FOR_A_TURN)
        try:
            if self.lost:
                return
            _lost[:] = self._digest
        finally:
            if is_mine:
                _turn.release()
        say(f"howdeep: {told}: the work goes on without it; {remedy}")


def ends_no_work(instead: Callable[[Any], Any]) -> Callable[[F], F]:
    """Makes a method of a `View` one that ends no work: what MLflow raises is told, once, and the store is lost.

    Args:
        instead: gives what the method gives then, and from then on.
    """

    def of(method: F) -> F:
        @wraps(method)
        def guarded(self: View, *args: Any, **kwargs: Any) -> Any:
            if self._inside:  # another method of the store calls this one
                return method(self, *args, **kwargs)
            if self.lost:
                return instead(self)
            self._inside = True
            try:
                return method(self, *args, **kwargs)
            except Exception as error:
                stop_if_asked()  # a stop that MLflow has turned into an error of its own
                if not failures.is_mlflows(error):
                    raise
                self._lose(error)
                return instead(self)
            finally:
                self._inside = False

        return guarded  # type: ignore[return-value]

    return of
