"""What the shared tests act on, with the third front-end: it listens and dials, which drivers do not.

A client of a server of this front-end gets one end of a socket pair. Plain sockets of the tests
come over TCP.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, Self

from telex import Address, Application, ConnectionClosedError, Limits, Message, Observer
from telex.address import meant_by
from telex.connection.connection import Connection
from telex.conversation.handshake import Greeting
from telex.security.tls_layer import TlsLayer
from telex.server.registry import Registry
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
        connection = Connection(
            limits or Limits(), greeting, serves=False, now=now, layer=layer
        )
        super().__init__(sock, connection)

    def send_many(self, messages: Iterable[object]) -> None:
        """Send many messages."""
        for message in messages:
            self.send(message)

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
