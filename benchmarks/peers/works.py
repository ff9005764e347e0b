"""What every contestant has to do, and what is measured of it. It knows no contestant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from benchmarks.results import size_name

KIBIBYTE: Final = 1024
SMALL: Final = 100
"""Bytes of content where the size is not what is measured."""

OUTSTANDING: Final = 256
"""Requests that wait for their answers at a time on one connection."""

SPREAD: Final = 100
"""Requests that wait for their answers at a time where they are spread over connections."""


class Kind(StrEnum):
    """Sorts of work; the values are what the command line calls them."""

    ONE_WAY = "one-way"
    REQUESTS = "requests"
    PING_PONG = "ping-pong"
    CONNECTIONS = "connections"
    IDLE = "idle"
    START = "start"

    @property
    def heading(self) -> str:
        """What is done, for the head of a table."""
        return _HEADINGS[self]


class Measure(StrEnum):
    """What is measured, with its unit."""

    RATE = "messages a second"
    P50 = "p50, µs"
    P99 = "p99, µs"
    MEMORY = "KiB a connection"
    IMPORT = "import, ms"
    VERSION = "telex --version, ms"

    @property
    def is_better_high(self) -> bool:
        """Whether more of it is better."""
        return self is Measure.RATE


MEASURES: Final = {
    Kind.ONE_WAY: (Measure.RATE,),
    Kind.REQUESTS: (Measure.RATE,),
    Kind.PING_PONG: (Measure.P50, Measure.P99),
    Kind.CONNECTIONS: (Measure.RATE, Measure.P99),
    Kind.IDLE: (Measure.MEMORY,),
    Kind.START: (Measure.IMPORT, Measure.VERSION),
}


@dataclass(frozen=True, slots=True)
class Work:
    """One work; ``size`` is the content's, in bytes."""

    kind: Kind
    size: int = SMALL
    connections: int = 1

    def __str__(self) -> str:
        if self.kind is Kind.ONE_WAY:
            return f"one way, {self.label}"
        if self.kind is Kind.CONNECTIONS:
            return f"{self.label} connection{'s' * (self.connections != 1)}"
        return self.label

    @property
    def label(self) -> str:
        """What sets it apart from the others of its kind."""
        if self.kind is Kind.ONE_WAY:
            return size_name(self.size)
        return f"{self.connections:,}" if self.kind is Kind.CONNECTIONS else self.kind


_HEADINGS: Final = {
    Kind.ONE_WAY: "One way",
    Kind.REQUESTS: f"Request and reply, {OUTSTANDING} outstanding on one connection",
    Kind.PING_PONG: "Ping-pong, one outstanding",
    Kind.CONNECTIONS: f"Many connections, {SPREAD} requests outstanding over all of them",
    Kind.IDLE: "Idle connections, resident memory of the server",
    Kind.START: "Start",
}
ONE_WAY: Final = [
    Work(Kind.ONE_WAY, size) for size in (SMALL, KIBIBYTE, 64 * KIBIBYTE, 1024 * KIBIBYTE)
]
REQUESTS: Final = Work(Kind.REQUESTS)
PING_PONG: Final = Work(Kind.PING_PONG)
CONNECTIONS: Final = [
    Work(Kind.CONNECTIONS, connections=count) for count in (1, 100, 1_000, 10_000)
]
IDLE: Final = Work(Kind.IDLE)
START: Final = Work(Kind.START)

WORKS: Final = [*ONE_WAY, REQUESTS, PING_PONG, *CONNECTIONS, IDLE, START]
"""All there is to do, in the order in which it is done and shown."""


def content_of(size: int) -> bytes:
    """Return the content that all messages of this size carry."""
    return (bytes(range(256)) * (size // 256 + 1))[:size]
