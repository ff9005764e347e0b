"""A third front-end: a thread for each connection, over sockets that are connected already.

It shows how little a front-end must do. It receives, hands in, sends what it is given, and waits:
nothing here knows a kind, an error code, a size limit, or how a connection ends.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable

from telex import ConnectionClosedError, Message, TelexError, WaitTimeoutError
from telex.application.run import Run
from telex.connection.connection import Connection
from telex.network.transfer import receive, transmit
from telex.server.registry import Registry

LONGEST_WAIT = 60.0


class Driver(threading.Thread):
    """Moves the bytes between a socket and a connection; whoever touches it holds ``changed``."""

    def __init__(
        self, sock: socket.socket, connection: Connection, changed: threading.Condition
    ) -> None:
        super().__init__(daemon=True)
        sock.setblocking(False)
        self.connection, self.changed, self._sock = connection, changed, sock
        self.is_closed = False
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)

    def run(self) -> None:
        """Take turns until the connection has ended."""
        while not self.is_closed:
            with self.changed:
                reading = [self._sock] if self.connection.wants_to_read else []
                writing = [self._sock] if self.connection.wants_to_write else []
                due = min(self.connection.next_deadline - time.monotonic(), LONGEST_WAIT)
            readable, _, _ = select.select([self._woken, *reading], writing, [], max(0.0, due))
            with self.changed:
                now = time.monotonic()
                if self._woken in readable:
                    self._woken.recv(4096)
                if self._sock in readable:
                    self._receive(now)
                if self.connection.next_deadline <= now:
                    self.connection.handle_deadline(now)
                self.turn()
                self.changed.notify_all()
        self._waker.close()
        self._woken.close()

    def _receive(self, now: float) -> None:
        try:
            data = receive(self._sock)
            if data:
                self.take(len(data), self.connection.receive_data(data, now))
            elif data is not None:
                self.connection.receive_eof(now)
        except ConnectionClosedError as error:
            self.connection.lost(error, now)

    def turn(self) -> None:
        """Send what there is, and close when everything is done; any thread may call this."""
        self.flush()
        if threading.current_thread() is not self:
            with contextlib.suppress(OSError):  # the thread is awake, or has ended
                self._waker.send(b"x")
        elif self.connection.is_finished:
            self.close_socket()

    def flush(self) -> None:
        """Give the network what it takes now."""
        if not self.is_closed:
            transmit(self._sock, self.connection, time.monotonic())

    def has_room(self) -> bool:
        """Say whether more may be added to the output."""
        return not (self.connection.is_backed_up or self.connection.is_finished)

    def close_socket(self) -> None:
        """Close, after a last attempt to send."""
        self.flush()
        self.is_closed = True
        self.connection.finish()
        self._sock.close()

    def take(self, size: int, messages: list[Message]) -> None:
        """Keep the messages that ``size`` bytes have completed."""
        self.connection.unread.add(messages)


class ServerDriver(Driver):
    """Moves the bytes of one connection of a server; ``Peer`` says what its methods are for."""

    user_id: int | None = None
    refusal_was_logged = False

    def __init__(
        self, registry: Registry, changed: threading.Condition, sock: socket.socket, address: str
    ) -> None:
        super().__init__(sock, registry.connection(time.monotonic()), changed)
        self.limits, self._registry, self.bytes_held = registry.limits, registry, 0
        self.dispatcher = registry.dispatcher(self.connection, self, address, self._run_elsewhere)
        registry.add(self, time.monotonic())

    def take(self, size: int, messages: list[Message]) -> None:
        """Have the messages handled."""
        self.dispatcher.received(size, messages)

    def turn(self) -> None:
        """Send, and go on with what waited for room."""
        super().turn()
        while self.dispatcher.can_advance and not self.connection.is_finished:
            self.dispatcher.advance()
            super().turn()
        self._registry.note(self)

    def close_socket(self) -> None:
        """Close, and have the registry say so."""
        super().close_socket()
        self._registry.remove(self)

    def is_own_thread(self) -> bool:
        """Say whether the caller holds the lock already."""
        return threading.current_thread() is self

    def post(self, function: Callable[..., object], *arguments: object, size: int = 0) -> None:
        """Call a function when there is room for what it brings."""
        with self.changed:
            self.changed.wait_for(lambda: not size or self.has_room() or self.is_closed)
            function(*arguments)
            self.turn()

    def flush_soon(self) -> None:
        """Do nothing: a turn follows whatever happens."""

    def refuse(self, code: str, why: str) -> None:
        """Tell the peer why it is not served."""
        self.connection.refuse(code, why, time.monotonic())

    def sent(self, message: Message) -> None:
        """Tell nobody."""

    def break_off(self, fault: BaseException) -> None:
        """End the connection for a fault of this server."""
        self._registry.break_off(self, fault, time.monotonic())

    def _run_elsewhere(self, run: Run) -> None:
        threading.Thread(target=self._step, args=(run,), daemon=True).start()

    def _step(self, run: Run) -> None:
        """Call a handler, or take one step of its generator, in a thread of its own."""
        dispatcher, call, failure = self.dispatcher, run.handler.call, None
        try:
            result = next(run.parts, self) if run.parts else call(run.message, dispatcher.peer)
        except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
            result, failure = None, error
        with self.changed:
            if failure is not None:
                dispatcher.failed(run, failure)
            elif run.parts is None:
                dispatcher.returned(run, result)
            elif result is self:  # which no generator yields
                dispatcher.exhausted(run)
            elif dispatcher.yielded(run, result):
                dispatcher.go_on_with(run)
            else:
                dispatcher.broken_off(run)
            dispatcher.advance()
            self.turn()


class ClientDriver(Driver):
    """A client's connection; any thread may use it."""

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        super().__init__(sock, connection, threading.Condition())
        self.start()

    def send(self, message: Message) -> None:
        """Send a message, when there is room for it."""
        with self.changed:
            self.changed.wait_for(lambda: self.has_room() or self.is_closed)
            self.connection.send(message)
            self.turn()

    def receive(self, timeout: float | None = None) -> Message:
        """Return the next message."""
        unread = self.connection.unread
        with self.changed:
            self.wait(
                lambda: unread.count or self.is_closed,
                timeout,
                WaitTimeoutError("a message", timeout or 0.0),
            )
            if not unread.count:
                raise self.connection.ending.closed_error()
            return unread.take()

    def close(self, timeout: float = 10.0) -> None:
        """Say goodbye, and wait for the server's end; raise what nobody was told yet."""
        ending = self.connection.ending
        with self.changed:
            self.connection.close(time.monotonic())
            self.turn()
            has_ended = self.changed.wait_for(lambda: self.is_closed, timeout)
            error = ending.unseen_error() or (None if has_ended else ending.overdue_error(timeout))
            self.connection.finish()
            self.turn()
        if error is not None:
            raise error

    def wait(
        self, condition: Callable[[], object], timeout: float | None, late: TelexError
    ) -> None:
        """Wait for something to become true; raise ``late`` when it does not in time."""
        with self.changed:
            self.turn()
            if not self.changed.wait_for(condition, timeout):
                raise late
