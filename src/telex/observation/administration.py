"""What the operators of a server may ask it over Telex, and who they are.

A server that has operators keeps a tally for each connection, and answers on two subjects of its
own: what its connections do, and that one be closed. The application behind it never sees these
messages. ``telex top`` asks; what it makes of the answer is not known here.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from telex.application.application import Application
from telex.application.connected_peer import ConnectedPeer
from telex.application.handler import Handler
from telex.application.observer import Observer
from telex.application.peer import Peer
from telex.errors import Refusal
from telex.version import __version__
from telex.wire.message import Message

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from telex.errors import TelexError
    from telex.wire.processor import State

LIST: Final = "telex.admin.connections"
"""The subject that is answered with what all connections do."""

CLOSE: Final = "telex.admin.close"
"""The subject on which a connection is closed, by its number."""

_OWN: Final = (LIST, CLOSE)
_ROOT: Final = 0


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """Which connection is to be closed: its ``number`` in the snapshot."""

    number: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """What has gone one way since the connection began."""

    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Slowest:
    """The handler that took longest, by its pattern, in seconds; it may still be at work."""

    pattern: str | None
    seconds: float
    is_running: bool


@dataclass(frozen=True, slots=True)
class ConnectionState:
    """What one connection does; ``age`` is in seconds, ``partial`` and ``unsent`` in bytes."""

    number: int
    name: str
    identity: str | None
    age: float
    received: Traffic
    sent: Traffic
    waiting: int
    partial: int
    unsent: int
    slowest: Slowest


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a process serves at a moment: ``now``, in seconds of a clock that never goes back.

    ``you`` is the number of the connection that has asked. With ``shares_address`` other processes
    serve at the same address, and answer for themselves.
    """

    version: str
    pid: int
    shares_address: bool
    uptime: float
    now: float
    you: int
    connections: list[ConnectionState]


class Tally:
    """What is counted of one connection."""

    __slots__ = (
        "begun_at",
        "bytes_received",
        "bytes_sent",
        "messages_received",
        "messages_sent",
        "number",
        "peer",
        "running",
        "slowest",
        "slowest_seconds",
    )

    def __init__(self, number: int, peer: ConnectedPeer) -> None:
        self.number: Final = number
        self.peer: Final = peer
        self.begun_at: Final = time.monotonic()
        self.messages_received: int = 0
        self.bytes_received: int = 0
        self.messages_sent: int = 0
        self.bytes_sent: int = 0
        self.running: Final[dict[int, tuple[str | None, float]]] = {}
        """The handlers at work: their patterns, and when they began, by the message's identity."""
        self.slowest: str | None = None
        self.slowest_seconds: float = 0.0

    def state(self, now: float) -> ConnectionState:
        """Return all of it."""
        slowest = Slowest(self.slowest, self.slowest_seconds, False)
        for pattern, begun in self.running.values():
            if now - begun > slowest.seconds:
                slowest = Slowest(pattern, now - begun, True)
        queues = self.peer.queues
        return ConnectionState(
            number=self.number,
            name=self.peer.address,
            identity=self.peer.identity,
            age=now - self.begun_at,
            received=Traffic(self.messages_received, self.bytes_received),
            sent=Traffic(self.messages_sent, self.bytes_sent),
            waiting=queues.messages,
            partial=queues.partial,
            unsent=queues.unsent,
            slowest=slowest,
        )


