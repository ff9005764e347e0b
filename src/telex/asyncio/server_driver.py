"""The driver of one connection of the asyncio server: it moves bytes, takes turns, and closes.

What happens to the connection is decided by its ``Connection``, what becomes of messages by its
``Dispatcher``. A turn never runs in the context (``contextvars``) of a handler: whatever begins in
it, such as reading on, would keep that context. A turn never waits.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from telex.asyncio.driver import Driver
from telex.asyncio.handler_tasks import HandlerTasks
from telex.server import driver

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from telex.application.dispatcher import Dispatcher
    from telex.application.run import Run
    from telex.asyncio.server_loop import ServerLoop
    from telex.server.handler_threads import HandlerThreads
    from telex.wire.message import Message


class ServerDriver(Driver, driver.ServerDriver):
    """Moves the bytes of one connection that a server accepted as ``sock``."""

    _server: ServerLoop

    __slots__ = (
        "_handler_tasks",
        "_handler_threads",
        "_has_ended",
        "_server",
        "_turn_is_due",
        "bytes_held",
        "dispatcher",
        "refusal_was_logged",
    )

    def __init__(self, server: ServerLoop, sock: socket.socket, address: str) -> None:
        registry = server.registry
        super().__init__(server.loop, sock, registry.connection(monotonic()))
        self.dispatcher: Dispatcher = registry.dispatcher(
            self.connection, self, address, self._run_elsewhere
        )
        self.bytes_held: int = 0
        self.refusal_was_logged: bool = False
        self._handler_threads: HandlerThreads | None = None
        self._server = server
        self._handler_tasks: HandlerTasks | None = None
        self._turn_is_due = False
        self._has_ended = False

    # What the peer of a handler needs

    def post(self, function: Callable[..., object], *arguments: object, size: int = 0) -> None:
        """Have a function called in the loop's thread; see ``ThreadCalls.post``."""
        if self.loop.is_closed():
            self._server.calls.end()  # nobody has closed the server; its thread makes no calls
        super().post(function, *arguments, size=size)

    def flush(self) -> None:
        """Give the network what it takes now."""
        self._server.context.copy().run(self._send)

    def flush_soon(self) -> None:
        """Take a turn when those who are ready now have done what they do."""
        if not self._turn_is_due:
            self._server.call_soon(self._due_turn)
            self._turn_is_due = True

    def refuse(self, code: str, why: str) -> None:
        """Tell the peer why it is not served, and end the connection."""
        self.connection.refuse(code, why, monotonic())
        self.turn()

    def leave_to_owner(self, why: str) -> None:
        """Leave the connection to the process that this one was forked from."""
        self._has_ended = True
        self.leave_room_watch_to_owner()
        super().leave_to_owner(why)

    # What the transport tells

    def opened(self) -> None:
        """Begin: from now on the connection receives."""
        self._server.add(self)
        self.turn()

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come; see ``Driver``."""
        try:
            super().buffer_updated(nbytes)
        except KeyboardInterrupt:
            raise
        except BaseException as fault:  # noqa: BLE001 - logged; the other connections are served
            self.break_off(fault)

    def eof_received(self) -> bool:
        """Handle the end of the peer's output: what threads sent before goes out before the end."""
        self._server.calls.make_all()
        return super().eof_received()

    def received(self, size: int, messages: list[Message]) -> None:
        """Have messages handled, and take a turn."""
        if not self._has_ended:
            self.dispatcher.received(size, messages)
            self.turn()

    def lost(self) -> None:
        """Go towards the end: the transport is gone. What had come before is still handled."""
        self.turn()

    # What happens next

    def turn(self) -> None:
        """Send, go on with what was held, and decide what to wait for."""
        try:
            if self._server.registry.observes_output:
                self._send()
            else:
                self.transmit()
            if not (self.connection.is_quiet and self._is_reading) or self.bytes_held:
                self._go_on()
        except KeyboardInterrupt:
            raise
        except BaseException as fault:  # noqa: BLE001 - logged; the other connections are served
            self.break_off(fault)

    def _due_turn(self) -> None:
        self._turn_is_due = False
        self.turn()

    def _go_on(self) -> None:
        """Go on with what was held; end, or set what is waited for."""
        server = self._server
        if self._has_ended:
            server.remove(self)
            return
        connection = self.connection
        dispatcher = self.dispatcher
        if dispatcher.can_advance:
            dispatcher.advance()
            self._send()
        server.registry.note(self)
        if connection.is_finished:  # which may have come of what it held
            self._end()
            return
        was_reading = self._is_reading
        self.read_if_wanted()
        if self._is_reading and not was_reading:
            self._server.call_soon(self.flush_soon)  # the loop receives before that turn
            return
        if self._handler_tasks is not None:
            self._handler_tasks.output_has_gone()
        if dispatcher.can_advance:
            self.flush_soon()

    def _send(self) -> None:
        """Send what the network takes now, and tell the observers of that."""
        said_before = self.connection.said
        self.transmit()
        self._server.registry.tell_of_output(self, said_before)

    def _end(self) -> None:
        """Close, and let go of everything: neither the handlers nor their peer keep it."""
        if self._has_ended:
            return
        self._has_ended = True
        self._server.remove(self)
        self.abort()
        if self._handler_tasks is not None:
            self._handler_tasks.end_streams()
        self._handler_tasks = None
        self._handler_threads = None
        del self.dispatcher

    def break_off(self, fault: BaseException) -> None:
        """End this connection, and no other one, after an exception that should not be."""
        self._server.registry.break_off(self, fault, monotonic())
        self._end()

    # What handlers need that take longer than a call

    def _run_elsewhere(self, run: Run) -> None:
        if run.handler.blocking:
            if self._handler_threads is None:
                self._handler_threads = self._handler_threads_in(self._server.context)
            self._handler_threads.start(run)
            return
        if self._handler_tasks is None:
            self._handler_tasks = HandlerTasks(self._server, self.dispatcher, self)
        self._handler_tasks.start(run)
