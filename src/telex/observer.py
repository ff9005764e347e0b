"""What a server tells about its connections, for those who watch: logs, metrics, a terminal.

An observer sees everything and decides nothing. Who wants to hear of what is found out once, when a
server is made, so that an event that nobody hears costs nothing. This module must never know a
front-end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.log import safe_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from telex.application import Application, Peer
    from telex.errors import TelexError
    from telex.protocol.message import Message
    from telex.protocol.processor import State

    Event = Callable[..., None]
    """What is called at an event, with the peer and the facts."""

OBSERVER_FAILED: Final = "%s: the observer failed"
"""What is logged, with the name of the connection, when an observer raises an exception."""

logger: Final = safe_logger("telex.server")


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


class Audience:
    """The observers of a server, event by event: what is to be called, or None for nobody."""

    __slots__ = (
        "connected",
        "data_received",
        "data_sent",
        "disconnected",
        "handler_ended",
        "handler_started",
        "message_failed",
        "message_received",
        "message_sent",
    )

    def __init__(self, observers: Iterable[Observer]) -> None:
        everybody = list(observers)
        self.connected: Final = _heard("connected", everybody)
        self.data_received: Final = _heard("data_received", everybody)
        self.message_received: Final = _heard("message_received", everybody)
        self.handler_started: Final = _heard("handler_started", everybody)
        self.handler_ended: Final = _heard("handler_ended", everybody)
        self.message_failed: Final = _heard("message_failed", everybody)
        self.message_sent: Final = _heard("message_sent", everybody)
        self.data_sent: Final = _heard("data_sent", everybody)
        self.disconnected: Final = _heard("disconnected", everybody)

    @property
    def follows_handlers(self) -> bool:
        """Whether anybody hears when handlers begin or end."""
        return self.handler_started is not None or self.handler_ended is not None

    @property
    def follows_messages(self) -> bool:
        """Whether anybody hears what becomes of messages after they have come."""
        outcomes = (self.message_failed, self.message_sent, self.data_sent)
        return self.follows_handlers or any(event is not None for event in outcomes)


def observers_of(
    application: Application, observer: Observer | Iterable[Observer] | None
) -> list[Observer]:
    """Return who is told of a server's events: the application's observers and the given, once."""
    given = [observer] if isinstance(observer, Observer) else observer or ()
    everybody: list[Observer] = []
    for one in (*application.observers, *given):
        if not any(one is known for known in everybody):
            everybody.append(one)
    return everybody


def audience_of(observer: Observer | Iterable[Observer] | None) -> Audience | None:
    """Return who hears what; None for no observer at all. Raises TypeError for anything else."""
    if observer is None:
        return None
    observers = [observer] if isinstance(observer, Observer) else list(observer)
    for one in observers:
        if not isinstance(one, Observer):
            raise TypeError(f"{one!r} is no telex.Observer")
    return Audience(observers) if observers else None


def _heard(event: str, observers: list[Observer]) -> Event | None:
    """Return what tells all who have overridden an event."""
    listeners: list[Event] = []
    for observer in observers:
        method = getattr(observer, event)
        if getattr(method, "__func__", method) is not getattr(Observer, event):
            listeners.append(method)
    if len(listeners) <= 1:
        return listeners[0] if listeners else None

    def tell_all(peer: Peer, *facts: object) -> None:
        for listener in listeners:
            try:
                listener(peer, *facts)
            except Exception:  # the others are to hear of it all the same
                logger.exception(OBSERVER_FAILED, peer.address)

    return tell_all
