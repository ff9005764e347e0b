"""What the shared tests act on, with the third front-end: its server, and its client's methods.

Listening and dialling are here, and what a program calls, said in terms of the driver. A client of
a server of this front-end gets one end of a socket pair; plain sockets of the tests come over TCP.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Self

from telex import (
    Address,
    Application,
    ConnectionClosedError,
    Limits,
    Message,
    Observer,
    RequestTimeoutError,
)
from telex.address import meant_by
from telex.client.answers import answer_of, late_error, late_part_error, raise_error_of
from telex.connection.connection import Connection
from telex.conversation.calls import Call
from telex.conversation.greeting import Greeting
from telex.security.tls_layer import TlsLayer
from telex.server.registry import Registry
from telex.wire.factory import message_from
from tests.behaviour.stage import Events, RunningServer, plug_into
from tests.third_front_end.driver import ClientDriver, ServerDriver


class Serving:
    """A server of the third front-end; see ``telex.testing.serving.Serving``."""

    def __init__(
        self,
        application: Application,
        limits: Limits,
        observers: Iterable[Observer],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._application = application
        self._registry = Registry(application, limits, Greeting("third"), observers, tls, None)
        self._changed = threading.Condition()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._drivers: list[ServerDriver] = []
        self._timer = threading.Timer(limits.drain_timeout, self._cut_off)
        self._timer.daemon = True
        host, port = self._listener.getsockname()
        self.address: Address = meant_by(f"{'tcp' if tls is None else 'tls'}://{host}:{port}")
        for hook in application.startup_hooks:
            hook()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    def add(self, sock: socket.socket, address: str) -> None:
        """Serve the peer at the other end of a socket."""
        with self._changed:
            driver = ServerDriver(self._registry, self._changed, sock, address)
            self._drivers.append(driver)
            driver.start()

    def shutdown(self) -> None:
        """Have it end."""
        with self._changed:
            if not self._registry.is_ending:
                self._listener.shutdown(socket.SHUT_RDWR)
                self._registry.leave(time.monotonic())
                self._timer.start()

    def has_ended(self, timeout: float) -> bool:
        """Wait at most so many seconds for its end; return whether it came."""
        deadline = time.monotonic() + timeout
        self._acceptor.join(timeout)
        for driver in self._drivers:
            driver.join(max(0.0, deadline - time.monotonic()))
        return not any(driver.is_alive() for driver in self._drivers)

    def clean_up(self) -> list[BaseException]:
        """Give everything back."""
        self._timer.cancel()
        return []

    def _accept(self) -> None:
        with self._listener, contextlib.suppress(OSError):
            while True:
                sock, (host, port) = self._listener.accept()
                self.add(sock, f"{host}:{port}")

    def _cut_off(self) -> None:
        with self._changed:
            self._registry.cut_off(time.monotonic())


class ThirdServer(RunningServer):
    """A server of the third front-end, and what it told its observer."""

    def __init__(
        self,
        application: Application,
        *,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.events = Events()
        self._has_stopped = False
        self._third = Serving(application, limits or Limits(), [self.events], tls)
        self._serving = self._third
        self.address = self._serving.address

    def join(self) -> socket.socket:
        """Return a socket whose other end is served."""
        ours, theirs = socket.socketpair()
        self._third.add(theirs, "127.0.0.1:0")
        return ours


class ThirdClient(ClientDriver):
    """A connection of the third front-end, with what is short to say in terms of the rest."""

    def __init__(
        self,
        where: ThirdServer | Address | str,
        *,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        timeout: float | None = None,
    ) -> None:
        layer = None if tls is None else TlsLayer(tls, "127.0.0.1")
        is_third = isinstance(where, ThirdServer)
        sock = where.join() if isinstance(where, ThirdServer) else plug_into(meant_by(where))
        assert is_third or timeout is not None
        greeting, now = Greeting("third"), time.monotonic()
        connection = Connection(limits or Limits(), greeting, serves=False, now=now, layer=layer)
        super().__init__(sock, connection)

    def send(self, content: object, **keywords: Any) -> None:  # type: ignore[override]
        """Send content as a message."""
        super().send(message_from(content, keywords))

    def send_many(self, messages: Iterable[object]) -> None:
        """Send many messages."""
        for message in messages:
            self.send(message)

    def request(self, content: object, *, timeout: float | None = None, **said: Any) -> Message:
        """Ask, and return the answer."""
        message = message_from(content, said)
        with self._asking(lambda: self.connection.conversation.request(message)) as call:
            late = late_error(call.subject, timeout)
            self.wait(lambda: call.is_done or call.is_in_parts, timeout, late)
            return answer_of(call, self.connection)

    def ping(self, timeout: float | None = 10.0) -> float:
        """Ask for a sign of life; return how many seconds it took."""
        begun_at = time.monotonic()
        with self._asking(self.connection.conversation.ping) as call:
            late = RequestTimeoutError("the answer to a ping", timeout or 0.0)
            self.wait(lambda: call.is_done, timeout, late)
            raise_error_of(call, self.connection)
        return time.monotonic() - begun_at

    def request_parts(
        self, content: object, *, timeout: float | None = None, **said: Any
    ) -> Generator[Message, None, None]:
        """Ask, and iterate over the parts of the answer."""
        message, held = message_from(content, said), 0

        def note_parts() -> None:
            nonlocal held
            before, held = held, sum(part.memory_size for part in call.parts)
            unread = self.connection.unread
            (unread.hold if held > before else unread.consumed)(abs(held - before))

        with self._asking(lambda: self.connection.conversation.request(message)) as call:
            call.keeps_parts = True
            call.on_progress = note_parts
            note_parts()
            try:
                while not call.is_done or call.parts:
                    late = late_part_error(call.subject, timeout, has_begun=call.is_in_parts)
                    self.wait(lambda: call.is_done or call.parts, timeout, late)
                    with self.changed:
                        parts = call.take_parts()
                        note_parts()
                    yield from parts
            finally:
                with self.changed:
                    call.take_parts()
                    note_parts()
            raise_error_of(call, self.connection)

    @contextlib.contextmanager
    def _asking(self, begin: Callable[[], Call]) -> Iterator[Call]:
        """Begin a call, which nobody waits for any more at the end of the context."""
        with self.changed:
            self.connection.check_open()
            call = begin()
            self.connection.unread.expect(call)
        try:
            yield call
        finally:
            with self.changed:
                self.connection.conversation.abandon(call)
                self.connection.unread.expect_no_more(call)
                self.turn()

    def __iter__(self) -> Iterator[Message]:
        """Iterate over the messages until the end; raise why, if it was not a good one."""
        with contextlib.suppress(ConnectionClosedError):
            while True:
                yield self.receive()
        error = self.connection.ending.closed_error()
        if not self.connection.ending.is_good:
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def options_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that the third front-end knows."""
    return {name: options[name] for name in ("limits", "tls", "timeout") if name in options}
