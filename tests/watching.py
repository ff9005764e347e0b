"""Servers of both front-ends with observers and operators, for the tests of what these see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from telex import Application, Message, Observer, TelexError
from telex.application.peer import Peer
from telex.testing.serving import FrontEnd, Serving, start
from telex.wire.processor import State
from tests.behaviour.stage import PATIENCE

ANY_PORT = "tcp://127.0.0.1:0"


@contextlib.contextmanager
def serving(
    front_end: FrontEnd, application: Application, address: str = ANY_PORT, **options: Any
) -> Iterator[Serving]:
    """Run a server of a front-end for the time of the context."""
    server = start(front_end, application, address, options)
    try:
        yield server
    finally:
        server.shutdown()
        assert server.has_ended(PATIENCE)
        assert server.clean_up() == []


class Diary(Observer):
    """Remembers every event, in order, as a name and a fact."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []
        self.seconds: list[float] = []
        self.bytes_received = 0
        self.bytes_sent = 0

    def connected(self, peer: Peer) -> None:
        """Remember the event."""
        self.events.append(("connected", None))

    def data_received(self, peer: Peer, size: int, state: State, bytes_needed: int) -> None:
        """Count the bytes, which may come in any pieces."""
        self.bytes_received += size

    def message_received(self, peer: Peer, message: Message) -> None:
        """Remember the subject."""
        self.events.append(("received", message.subject))

    def handler_started(self, peer: Peer, message: Message, pattern: str | None) -> None:
        """Remember the pattern."""
        self.events.append(("started", pattern))

    def handler_ended(
        self, peer: Peer, message: Message, pattern: str | None, seconds: float
    ) -> None:
        """Remember the pattern, and how long it took."""
        self.events.append(("ended", pattern))
        self.seconds.append(seconds)

    def message_failed(self, peer: Peer, message: Message, code: str) -> None:
        """Remember the code."""
        self.events.append(("failed", code))

    def message_sent(self, peer: Peer, message: Message) -> None:
        """Remember the content."""
        self.events.append(("sent", message.content))

    def data_sent(self, peer: Peer, size: int) -> None:
        """Count the bytes, which may go in any pieces."""
        self.bytes_sent += size

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Remember why it ended."""
        self.events.append(("disconnected", error))
