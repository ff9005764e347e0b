"""The driver of one connection of the selectors server: it moves bytes, and decides nothing.

What happens to a connection is decided by its ``Connection``, what its messages mean by its
``Dispatcher``, and what the server does about it by the ``Registry``. A driver never waits and
never raises: nobody else would notice what happens to its connection.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING

from telex.errors import ConnectionClosedError
from telex.network.transfer import receive, receive_into, transmit
from telex.server import driver
from telex.sync.loop import READ, WRITE

if TYPE_CHECKING:
    import socket

    from telex.application.dispatcher import Dispatcher
    from telex.application.run import Run
    from telex.connection.connection import Connection
    from telex.server.handler_threads import HandlerThreads
    from telex.sync.loop import Loop


class ServerDriver(driver.ServerDriver):
    """Moves the bytes between a socket and a connection, in the thread of the loop."""

    _server: Loop

    __slots__ = (
        "_handler_threads",
        "_has_turn",
        "_is_closed",
        "_server",
        "bytes_held",
        "connection",
        "dispatcher",
        "refusal_was_logged",
        "socket",
        "watched",
    )

    def __init__(self, loop: Loop, sock: socket.socket, address: str) -> None:
        registry = loop.registry
        self.connection: Connection = registry.connection(loop.now)
        self.dispatcher: Dispatcher = registry.dispatcher(
            self.connection, self, address, self._run_elsewhere
        )
        self.bytes_held: int = 0
        self.refusal_was_logged: bool = False
        self._handler_threads: HandlerThreads | None = None
        self.socket: socket.socket = sock
        self.watched: int = 0
        self._server = loop
        self._has_turn = False  # now, or later in this turn of the loop
        self._is_closed = False

    def begin(self) -> None:
        """Join the server. Raises OSError when the socket cannot be polled."""
        self._server.watch(self, READ)
        self._server.registry.add(self, self._server.now)
        self.turn()

    # Turns

    def ready(self, events: int) -> None:
        """Receive, handle and send as far as that goes without waiting."""
        if self._is_closed:
            self._has_turn = False
            self._server.registry.remove(self)  # a handler that is done holds its message no longer
            return
        self._has_turn = True
        try:
            if events & READ:
                self._receive()
            self._send()
            if self.watched != READ or self.bytes_held or not self.connection.is_quiet:
                self._settle()
        except KeyboardInterrupt:
            raise
        except BaseException as fault:  # noqa: BLE001 - logged; the other connections are served
            self.break_off(fault)
        self._has_turn = False

    def turn(self) -> None:
        """Send, go on with what was held, and decide what to wait for."""
        self.ready(0)

    def _receive(self) -> None:
        """Take what has come, and have the messages handled that it completes."""
        connection, now = self.connection, self._server.now
        buffer = connection.content_buffer()
        if buffer is not None:
            self._receive_content(buffer)
            return
        try:
            data = receive(self.socket)
        except ConnectionClosedError as error:
            connection.lost(error, now)
            return
        if data:
            self.dispatcher.received(len(data), connection.receive_data(data, now))
        elif data is not None:
            self._receive_eof()

    def _receive_eof(self) -> None:
        """Handle the end of the peer's output: what threads sent before goes out before the end."""
        self._server.calls.make_all()
        self.connection.receive_eof(self._server.now)

    def _receive_content(self, buffer: memoryview) -> None:
        """Take what has come of long content straight to where it belongs."""
        connection, now = self.connection, self._server.now
        try:
            with buffer:
                size = receive_into(self.socket, buffer)
        except ConnectionClosedError as error:
            connection.lost(error, now)
            return
        if size:
            self.dispatcher.received(size, connection.content_received(size, now))
        elif size is not None:
            self._receive_eof()

    def _send(self) -> None:
        """Give the network what it takes now."""
        connection, registry = self.connection, self._server.registry
        if registry.observes_output:
            said = connection.said
            transmit(self.socket, connection, self._server.now)
            registry.tell_of_output(self, said)
        else:
            transmit(self.socket, connection, self._server.now)

    def _settle(self) -> None:
        """Go on with what was held, close what has finished, and decide what to wait for."""
        connection, dispatcher = self.connection, self.dispatcher
        if dispatcher.can_advance:
            dispatcher.advance()
            self._send()
        self._server.registry.note(self)
        if self._is_closed:  # the registry may have it end, for all that it holds
            return
        if connection.is_finished:
            self._close()
            return
        events = READ if connection.wants_to_read else 0
        if connection.wants_to_write:
            events |= WRITE
        self._server.watch(self, events)
        if dispatcher.can_advance:
            self._server.later.append(self)

    def break_off(self, fault: BaseException) -> None:
        """End the connection for a fault of this server."""
        self._server.registry.break_off(self, fault, self._server.now)
        self._close()

    def leave_to_owner(self, why: str) -> None:
        """Leave the connection to the process that this one was forked from."""
        self._is_closed = True
        super().leave_to_owner(why)

    def _close(self) -> None:
        """Close the socket, and leave the server; harmless when repeated.

        The socket goes first: Ctrl-C may come next, and the server closes those that it knows.
        """
        self._server.forget(self)
        self.socket.close()
        self._server.registry.remove(self)
        self._is_closed = True

    # What a peer asks for, see ``application.connected_peer``

    def flush(self) -> None:
        """Give the network what it takes now."""
        if not self._is_closed:
            self._send()

    def flush_soon(self) -> None:
        """The same when everybody who is at work now has added to it."""
        if not self._has_turn:
            self._has_turn = True
            self._server.unsent.append(self)

    def refuse(self, code: str, why: str) -> None:
        """Tell the peer why it is not served, and end the connection."""
        if not self._is_closed:
            self.connection.refuse(code, why, self._server.now)
            self.turn()

    def _run_elsewhere(self, run: Run) -> None:
        if self._handler_threads is None:
            self._handler_threads = self._handler_threads_in(copy_context())
        self._handler_threads.start(run)
