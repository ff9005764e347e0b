"""What a server tells about its connections, for those who watch: logs, metrics, a terminal.

An observer sees everything and decides nothing. Which observer is notified of which event is found
out by ``notifier``. This module must never know a front-end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from telex.application.peer import Peer
    from telex.errors import TelexError
    from telex.wire.message import Message
    from telex.wire.processor import State


class Observer:
    """Does nothing at each event of a server; derive from it and override what you want to see.

    The server calls it in its own thread and waits for it, so a slow observer is a slow server.
    What it raises is logged, and changes nothing. An event that is not overridden costs nothing.

    A handler is named by its ``pattern``, as it was registered: ``"orders.*"``, or None for the one
    that takes whatever no other takes. How many of these there are is the application's to say; the
    subject of a message is the peer's, and there may be any number.
    """

    def connected(self, peer: Peer) -> None:
        """Be told that a peer has connected."""

    def data_received(self, peer: Peer, size: int, state: State, bytes_needed: int) -> None:
        """Be told that ``size`` bytes came, and what is needed now to complete ``state``.

        With TLS these are the bytes that it protects, on asyncio those that travel.
        """

    def message_received(self, peer: Peer, message: Message) -> None:
        """Be told that a message is complete; its handler has not been called yet."""

    def handler_started(self, peer: Peer, message: Message, pattern: str | None) -> None:
        """Be told that a handler is about to be called, or to wait for a thread to be called in."""

    def handler_ended(
        self, peer: Peer, message: Message, pattern: str | None, seconds: float
    ) -> None:
        """Be told that a handler is done, however it ended, ``seconds`` after it was started.

        They include the wait for a thread, and for a generator the wait for the peer to take parts.
        """

    def message_failed(self, peer: Peer, message: Message, code: str) -> None:
        """Be told that a message was not handled as it should be, with the code of the error.

        ``no-handler``, ``bad-content`` and ``handler-failed`` are Telex's own codes; others are
        those of a Refusal.
        """

    def message_sent(self, peer: Peer, message: Message) -> None:
        """Be told that an answer, a part of one, or a plain message is on its way to the peer."""

    def data_sent(self, peer: Peer, size: int) -> None:
        """Be told that ``size`` bytes, before encryption, were taken to be sent to the peer."""

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Be told that the connection has ended, and why, if it was not as it should be."""
