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
from collections.abc import Callable, Generator, Iterator
from typing import Any

from telex import ConnectionClosedError, Message, RequestTimeoutError, TelexError, WaitTimeoutError
from telex.application.dispatcher import Run
from telex.client.answers import answer_of, late_error, late_part_error, raise_error_of
from telex.connection.connection import Connection
from telex.conversation.calls import Call
from telex.network.transfer import receive, transmit
from telex.server.registry import Registry
from telex.wire.message import message_from

LONGEST_WAIT = 60.0
_END: Any = object()


class Driver(threading.Thread):
    """Moves the bytes between a socket and a connection; ``changed`` is held by who touches it."""

    def __init__(
        self, sock: socket.socket, connection: Connection, changed: threading.Condition
    ) -> None:
        super().__init__(daemon=True)
        sock.setblocking(False)
        self.connection = connection
        self.changed = changed
        self.is_closed = False
        self._sock = sock
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)

    def run(self) -> None:
        """Take turns until the connection has ended."""
        while not self.is_closed:
            with self.changed:
                reading = [self._sock] if self.connection.wants_to_read else []
                writing = [self._sock] if self.connection.data_to_send() else []
                due = self.connection.next_deadline - time.monotonic()
            timeout = min(max(0.0, due), LONGEST_WAIT)
            readable, _, _ = select.select([self._woken, *reading], writing, [], timeout)
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
        except ConnectionClosedError as error:
            self.connection.lost(error, now)
            return
        if data:
            self.take(len(data), self.connection.receive_data(data, now))
        elif data is not None:
            self.connection.receive_eof(now)

    def turn(self) -> None:
        """Send what there is, and close when everything is done."""
        self.flush()
        if threading.current_thread() is not self:
            with contextlib.suppress(OSError):  # it is awake, or has ended
                self._waker.send(b"x")
        elif self.connection.is_finished:
            self.close_socket()

    def flush(self) -> None:
        """Give the network what it takes now."""
        if not self.is_closed:
            transmit(self._sock, self.connection, time.monotonic())

    def close_socket(self) -> None:
        """Close, after a last attempt to send."""
        self.flush()
        self.is_closed = True
        self.connection.finish()
        self._sock.close()

    def take(self, size: int, messages: list[Message]) -> None:
        """Take the messages that ``size`` bytes have completed."""
        if messages:
            self.connection.unread.add(messages)


