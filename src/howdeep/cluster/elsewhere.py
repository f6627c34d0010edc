"""How the jobs of a stage are done on other machines, and what comes back."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from howdeep.cluster.address import Address
from howdeep.cluster.parcels import unpacked


@dataclass(frozen=True)
class Elsewhere:
    """How the jobs of a stage are done on other machines.

    Args:
        address: of the scheduler.
        root: of the project. What the work writes below it comes back.
        reads: the files below it that a job reads.
        work: what is done with a job: a function of a module, or a `partial` of one; None: what is done here.
        takes: whether a job travels; others are done by workers of this machine meanwhile. None: all do.
        arrived: what workers of this machine do with a job, its result, and the files that it made: their contents by
            path. None: nothing.
        gpu: whether each job needs one.
    """

    address: Address
    root: Path
    reads: Callable[[Any], Iterable[Path]]
    work: Callable[[Any], Any] | None = None
    takes: Callable[[Any], bool] | None = None
    arrived: Callable[[Any, Any, Mapping[Path, bytes]], Any] | None = None
    gpu: bool = False


@dataclass(frozen=True)
class Answer:
    """What has come back.

    Args:
        result: packed.
        files: that the job made: their contents by their paths below the project.
    """

    job: Any
    result: bytes
    files: Mapping[str, bytes]

    def __str__(self) -> str:
        return str(self.job)

    def opened(self, elsewhere: Elsewhere) -> Any:
        """The result, or what `elsewhere` makes of it."""
        root = elsewhere.root
        result = unpacked(self.result, root)
        if elsewhere.arrived is None:
            return result
        return elsewhere.arrived(
            self.job, result, {root / name: content for name, content in self.files.items()}
        )
