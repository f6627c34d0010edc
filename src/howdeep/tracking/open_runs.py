"""The run of a training while it is open in MLflow: its epochs are sent as they come."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from howdeep.errors import Stopped
from howdeep.processes.signals import hold_stop
from howdeep.sweeping.outcomes import Pruned
from howdeep.tracking.words import Value, summary

FLUSH_SECONDS = 3.0


class Writer(Protocol):
    """What a run needs of its `Store`."""

    def log(
        self,
        run_id: str,
        values: Iterable[Value] = (),
        *,
        tags: Mapping[str, str] | None = None,
        status: str | None = None,
    ) -> None: ...

    def log_text(self, run_id: str, name: str, text: str) -> None: ...


@dataclass
class TrackedRun:
    """An open run. Rows of epochs are buffered and flushed every few seconds and at the end."""

    store: Writer
    run_id: str
    _sent: int = 0
    _flushed: float = field(default_factory=time.monotonic)

    @hold_stop()
    def log_epochs(self, rows: list[dict[str, float]], *, flush: bool = False) -> None:
        """Given all rows so far, sends those not sent yet, if it is time."""
        if not flush and time.monotonic() - self._flushed < FLUSH_SECONDS:
            return
        self.store.log(self.run_id, self._unsent(rows))
        self._sent, self._flushed = len(rows), time.monotonic()

    def _unsent(self, rows: list[dict[str, float]]) -> list[Value]:
        fresh = rows[self._sent :]
        return [(name, v, int(row["epoch"])) for row in fresh for name, v in row.items() if name != "epoch"]

    @hold_stop()
    def end(self, record: dict, provenance: dict | None, test: Iterable[Value] = ()) -> None:
        """Writes the rest; FINISHED, or FAILED where the run diverged.

        Args:
            test: as `words.of_test` gives it, of a run that `evaluate` has seen.

        Config and gradients go into one file, since each of them would cost as much as an epoch.
        """
        about = {name: value for name, value in record.items() if name != "epochs"}
        self.store.log_text(self.run_id, "record.json", json.dumps(about, indent=1))
        self.store.log(
            self.run_id,
            [*self._unsent(record["epochs"]), *summary(record, provenance), *test],
            tags={"howdeep.reason": record["reason"]} if record["reason"] else None,
            status="FINISHED" if record["state"] == "finished" else "FAILED",
        )

    @hold_stop()
    def abort(self, error: BaseException, rows: list[dict[str, float]]) -> None:
        """Ends the run as KILLED if it was stopped or pruned, else as FAILED, with the epochs that it had."""
        self.store.log(
            self.run_id,
            self._unsent(rows),
            tags={"pruned": "true"} if isinstance(error, Pruned) else None,
            status="KILLED" if isinstance(error, Stopped | Pruned) else "FAILED",
        )
