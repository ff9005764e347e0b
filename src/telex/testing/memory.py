"""A client's connection and an application's, joined in memory: bytes move when ``pump`` is called.

There is no socket, no thread and no clock here. Each front-end decides when to pump, which time it
is, and how a handler runs that takes its time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from telex.address import Address
from telex.connection.connection import Connection
from telex.conversation.greeting import Greeting
from telex.errors import ConnectionClosedError
from telex.server.registry import Registry
from telex.server.thread_calls import ThreadCalls

if TYPE_CHECKING:
    from collections.abc import Callable

    from telex.application.application import Application
    from telex.application.dispatcher import Dispatcher
    from telex.application.run import Run
    from telex.limits import Limits
    from telex.wire.message import Message

ADDRESS: Final = Address("unix", path="in-memory")
"""The address that a joined connection shows as its peer."""

_ROOM: Final = 64 * 1024
"""Bytes that are taken from an end while the other end does not read."""

_MUCH: Final = 1024 * 1024
"""Bytes of an answer in parts that are made at most before somebody asks for them."""

_GREETING: Final = Greeting("telex.testing")


class Memory:
    """Both connections, and the application; the driver of the application's end.

    ``run_elsewhere`` runs a handler that the dispatcher cannot call directly. ``wake`` is called
    by any thread, and makes the front-end call ``pump`` soon.
    """

    user_id = None

    def __init__(
        self,
        application: Application,
        limits: Limits,
        identity: str | None,
        peer_address: str,
        now: float,
        run_elsewhere: Callable[[Run], None],
        wake: Callable[[], None],
    ) -> None:
        self.limits: Final = limits
        self.registry: Final = Registry(application, limits, _GREETING, None, None, None)
        self.client: Final = Connection(limits, _GREETING, serves=False, now=now)
        self.connection: Connection = Connection(
            limits, _GREETING, serves=True, now=now, identity=identity
        )
        self.dispatcher: Dispatcher = self.registry.dispatcher(
            self.connection, self, peer_address, run_elsewhere
        )
        self.bytes_held: int = 0
        self.refusal_was_logged: bool = False
        self.calls: Final = ThreadCalls(wake)
        """Calls of other threads; ``pump`` makes them."""
        self.calls.enter()
        self.is_own_thread: Final = self.calls.is_own_thread
        self.post: Final = self.calls.post
        self.flush_soon: Final = wake
        self._there: Final = _Way(self.client, self.connection, self.dispatcher.received)
        self._back: Final = _Way(self.connection, self.client, self._keep)
        self._now = now
        self.registry.add(self, now)

    # Moving bytes

    def pump(self, now: float, most: int | None = None) -> bool:
        """Move once, both ways, what can be moved, and handle it; return whether anything moved.

        ``most`` is the most bytes that the client may send. Call this until nothing moves, or until
        what is waited for has come: an answer may have no end.
        """
        self._now = now
        client, connection, dispatcher = self.client, self.connection, self.dispatcher
        has_moved = bool(self.calls)
        self.calls.make()
        if dispatcher.can_advance:
            dispatcher.advance()
        has_moved |= self._there.move(now, most)
        self.turn()
        has_moved |= self._back.move(now)
        for end in (client, connection):
            if end.next_deadline <= now:
                end.handle_deadline(now)
                has_moved = True
        if connection.is_finished:
            self.registry.remove(self)
        if client.is_finished:
            client.finish()
        return has_moved

    @property
    def is_behind(self) -> bool:
        """Whether the application will soon have handled more of what the client has sent.

        A generator may yield without end, and nothing behind it is handled.
        """
        if self.dispatcher.has_generators and self.client.unread.size > _MUCH:
            return False
        return bool(self.calls or self.connection.unread.count or self._there.data)

    @property
    def next_deadline(self) -> float:
        """When to call ``pump`` even if nothing happens."""
        return min(self.client.next_deadline, self.connection.next_deadline)

    def cut_off(self, now: float) -> None:
        """End what the client has left behind, and make no more calls of threads."""
        if self.registry.drivers:
            self.registry.cut_off(now)
            self.pump(now)
        self.calls.close()

    def _keep(self, size: int, messages: list[Message]) -> None:
        """Keep what came for the client until somebody takes it."""
        if messages:
            self.client.unread.add(messages)

    # What a peer (``application.connected_peer``) and the registry ask for

    def turn(self) -> None:
        """Count what is held; ``pump`` does the rest."""
        self.registry.note(self)

    def flush(self) -> None:
        """Offer what was said to the client, which takes it when it is pumped."""
        self.connection.data_to_send()

    def refuse(self, code: str, why: str) -> None:
        """Tell the client why it is not served, and end the connection."""
        self.connection.refuse(code, why, self._now)
        self.turn()
        self.flush_soon()

    def break_off(self, fault: BaseException) -> None:
        """Tell the test of a fault of Telex itself."""
        raise fault

    def sent(self, message: Message) -> None:
        """Take no note of messages: nobody observes this server."""


class _Way:
    """One direction: what ``source`` has sent, and ``target`` has not received.

    ``came`` takes what the target receives.
    """

    def __init__(
        self, source: Connection, target: Connection, came: Callable[[int, list[Message]], None]
    ) -> None:
        self.data = b""
        """What is on its way."""
        self._source: Final = source
        self._target: Final = target
        self._came: Final = came

    def move(self, now: float, most: int | None = None) -> bool:
        """Move at most so many bytes, and the end of them; return whether anything moved."""
        source, target = self._source, self._target
        pieces, is_read = source.data_to_send(), target.wants_to_read
        if target.closing.is_cut and pieces:
            source.output_lost(ConnectionClosedError("peer", "it reads no more"), now)
            return True
        room = None if is_read else _ROOM - len(self.data)
        sent = b"".join(pieces)[:room][:most]
        source.data_sent(len(sent))
        came = self.data + sent if is_read else b""
        self.data = b"" if is_read else self.data + sent
        if came:
            self._came(len(came), target.receive_data(came, now))
        has_ended = source.wants_to_end_output
        if has_ended:
            source.output_ended(now)
        if not (source.closing.is_served or self.data):
            target.receive_eof(now)
        return bool(sent or came or has_ended)