class Administration(Observer):
    """Keeps the tallies of a server, and answers its operators.

    Operators are those whose identity is one of ``admins``, and at a Unix socket whoever runs as
    the same user as the server, or as root. ``shares_address`` says that there are other processes
    at the same address, which answer for themselves.
    """

    def __init__(self, admins: Collection[str], *, shares_address: bool = False) -> None:
        if isinstance(admins, str):
            raise TypeError(f"admins is a collection of names, such as [{admins!r}]")
        self._admins: Final = frozenset(admins)
        self._shares_address: Final = shares_address
        self._begun_at: Final = time.monotonic()
        self._tallies: dict[Peer, Tally] = {}
        self._accepted = 0

    def behind(self, application: Application) -> Application:
        """Return an application that answers operators too, and else is the one that is given."""
        own: dict[str | None, Handler] = {
            LIST: Handler(self._list, pattern=LIST),
            CLOSE: Handler(self._close, pattern=CLOSE),
        }
        return _Administered(application, own)

    # What is counted

    def connected(self, peer: Peer) -> None:
        """Begin a tally."""
        assert isinstance(peer, ConnectedPeer)
        self._accepted += 1
        self._tallies[peer] = Tally(self._accepted, peer)

    def data_received(self, peer: Peer, size: int, state: State, bytes_needed: int) -> None:
        """Count bytes."""
        self._tallies[peer].bytes_received += size

    def message_received(self, peer: Peer, message: Message) -> None:
        """Count a message."""
        self._tallies[peer].messages_received += 1

    def handler_started(self, peer: Peer, message: Message, pattern: str | None) -> None:
        """Remember since when it is at work; what operators ask is no work."""
        tally = self._tallies.get(peer)
        if tally is not None and pattern not in _OWN:
            tally.running[id(message)] = pattern, time.monotonic()

    def handler_ended(
        self, peer: Peer, message: Message, pattern: str | None, seconds: float
    ) -> None:
        """Remember the slowest."""
        tally = self._tallies.get(peer)
        if tally is not None:
            tally.running.pop(id(message), None)
            if seconds > tally.slowest_seconds and pattern not in _OWN:
                tally.slowest, tally.slowest_seconds = pattern, seconds

    def message_sent(self, peer: Peer, message: Message) -> None:
        """Count a message."""
        tally = self._tallies.get(peer)
        if tally is not None:
            tally.messages_sent += 1

    def data_sent(self, peer: Peer, size: int) -> None:
        """Count bytes."""
        tally = self._tallies.get(peer)
        if tally is not None:
            tally.bytes_sent += size

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Forget the tally."""
        self._tallies.pop(peer, None)

    # What is answered

    def _list(self, message: Message, peer: Peer) -> Snapshot:
        """Answer with what all connections do."""
        own = self._check(peer)
        now = time.monotonic()
        return Snapshot(
            version=__version__,
            pid=os.getpid(),
            shares_address=self._shares_address,
            uptime=now - self._begun_at,
            now=now,
            you=own.number,
            connections=[tally.state(now) for tally in self._tallies.values()],
        )

    def _close(self, message: Message[CloseOrder], peer: Peer) -> dict[str, str]:
        """Close a connection, as soon as this is answered."""
        self._check(peer)
        number = message.content.number
        for tally in self._tallies.values():
            if tally.number == number:
                tally.peer.close("an operator of the server has closed the connection")
                return {"closed": tally.peer.address}
        raise Refusal("no-connection", f"there is no connection {number} any more")

    def _check(self, peer: Peer) -> Tally:
        """Return the tally of an operator; refuse anybody else."""
        tally = self._tallies[peer]
        if peer.identity in self._admins:
            return tally
        user = tally.peer.user_id
        if user is not None and user in (_ROOT, os.geteuid()):
            return tally
        who = "you have shown no name" if peer.identity is None else f"{peer.identity!r} is none"
        raise Refusal("unauthorized", f"only operators of the server may ask this, and {who}")


class _Administered(Application):
    """An application with handlers in front that are not its own."""

    def __init__(self, served: Application, own: dict[str | None, Handler]) -> None:
        super().__init__()
        self._served: Final = served
        self._own: Final = own
        self.startup_hooks = served.startup_hooks
        self.shutdown_hooks = served.shutdown_hooks
        self.failure_hooks = served.failure_hooks

    @property
    def async_names(self) -> list[str]:
        """Names of the handlers and hooks that need an event loop."""
        return self._served.async_names

    def find(self, subject: str | None) -> Handler | None:
        """Return the handler for a subject, or None when there is none."""
        return self._own.get(subject) or self._served.find(subject)


def administered(
    application: Application,
    observer: Observer | Iterable[Observer] | None,
    admins: Collection[str],
    *,
    shares_address: bool,
) -> tuple[Application, list[Observer]]:
    """Return an application that answers operators, and the observers that it needs for that."""
    administration = Administration(admins, shares_address=shares_address)
    given = [observer] if isinstance(observer, Observer) else list(observer or ())
    return administration.behind(application), [*given, administration]
