"""What an end keeps books of: its limits, its requests, those of its peer, and their streams.

No behaviour: what follows from these facts is the end's to decide.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from tests.model.pipe import HEADER


class BrokenRuleError(AssertionError):
    """An end saw, or did, what the rules forbid."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits, small enough that histories reach them, and the mistakes that are planted.

    Sizes are in bytes, ``drain_timeout`` in ticks. ``pauses_for_pending`` is the other rule that
    was tried: where pausing is allowed, full pending requests pause reading and refuse nothing.
    """

    window: int = 8
    max_window: int = 32
    max_windows: int = 80
    high_water: int = 16
    capacity: int = 12
    largest: int = 12
    max_pending: int = 3
    max_streams: int = 2
    max_asked: int = 4
    max_plain: int = 3
    most_plain: int = 9
    drain_timeout: int = 4
    pauses_for_pending: bool = False
    mistakes: frozenset[str] = frozenset()

    @property
    def most_unsent(self) -> int:
        """Bytes of output that honest ends never exceed; past it a real end cuts the connection."""
        message = HEADER + self.largest
        credits_of_a_stream = 2 + 2 * (self.window + self.largest) // self.window
        small = self.max_asked + 2 * self.max_asked * credits_of_a_stream + 1
        return self.high_water + (1 + 2 * self.max_asked) * message + small * HEADER


@dataclass(slots=True, eq=False)
class Outgoing:
    """The sending side of a stream."""

    credit: int
    is_over: bool = False


@dataclass(slots=True, eq=False)
class Incoming:
    """The receiving side of a stream: parts that wait, and what the peer may still send."""

    window: int
    number: int
    is_asker: bool
    allowance: int = 0
    parts: deque[int] = field(default_factory=deque)
    held: int = 0
    uncredited: int = 0
    is_complete: bool = False
    is_over: bool = False

    def __post_init__(self) -> None:
        self.allowance = self.window

    @property
    def is_open(self) -> bool:
        """Whether further parts may come and are wanted."""
        return not self.is_over and not self.is_complete

    def grant(self, size: int, growth: int) -> int:
        """Return the credit to give after ``size`` bytes were taken; it grows if all is taken."""
        self.uncredited += size
        if 2 * self.uncredited < self.window:
            return 0
        credit, self.uncredited = self.uncredited, 0
        if not self.held:
            self.window += growth
            credit += growth
        self.allowance += credit
        return credit

    def drop(self) -> None:
        """Forget the parts that wait: nobody wants them."""
        self.is_over = True
        self.parts.clear()
        self.held = 0


@dataclass(slots=True, eq=False)
class Asked:
    """A request of this end, until its last answer is here: ``is_given_up`` drops that answer."""

    number: int
    deadline: int | None
    outgoing: Outgoing | None = None
    incoming: Incoming | None = None
    is_given_up: bool = False
    outcomes: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Pending:
    """A request of the peer that this end has not answered yet."""

    number: int
    deadline: int | None
    plan: Any
    incoming: Incoming | None = None
    outgoing: Outgoing | None = None
    is_over: bool = False

    @property
    def is_stream(self) -> bool:
        """Whether further parts come, or an answer in parts has begun."""
        incoming = self.incoming
        return self.outgoing is not None or (incoming is not None and not incoming.is_complete)
