"""What a contestant has to offer: a server, a client, and what its bytes look like.

Servers and clients run in processes of their own. Nothing here knows who starts them, or how the
time is taken that they need.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from benchmarks.peers.works import Work

HOST: Final = "127.0.0.1"


class Service(StrEnum):
    """What a server is for."""

    SINK = "sink"
    """It takes what comes, until the end of it."""
    ECHO = "echo"
    """It sends every content back, on one connection."""
    CROWD = "crowd"
    """The same, on thousands of connections."""


class Tally:
    """What a receiver has received: ``note`` takes the length of each object, ``end`` tells."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._sizes: list[int] = []
        self._tell: Final = tell
        self.note: Final = self._sizes.append
        """Takes the size of an object that has come; as cheap as can be."""

    def end(self) -> None:
        """Tell how many objects of which sizes have come, and when the last of them had."""
        at = time.monotonic_ns()
        self._tell({"at": at, "sizes": sorted(Counter(self._sizes).items())})
        self._sizes.clear()


@dataclass(frozen=True, slots=True)
class Wire:
    """The bytes of a peer, for a load generator that does not know what they mean.

    ``opening`` is sent first, and ``is_welcome`` says whether what came back so far is the whole
    answer to it. The ``requests`` are sent one after the other, and again from the first; each is
    answered with ``answer_size`` bytes, the content at their end.
    """

    opening: bytes
    is_welcome: Callable[[bytes], bool]
    requests: tuple[bytes, ...]
    answer_size: int


class Client(ABC):
    """A connection to a server, and all the ways to use it."""

    @abstractmethod
    def send_all(self, content: bytes, count: int) -> None:
        """Send the content so many times, one way, and then the end."""

    @abstractmethod
    def request_all(self, content: bytes, count: int, outstanding: int) -> list[int]:
        """Send so many requests, so many at a time; return the sizes of the answers' contents."""

    @abstractmethod
    def request(self, content: bytes) -> bytes:
        """Send a request and return the content of its answer."""

    def ping_pong(self, content: bytes, count: int) -> tuple[list[int], list[int]]:
        """Send requests one by one; return the nanoseconds each took, and the answers' sizes."""
        request, clock = self.request, time.perf_counter_ns
        times, sizes = [], []
        for _ in range(count):
            begin = clock()
            answer = request(content)
            times.append(clock() - begin)
            sizes.append(len(answer))
        return times, sizes


class Contestant(ABC):
    """A way to exchange messages."""

    key: str
    """What the command line calls it."""
    name: str
    """What it is called where figures are shown."""
    how: str
    """One sentence: how it is used, and why that is its fast way."""
    packages: tuple[str, ...] = ()
    """The distributions that it needs."""
    imports: str | None = None
    """What a program imports to use it; None where that is no measure of anything."""

    @abstractmethod
    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve on a port of 127.0.0.1 that ``ready`` is told, until the process ends."""

    @abstractmethod
    def connect(self, service: Service, port: int) -> Client:
        """Connect to a server."""

    def wire(self, content: bytes) -> Wire | None:
        """Return what a request with this content looks like; None where no one else can say."""
        return None

    def why_not(self, work: Work) -> str | None:
        """Return why this contestant has no part in a work; None where it has."""
        return None
