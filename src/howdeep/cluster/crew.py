"""The nodes that are like this machine, and the jobs that were sent to them.

Dask carries jobs and answers and nothing else. All that a study knows is in its files here: whatever is lost, the same
command submits what is missing.
"""

import statistics
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from howdeep.cluster import likeness, node
from howdeep.cluster.address import Unreachable
from howdeep.cluster.elsewhere import Answer, Elsewhere
from howdeep.cluster.likeness import GPU
from howdeep.cluster.news import News
from howdeep.cluster.parcels import Parcel, names, packed
from howdeep.errors import UserError
from howdeep.files import seals
from howdeep.processes import progress

PART = 8 << 20  # bytes of a message with files
DEATHS = 2  # of processes or nodes, after which a job has failed
AHEAD = 0.5  # short jobs sent beyond those that run, as a share of the slots: one is there when another ends
SHORT = 1.0  # seconds. Longer jobs wait here: Dask gives none that waits at a node to another one
LOOK_SECONDS = 2.0  # between two looks at the nodes
STRAGGLES, SOME = 4, 5  # times the median of jobs that ended, of which there are some
LOST_SECONDS = 20.0  # without the scheduler


class Gone(Unreachable):
    """A scheduler that was there, and is there no more."""

    def __init__(self, elsewhere: Elsewhere) -> None:
        super().__init__(
            f"the scheduler at {elsewhere.address} is gone: what was done is kept; start it again, then the same "
            "command"
        )


@dataclass
class _Sent:
    """A job on its way.

    Args:
        deaths: where and of what it has ended a process or a node.
        submitted: when.
        node: where it has begun; None: nowhere yet.
        since: when it has begun.
        brought: whether its files were sent to all nodes.
        heard: takes what it tells while it is done.
    """

    job: Any
    parcel: Parcel
    future: Any = None
    deaths: list[str] = field(default_factory=list)
    submitted: float = 0.0
    node: str | None = None
    since: float = 0.0
    brought: bool = False
    heard: Callable[[Any], None] = lambda news: None


