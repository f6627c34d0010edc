"""The run under which others are nested, of an entry or a sweep, while it is open."""

from collections.abc import Iterator
from contextlib import contextmanager

from howdeep.errors import Stopped
from howdeep.processes import progress
from howdeep.processes.signals import stopping
from howdeep.tracking.store import Store
from howdeep.tracking.words import ENTRY, STUDY


@contextmanager
def tracked_parent(
    store: Store | None, name: str, about: dict[str, str], kind: str = "entry"
) -> Iterator[str | None]:
    """The MLflow run of an entry or a sweep, open while it is trained; closes what a killed start left RUNNING."""
    if store is None:
        yield None
        return
    store.close_abandoned()
    parent = store.open_parent(name, about, kind)
    if parent is None:
        yield None
        return
    for line in store.open_elsewhere(**{STUDY if kind == "sweep" else ENTRY: name}):
        progress.say(f"howdeep: {line}")
    try:
        yield parent
    except BaseException as error:
        store.close_abandoned()
        stopped = isinstance(stopping() or error, Stopped)
        store.close(parent, "KILLED" if stopped else "FAILED")
        raise
    store.close(parent, "FINISHED")