class ServerDriver(Driver):
    """Moves the bytes of one connection of a server; ``Peer`` says what its methods are for."""

    def __init__(
        self, registry: Registry, changed: threading.Condition, sock: socket.socket, address: str
    ) -> None:
        super().__init__(sock, registry.connection(time.monotonic()), changed)
        self.limits = registry.limits
        self.user_id: int | None = None
        self.bytes_held = 0
        self.refusal_was_logged = False
        self._registry = registry
        self.dispatcher = registry.dispatcher(self.connection, self, address, self._run_elsewhere)
        registry.add(self, time.monotonic())

    def take(self, size: int, messages: list[Message]) -> None:
        """Have the messages handled."""
        self.dispatcher.received(size, messages)

    def turn(self) -> None:
        """Send, and go on with what waited for room."""
        said = -1
        while said != (said := self.connection.said) and not self.is_closed:
            super().turn()
            if self.dispatcher.waits_for_room and not self.connection.is_backed_up:
                self.dispatcher.advance()
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
        connection = self.connection
        with self.changed:
            while size and connection.is_backed_up and not self.is_closed:
                self.changed.wait(LONGEST_WAIT)
            function(*arguments)
            self.turn()

    def flush_soon(self) -> None:
        """Do nothing: a turn follows whatever happens."""

    def refuse(self, code: str, why: str) -> None:
        """Tell the peer why it is not served."""
        self.connection.refuse(code, why, time.monotonic())

    def sent(self, message: Message) -> None:
        """Tell nobody."""

    def _run_elsewhere(self, run: Run) -> None:
        threading.Thread(target=self._step, args=(run,), daemon=True).start()

    def _step(self, run: Run) -> None:
        """Call a handler, or take one step of its generator, in a thread of its own."""
        dispatcher, result, failure = self.dispatcher, None, None
        try:
            call = run.handler.call
            result = next(run.parts, _END) if run.parts else call(run.message, dispatcher.peer)
        except BaseException as error:  # noqa: BLE001 - a user's code raises what it likes
            failure = error
        with self.changed:
            if failure is not None:
                dispatcher.failed(run, failure)
            elif run.parts is None:
                dispatcher.returned(run, result)
            elif result is _END:
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

    def send(self, content: object, **keywords: Any) -> None:
        """Send a message, when there is room for it."""
        with self.changed:
            self.changed.wait_for(lambda: self.is_closed or not self.connection.is_backed_up)
            self.connection.send(message_from(content, keywords))
            self.turn()

    def request(self, content: object, *, timeout: float | None = None, **said: Any) -> Message:
        """Ask, and return the answer."""
        message = message_from(content, said)
        with self._asking(lambda: self.connection.conversation.request(message)) as call:
            late = late_error(call.subject, timeout)
            self._wait(lambda: call.is_done or call.is_in_parts, timeout, late)
            return answer_of(call, self.connection)

    def request_parts(
        self, content: object, *, timeout: float | None = None, **said: Any
    ) -> Generator[Message, None, None]:
        """Ask, and iterate over the parts of the answer."""
        message, unread, held, has_begun = message_from(content, said), self.connection.unread, 0, 0

        def note_parts() -> None:
            nonlocal held
            before, held = held, sum(part.memory_size for part in call.parts)
            (unread.hold if held > before else unread.consumed)(abs(held - before))

        with self._asking(lambda: self.connection.conversation.request(message)) as call:
            call.on_progress = note_parts
            note_parts()
            while not call.is_done or call.parts:
                late = late_part_error(call.subject, timeout, has_begun=has_begun > 0)
                self._wait(lambda: call.is_done or call.parts, timeout, late)
                with self.changed:
                    parts, has_begun = call.take_parts(), 1
                    note_parts()
                    self.turn()
                yield from parts
        raise_error_of(call, self.connection)

    def ping(self, timeout: float | None = 10.0) -> float:
        """Ask for a sign of life; return how many seconds it took."""
        begun_at = time.monotonic()
        with self._asking(self.connection.conversation.ping) as call:
            late = RequestTimeoutError("the answer to a ping", timeout or 0.0)
            self._wait(lambda: call.is_done, timeout, late)
        raise_error_of(call, self.connection)
        return time.monotonic() - begun_at

    def receive(self, timeout: float | None = None) -> Message:
        """Return the next message."""
        unread = self.connection.unread
        with self.changed:
            late = WaitTimeoutError("a message", timeout or 0.0)
            self._wait(lambda: unread.count or self.is_closed, timeout, late)
            if not unread.count:
                raise self.connection.ending.closed_error()
            message = unread.take()
            self.turn()
            return message

    def close(self, timeout: float = 10.0) -> None:
        """Say goodbye, and wait for the server's end; raise what nobody was told yet."""
        connection = self.connection
        with self.changed:
            if not self.is_closed:
                connection.close(time.monotonic())
                self.turn()
            has_ended = self.changed.wait_for(lambda: self.is_closed, timeout)
            error = connection.ending.unseen_error()
            if error is None and not has_ended:
                error = connection.ending.overdue_error(timeout)
            connection.finish()
            self.turn()
        if error is not None:
            raise error

    @contextlib.contextmanager
    def _asking(self, begin: Callable[[], Call]) -> Iterator[Call]:
        """Begin a call, which nobody waits for any more at the end of the context."""
        with self.changed:
            self.connection.check_open()
            call = begin()
            self.connection.unread.expect(call)
            self.turn()
        try:
            yield call
        finally:
            with self.changed:
                self.connection.conversation.abandon(call)
                self.connection.unread.expect_no_more(call)
                call.take_parts()
                if call.on_progress is not None:
                    call.on_progress()
                self.turn()

    def _wait(
        self, condition: Callable[[], object], timeout: float | None, late: TelexError
    ) -> None:
        with self.changed:
            if not self.changed.wait_for(condition, timeout):
                raise late
