"""What the drivers of both servers do in the same way: what a peer asks its driver for.

Moving bytes is the part of each front-end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from telex.network.fork import give_up_connection, lead_nowhere
from telex.network.sockets import user_at_other_end
from telex.server.handler_threads import HandlerDriver, HandlerThreads

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from contextvars import Context

    from telex.application.dispatcher import Dispatcher
    from telex.limits import Limits
    from telex.server.registry import Registry
    from telex.server.thread_calls import ThreadCalls
    from telex.wire.message import Message


class ServerThread(Protocol):
    """What all connections of a server share, in the server's own thread."""

    @property
    def registry(self) -> Registry:
        """The connections."""

    @property
    def calls(self) -> ThreadCalls:
        """The calls of other threads."""


class ServerDriver(HandlerDriver):
    """The driver of one connection that a server accepted. Derive, and move the bytes."""

    __slots__ = ()

    dispatcher: Dispatcher
    socket: socket.socket
    _server: ServerThread

    @property
    def limits(self) -> Limits:
        """The limits of the server."""
        return self._server.registry.limits

    @property
    def user_id(self) -> int | None:
        """The user that the peer runs as, if the peer is at the other end of a Unix socket."""
        return None if self.socket.fileno() < 0 else user_at_other_end(self.socket)

    def is_own_thread(self) -> bool:
        """Say whether the calling thread is the server's."""
        return self._server.calls.is_own_thread()

    def post(self, function: Callable[..., object], *arguments: object, size: int = 0) -> None:
        """Have a function called in the server's thread; see ``ThreadCalls.post``."""
        self._server.calls.post(function, *arguments, size=size)

    def sent(self, message: Message) -> None:
        """Tell the observers of a message that was sent without being asked for."""
        self._server.registry.tell_of_message(self.dispatcher.peer, message)

    def leave_to_owner(self, why: str) -> None:
        """Leave the connection to the process that this one was forked from."""
        lead_nowhere((self.socket.fileno(),))
        give_up_connection(self.connection, why)

    def _handler_threads_in(self, context: Context) -> HandlerThreads:
        """Return what runs the handlers of this connection that block; made when it is needed."""
        dispatcher = self.dispatcher
        handler_threads = HandlerThreads(self, dispatcher, self._server.registry.threads, context)
        dispatcher.drop_unwanted = handler_threads.drop_unwanted
        return handler_threads


def leave_connections_to_owner(registry: Registry, why: str) -> None:
    """Leave all connections of a server to the process that this one was forked from."""
    for driver in registry.drivers:
        if isinstance(driver, ServerDriver):
            driver.leave_to_owner(why)
    registry.drivers.clear()
    registry.threads.leave_to_owner()