class Crew:
    """The nodes that are like this machine, and the jobs that were sent to them."""

    def __init__(self, client: Any, elsewhere: Elsewhere, work: Callable[[Any], Any]) -> None:
        self.client, self.elsewhere, self.work = client, elsewhere, work
        self.sent: dict[str, _Sent] = {}
        self.again: deque[_Sent] = deque()  # that a scheduler has lost
        self.failed: list[str] = []
        self._name = uuid.uuid4().hex[:12]
        self._number = 0
        self.news = News()
        self._nodes: dict[str, tuple[str, dict[str, str]]] = {}  # name and likeness, by address
        self.slots, self._resource, self._looked = 0, "", 0.0
        self._lost: float | None = None
        self._seconds: list[float] = []
        self._told: set[str] = set()
        self._has: set[tuple[str, str]] = set()  # addresses of nodes, and checksums that they were sent
        self._checksums: dict[Path, tuple[int, str]] = {}

    def __enter__(self) -> "Crew":
        self.client.subscribe_topic(node.topic(self._key(0)), lambda event: self.news.put(event[1]))
        while not self._look():
            self._say(
                f"waits for a node like this machine at {self.elsewhere.address}: `howdeep worker` starts one"
            )
            time.sleep(LOOK_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.give_up()
        self.news.close()

    def give_up(self) -> None:
        """Nodes end what nobody wants any more."""
        for one in self.sent.values():
            one.future.release()
        self.sent.clear()
        self.again.clear()

    def is_busy(self) -> bool:
        return bool(self.sent or self.again)

    def has_room(self, left: int) -> bool:
        """
        Args:
            left: how many jobs are to be sent, or more: the last ones wait here for a node that is free, since Dask
                takes from none what waits there.
        """
        recent = self._seconds[-max(self.slots, SOME) :]
        is_short = bool(recent) and statistics.median(recent) < SHORT
        ahead = max(1, round(AHEAD * self.slots)) if is_short and left > self.slots else 0
        return len(self.sent) + len(self.again) < self.slots + ahead

    def send(self, job: Any, heard: Callable[[Any], None] = lambda news: None) -> None:
        root = self.elsewhere.root
        files = {name: self._digits(path) for name, path in names(self.elsewhere.reads(job), root).items()}
        self._submit(_Sent(job, Parcel(str(job), packed((self.work, job), root), files), heard=heard))

    def _digits(self, path: Path) -> str:
        changed = path.stat().st_mtime_ns
        known = self._checksums.get(path)
        if known is None or known[0] != changed:
            known = self._checksums[path] = (changed, seals.checksum(path))
        return known[1]

    def _submit(self, one: _Sent) -> None:
        self._number += 1
        key = self._key(self._number)
        one.submitted, one.node = time.monotonic(), None
        one.future = self.client.submit(
            node.run, one.parcel, key=key, pure=False, retries=0, resources=dict.fromkeys(self._needs(), 1)
        )
        self.sent[key] = one
        one.future.add_done_callback(lambda future: self.news.put({"key": future.key}))

    def _key(self, number: int) -> str:
        return f"howdeep-{self._name}-{number}"

    def ended(self) -> Iterator[Answer]:
        """Jobs that have ended since; waits for none. Call it every `LOOK_SECONDS`, and where `news` can be read."""
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._look()
        for news in self.news.all():
            if (one := self.sent.get(news["key"])) is None:
                continue
            if "told" in news:
                one.heard(news["told"])
            elif "node" in news:
                one.node, one.since = news["node"], time.monotonic()
            else:
                del self.sent[news["key"]]
                if one.node:
                    self._seconds.append(time.monotonic() - one.since)
                if (answer := self._answer(one)) is not None:
                    yield answer
        while self.again and self.client.status == "running":
            self._submit(self.again.popleft())

    def _answer(self, one: _Sent) -> Answer | None:
        from distributed import KilledWorker
        from distributed.comm.core import CommClosedError

        future, one.future = one.future, None
        try:
            where, kind, *answer = future.result()
        except KilledWorker as death:
            if one.node is None:  # it waited there for another to end
                self._submit(one)
            else:
                self._died(one, f"{death.last_worker.name} was lost")  # type: ignore[union-attr]
            return None
        except (CancelledError, CommClosedError):  # with the scheduler, or the way to it
            self.again.append(one)
            return None
        finally:
            future.release()
        if kind == node.LACKS:
            try:
                self._bring(one, answer[0])
            except CommClosedError:  # nobody knows what has arrived
                self._has.clear()
                self.again.append(one)
        elif kind == node.DIED:
            self._died(one, f"its process on {where} ended by {answer[0]}")
        elif kind == node.FAILED:
            raise _named(answer[0], where)
        elif kind == node.STOPPED:  # by a scheduler that took the node for lost
            self._submit(one)
        else:
            return Answer(one.job, *answer)
        return None

    def _died(self, one: _Sent, how: str) -> None:
        one.deaths.append(how)
        if len(one.deaths) < DEATHS:
            progress.say(f"{one.parcel.label}: {how}; it is begun once more")
            self._submit(one)
        else:
            progress.say(f"{one.parcel.label} failed: {how}")
            self.failed.append(f"{one.parcel.label} ({', '.join(one.deaths)})")

    def _bring(self, one: _Sent, lacking: Sequence[str]) -> None:
        """Sends files to every node that may do the job: each has them before it is asked again."""
        if one.brought:  # and somebody has removed them since
            self._has = {(address, digits) for address, digits in self._has if digits not in lacking}
        one.brought = True
        places = {digits: name for name, digits in one.parcel.files.items()}
        for address in self._alike():
            parts: list[tuple[str, bytes, bool]] = []
            for digits in lacking:
                if (address, digits) in self._has:
                    continue
                self._has.add((address, digits))
                for content, last in _parts(self.elsewhere.root / places[digits]):
                    parts.append((digits, content, last))
                    if sum(len(content) for _, content, _ in parts) >= PART:
                        self._give(address, parts)
                        parts = []
            self._give(address, parts)
        self._submit(one)

    def _give(self, address: str, parts: list[tuple[str, bytes, bool]]) -> None:
        if parts:
            self.client.run(node.kept, self._name, parts, workers=[address])

    def _look(self) -> bool:
        """Whether there are nodes; learns of new ones, and of a scheduler that has gone."""
        self._looked = time.monotonic()
        if not self._sees_nodes():
            self._lost = self._lost or self._looked
            if self._looked - self._lost > LOST_SECONDS or self.client.status in ("closed", "closing"):
                raise Gone(self.elsewhere)
            return False
        self._lost = None
        self._tell_stragglers()
        self._take_back()
        return bool(self.slots)

    def _sees_nodes(self) -> bool:
        """Learns which there are; False if the scheduler does not answer."""
        from distributed.comm.core import CommClosedError

        if self.client.status != "running":
            return False
        try:
            found = self.client.scheduler_info(n_workers=-1)["workers"]
            for address in [address for address in self._nodes if address not in found]:
                del self._nodes[address]
                self._has = {(at, digits) for at, digits in self._has if at != address}
            if new := [address for address in found if address not in self._nodes]:
                self._meet(self.client.run(node.introduced, workers=new, on_error="return"))
        except CommClosedError:  # it went this moment
            return False
        self._choose({address: self._room(of["resources"]) for address, of in found.items()})
        return True

    def _meet(self, introduced: Mapping[str, Any]) -> None:
        for address, answer in introduced.items():
            if not isinstance(answer, tuple):
                self._say(f"the Dask worker at {address} is left out: {answer}")
                answer = (address, {})
            self._nodes[address] = answer
            name, of = answer
            if of and (told := likeness.difference(of, likeness.about())):
                self._say(f"{name} is left out, since {told}: install the same there")

    def _needs(self) -> list[str]:
        """Of Dask's resources, one each."""
        return [self._resource, *([GPU] if self.elsewhere.gpu else [])]

    def _room(self, resources: Mapping[str, float]) -> int:
        """How many jobs a node takes."""
        threads = sum(of for name, of in resources.items() if name.startswith(likeness.PREFIX))
        return int(min(threads, resources.get(GPU, 0)) if self.elsewhere.gpu else threads)

    def _choose(self, threads: Mapping[str, int]) -> None:
        """Which processors do this stage: those like this machine's, or else the ones of which there are most."""
        own = likeness.about()
        classes: dict[str, int] = {}
        for address, (_, of) in self._nodes.items():
            if of and not likeness.difference(of, own):
                of_class = likeness.resource(of)
                classes[of_class] = classes.get(of_class, 0) + threads.get(address, 0)
        if not self._resource and classes:
            here = likeness.resource(own)
            self._resource = here if here in classes else max(classes, key=lambda name: classes[name])
        self.slots = classes.get(self._resource, 0)
        for address, (name, of) in self._nodes.items():
            if address not in self._alike() and of and not likeness.difference(of, own):
                self._say(f"{name} has nothing to do, since its processor is another one: {of['processor']}")

    def _alike(self) -> list[str]:
        return [
            address
            for address, (_, of) in self._nodes.items()
            if of and likeness.resource(of) == self._resource
        ]

    def _tell_stragglers(self) -> None:
        if len(self._seconds) < SOME:
            return
        median, now = statistics.median(self._seconds), time.monotonic()
        for one in self.sent.values():
            if one.node and now - one.since > max(STRAGGLES * median, LOOK_SECONDS * STRAGGLES):
                told = f"{one.parcel.label} runs on {one.node} for more than {STRAGGLES} times the median"
                self._say(f"{told} of {median:.1f} s")

    def _take_back(self) -> None:
        """Sends anew what waits at a node for a long job while others have nothing to do."""
        idle = self.slots - sum(one.node is not None for one in self.sent.values())
        waiting = [
            key
            for key, one in self.sent.items()
            if one.node is None and self._looked - one.submitted > LOOK_SECONDS
        ]
        for key in waiting[: max(idle, 0)]:
            one = self.sent.pop(key)
            one.future.release()
            self._submit(one)

    def _say(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            progress.say(line)


def _named(error: Exception, where: str) -> Exception:
    """The error of a job with the name of its node, in the line that a person sees."""
    if isinstance(error, UserError):
        return UserError(f"{error} (on {where})")
    error.add_note(f"on {where}")
    return error


def _parts(path: Path) -> Iterator[tuple[bytes, bool]]:
    """A file in messages, each with whether it is the last."""
    with path.open("rb") as file:
        part = file.read(PART)
        while True:
            following = file.read(PART)
            yield part, not following
            if not following:
                return
            part = following
