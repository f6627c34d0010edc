"""What is told in a thread and read in another one, which may wait for other things too."""

import queue
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any


class News:
    """What Dask tells in a thread of its own.

    Attributes:
        bell: can be read once there is something.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.bell, self._theirs = socket.socketpair()
        for end in (self.bell, self._theirs):
            end.setblocking(False)

    def put(self, news: dict[str, Any]) -> None:
        self._queue.put(news)
        with suppress(OSError):  # full: it will be read anyway; closed: nobody waits any more
            self._theirs.send(b"\0")

    def all(self) -> Iterator[dict[str, Any]]:
        with suppress(BlockingIOError):
            while self.bell.recv(1 << 16):
                pass
        with suppress(queue.Empty):
            while True:
                yield self._queue.get_nowait()

    def close(self) -> None:
        self.bell.close()
        self._theirs.close()
