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
    """Base of observers: a method for each event of a server. Override those that you need.

    The server calls an observer in the server's thread and waits for the call to return, so a slow
    observer makes the server slow. An exception of an observer is logged, and has no other effect.
    An event that is not overridden costs nothing.

    ``pattern`` is the pattern that a handler was registered for, such as ``"orders.*"``, and None
    for the handler of all other subjects. An application has a fixed number of patterns; peers may
    send any number of subjects.
    """

    def connected(self, peer: Peer) -> None:
        """A peer has connected."""

    def data_received(self, peer: Peer, size: int, state: State, bytes_needed: int) -> None:
        """``size`` bytes were received; ``bytes_needed`` more bytes complete ``state``.

        ``size`` counts the bytes that travel: with TLS, the encrypted ones.
        """

    def message_received(self, peer: Peer, message: Message) -> None:
        """A message is complete; its handler has not been called yet."""

    def handler_started(self, peer: Peer, message: Message, pattern: str | None) -> None:
        """A handler is about to be called, or to wait for a thread that calls it."""

    def handler_ended(
        self, peer: Peer, message: Message, pattern: str | None, seconds: float
    ) -> None:
        """A handler has returned or failed, ``seconds`` after it was started.

        ``seconds`` includes the wait for a thread, and for a generator the wait for a slow peer.
        """

    def message_failed(self, peer: Peer, message: Message, code: str) -> None:
        """A message was not handled: ``code`` is the code of the error.

        ``no-handler``, ``bad-content`` and ``handler-failed`` are Telex's own codes; other codes
        come from a Refusal.
        """

    def message_sent(self, peer: Peer, message: Message) -> None:
        """An answer, a part of an answer, or a plain message was queued for the peer."""

    def data_sent(self, peer: Peer, size: int) -> None:
        """``size`` bytes, counted before encryption, were taken to be sent to the peer."""

    def stalled(self, peer: Peer, unsent: int) -> None:
        """The peer has taken nothing of ``unsent`` bytes for 5 s; told once for a connection."""

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """The connection is closed; ``error`` is the reason, or None if it was closed normally."""
