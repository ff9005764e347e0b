"""A TCP proxy with the faults of a network, which are the same for the same seed.

It cuts the bytes into random pieces, delays pieces, stalls, and resets connections. Each direction
of each connection has a random number generator of its own, so that its faults do not depend on the
timing of the others. It knows nothing of messages.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from telex.address import Address, meant_by
from telex.network.resolver import resolve
from telex.network.sockets import NO_SIGNAL
from telex.testing.network_faults import Weather

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_RECEIVE_SIZE: Final = 64 * 1024
_NEVER: Final = float("inf")
_TIMEOUT: Final = 30.0


class Proxy:
    """Forwards connections to a server, in a thread of its own, during its context.

    ``target`` is the server's address: ``tcp://``, ``tls://`` (forwarded without decryption) or
    ``unix://``. Clients connect to ``address``, on 127.0.0.1. The same ``seed`` gives the same
    random numbers.

    >>> import telex, telex.testing
    >>> app = telex.Application()
    >>> @app.on()
    ... def echo(message):
    ...     return message.content
    >>> weather = telex.testing.Weather(largest_piece=10)
    >>> with (
    ...     telex.testing.Servers() as serve,
    ...     telex.testing.Proxy(serve(app), weather) as proxy,
    ...     telex.sync.connect(proxy.address) as connection,
    ... ):
    ...     connection.request("in many pieces", timeout=10).content
    ...     proxy.pieces > 10
    'in many pieces'
    True
    """

    def __init__(
        self, target: Address | str, weather: Weather | None = None, *, seed: int = 1
    ) -> None:
        self._target: Final = meant_by(target)
        self._weather: Final = weather or Weather()
        self._seed: Final = seed
        self._selector: Final = selectors.DefaultSelector()
        self._listener: Final = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.setblocking(False)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._selector.register(self._wake_reader, selectors.EVENT_READ)
        self._thread: Final = threading.Thread(target=self._run, daemon=True)
        self._connections: Final[set[_ForwardedConnection]] = set()
        self._count = 0
        self._is_frozen = False
        self._passing: Final = threading.Lock()
        """Held while bytes are forwarded, so that after ``freeze()`` no more bytes pass."""
        self._must_reset = False
        self._is_ending = False
        self._failure: BaseException | None = None
        self.pieces: int = 0
        """The number of pieces that have passed."""
        self.resets: int = 0
        """The number of connections that were reset."""

    @property
    def address(self) -> Address:
        """The address that clients connect to."""
        host, port = self._listener.getsockname()
        scheme = "tls" if self._target.scheme == "tls" else "tcp"
        return Address(scheme, host, port)

    def freeze(self) -> None:
        """Stop forwarding, and keep all connections open, as if the cable were pulled."""
        with self._passing:
            self._is_frozen = True
        self._wake()

    def thaw(self) -> None:
        """Forward again, after ``freeze()``."""
        self._is_frozen = False
        self._wake()

    def reset(self) -> None:
        """Reset every connection."""
        self._must_reset = True
        self._wake()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_ending = True
        self._wake()
        self._thread.join(_TIMEOUT)
        if self._thread.is_alive():
            raise RuntimeError(f"the proxy to {self._target} did not end within {_TIMEOUT:g} s")
        self._wake_reader.close()  # not sooner: the thread may end before it is woken
        self._wake_writer.close()
        if self._failure is not None:
            raise RuntimeError(f"the proxy to {self._target} failed") from self._failure

    def _wake(self) -> None:
        self._wake_writer.send(b"\0")

    def _run(self) -> None:
        try:
            while not self._is_ending:
                self._turn()
        except BaseException as failure:  # noqa: BLE001 - the end of the context raises it
            self._failure = failure
        finally:
            for connection in list(self._connections):
                self._end(connection)
            self._selector.close()
            self._listener.close()

    def _turn(self) -> None:
        """Wait until bytes can be forwarded, and forward them."""
        moments = (
            []
            if self._is_frozen
            else [
                direction.next_at
                for connection in self._connections
                for direction in connection.delayed_directions()
            ]
        )
        wait = max(0.0, min(moments, default=_NEVER) - time.monotonic())
        for key, _events in self._selector.select(None if wait == _NEVER else wait):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._wake_reader:
                self._wake_reader.recv(4096)
        if self._must_reset:
            self._must_reset = False
            for connection in list(self._connections):
                self._end(connection, with_reset=True)
        for connection in list(self._connections):
            self._forward(connection)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    near, _address = self._listener.accept()
                except ConnectionAbortedError:
                    continue  # the client has given up
                self._count += 1
                try:
                    far = _connected_to(self._target)
                except OSError:
                    near.close()
                    continue
                connection = _ForwardedConnection(
                    near, far, self._weather, f"{self._seed} {self._count}"
                )
                self._connections.add(connection)

    def _forward(self, connection: _ForwardedConnection) -> None:
        """Forward the bytes whose time has come, and set the events to wait for."""
        try:
            with self._passing:
                for direction in () if self._is_frozen else connection.directions:
                    self.pieces += direction.forward(time.monotonic())
        except (_ResetError, OSError):
            self._end(connection, with_reset=True)
            return
        if all(direction.is_over for direction in connection.directions):
            self._end(connection)
            return
        for sock, events in connection.events(self._is_frozen).items():
            self._watch(connection, sock, events)

    def _watch(self, connection: _ForwardedConnection, sock: socket.socket, events: int) -> None:
        watched = connection.watched.get(sock, 0)
        if events and watched and events != watched:
            self._selector.modify(sock, events)
        elif events and not watched:
            self._selector.register(sock, events)
        elif watched and not events:
            self._selector.unregister(sock)
        connection.watched[sock] = events

    def _end(self, connection: _ForwardedConnection, *, with_reset: bool = False) -> None:
        self._connections.discard(connection)
        self.resets += with_reset
        for sock in (connection.near, connection.far):
            self._watch(connection, sock, 0)
            if with_reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


class _ResetError(Exception):
    """The connection must be reset, by chance."""


class _ForwardedConnection:
    """A forwarded connection: the socket of the client, and the socket to the server."""

    def __init__(
        self, near: socket.socket, far: socket.socket, weather: Weather, seed: str
    ) -> None:
        self.near = near
        self.far = far
        self.watched: dict[socket.socket, int] = {}
        for sock in (near, far):
            sock.setblocking(False)
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.directions = (
            _Direction(near, far, weather, random.Random(f"{seed} there")),
            _Direction(far, near, weather, random.Random(f"{seed} back")),
        )

    def delayed_directions(self) -> list[_Direction]:
        """Return the directions that wait for the end of a delay, and not for a socket."""
        return [
            direction
            for direction in self.directions
            if direction.pending and not self.watched.get(direction.sink, 0) & selectors.EVENT_WRITE
        ]

    def events(self, is_frozen: bool) -> dict[socket.socket, int]:
        """Return the events to wait for, by socket."""
        now = time.monotonic()
        wanted = {self.near: 0, self.far: 0}
        for direction in self.directions:
            if is_frozen:
                continue
            if not direction.pending and not direction.has_ended:
                wanted[direction.source] |= selectors.EVENT_READ
            elif direction.pending and direction.next_at <= now:
                wanted[direction.sink] |= selectors.EVENT_WRITE
        return wanted


@dataclass(slots=True)
class _Direction:
    """One direction of a connection."""

    source: socket.socket
    sink: socket.socket
    weather: Weather
    random_numbers: random.Random
    pending: memoryview = field(default_factory=lambda: memoryview(b""))
    next_at: float = 0.0
    has_ended: bool = False
    is_over: bool = False
    left_until_reset: float = _NEVER

    def __post_init__(self) -> None:
        self.left_until_reset = self.weather.bytes_until_reset(self.random_numbers)

    def forward(self, now: float) -> int:
        """Forward the bytes whose time has come; return the number of pieces."""
        pieces = 0
        with contextlib.suppress(BlockingIOError):
            while not self.is_over:
                if not self.pending:
                    self._receive()
                    continue
                if self.next_at > now:
                    break
                self._send_piece()
                pieces += 1
                self.next_at = now + self.weather.pause(self.random_numbers)
        return pieces

    def _receive(self) -> None:
        """Receive more from the source, or forward the end of its stream."""
        data = self.source.recv(_RECEIVE_SIZE)
        self.pending = memoryview(data)
        if not data:
            self.has_ended = self.is_over = True
            self.sink.shutdown(socket.SHUT_WR)

    def _send_piece(self) -> None:
        size = self.weather.piece_size(len(self.pending), self.random_numbers)
        sent = self.sink.send(self.pending[:size], NO_SIGNAL)
        self.pending = self.pending[sent:]
        self.left_until_reset -= sent
        if self.left_until_reset < 0:
            raise _ResetError


def _connected_to(target: Address) -> socket.socket:
    """Connect to the server; raises OSError when it cannot be reached."""
    if target.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(resolve(target)[0].address)
        except OSError:
            sock.close()
            raise
        return sock
    return socket.create_connection((target.host, target.port), _TIMEOUT)
