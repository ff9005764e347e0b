"""A TCP proxy that makes a network as bad as a test wants it, the same way for the same seed.

It cuts what passes into random pieces, holds pieces up, stalls, and resets connections. Every
connection and each of its directions has dice of its own, so that what happens to the bytes of one
does not depend on when those of another came. It knows nothing of messages.
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
from telex.testing.network_faults import Weather

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_RECEIVE_SIZE: Final = 64 * 1024
_NEVER: Final = float("inf")
_PATIENCE: Final = 30.0


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
        self._links: Final[set[_Link]] = set()
        self._count = 0
        self._is_frozen = False
        self._passing: Final = threading.Lock()
        """Held while something may pass, so that nothing is half-way when the network freezes."""
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
        self._thread.join(_PATIENCE)
        if self._thread.is_alive():
            raise RuntimeError(f"the proxy to {self._target} did not end within {_PATIENCE:g} s")
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
            for link in list(self._links):
                self._end(link)
            self._selector.close()
            self._listener.close()

    def _turn(self) -> None:
        """Wait until bytes can pass, or may pass now, and pass them."""
        moments = (
            []
            if self._is_frozen
            else [way.next_at for link in self._links for way in link.ways_held_up()]
        )
        wait = max(0.0, min(moments, default=_NEVER) - time.monotonic())
        for key, _events in self._selector.select(None if wait == _NEVER else wait):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._wake_reader:
                self._wake_reader.recv(4096)
        if self._must_reset:
            self._must_reset = False
            for link in list(self._links):
                self._end(link, with_reset=True)
        for link in list(self._links):
            self._pass_on(link)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                try:
                    near, _address = self._listener.accept()
                except ConnectionAbortedError:
                    continue  # by the client, before it was let in
                self._count += 1
                try:
                    far = _connected_to(self._target)
                except OSError:
                    near.close()
                    continue
                link = _Link(near, far, self._weather, f"{self._seed} {self._count}")
                self._links.add(link)

    def _pass_on(self, link: _Link) -> None:
        """Pass on what may pass now, and look for what comes and what can be taken."""
        try:
            with self._passing:
                for way in () if self._is_frozen else link.ways:
                    self.pieces += way.pass_on(time.monotonic())
        except (_ResetError, OSError):
            self._end(link, with_reset=True)
            return
        if all(way.is_over for way in link.ways):
            self._end(link)
            return
        for sock, events in link.events(self._is_frozen).items():
            self._watch(link, sock, events)

    def _watch(self, link: _Link, sock: socket.socket, events: int) -> None:
        watched = link.watched.get(sock, 0)
        if events and watched and events != watched:
            self._selector.modify(sock, events)
        elif events and not watched:
            self._selector.register(sock, events)
        elif watched and not events:
            self._selector.unregister(sock)
        link.watched[sock] = events

    def _end(self, link: _Link, *, with_reset: bool = False) -> None:
        self._links.discard(link)
        self.resets += with_reset
        for sock in (link.near, link.far):
            self._watch(link, sock, 0)
            if with_reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()


class _ResetError(Exception):
    """The dice say that the connection is to be reset."""


class _Link:
    """A connection that is passed on."""

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
        self.ways = (
            _Way(near, far, weather, random.Random(f"{seed} there")),
            _Way(far, near, weather, random.Random(f"{seed} back")),
        )

    def ways_held_up(self) -> list[_Way]:
        """Return the directions that wait for their time, and not for a socket."""
        return [
            way
            for way in self.ways
            if way.pending and not self.watched.get(way.sink, 0) & selectors.EVENT_WRITE
        ]

    def events(self, is_frozen: bool) -> dict[socket.socket, int]:
        """Say what each socket is waited for."""
        now = time.monotonic()
        wanted = {self.near: 0, self.far: 0}
        for way in self.ways:
            if is_frozen:
                continue
            if not way.pending and not way.has_ended:
                wanted[way.source] |= selectors.EVENT_READ
            elif way.pending and way.next_at <= now:
                wanted[way.sink] |= selectors.EVENT_WRITE
        return wanted


@dataclass(slots=True)
class _Way:
    """One direction of a connection."""

    source: socket.socket
    sink: socket.socket
    weather: Weather
    dice: random.Random
    pending: memoryview = field(default_factory=lambda: memoryview(b""))
    next_at: float = 0.0
    has_ended: bool = False
    is_over: bool = False
    left_until_reset: float = _NEVER

    def __post_init__(self) -> None:
        self.left_until_reset = self.weather.bytes_until_reset(self.dice)

    def pass_on(self, now: float) -> int:
        """Pass on what may pass now; return in how many pieces."""
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
                self.next_at = now + self.weather.pause(self.dice)
        return pieces

    def _receive(self) -> None:
        """Take more from the source, or pass its end on."""
        data = self.source.recv(_RECEIVE_SIZE)
        self.pending = memoryview(data)
        if not data:
            self.has_ended = self.is_over = True
            self.sink.shutdown(socket.SHUT_WR)

    def _send_piece(self) -> None:
        size = self.weather.piece_size(len(self.pending), self.dice)
        sent = self.sink.send(self.pending[:size])
        self.pending = self.pending[sent:]
        self.left_until_reset -= sent
        if self.left_until_reset < 0:
            raise _ResetError


def _connected_to(target: Address) -> socket.socket:
    """Connect to the server; raises OSError when it cannot be reached."""
    if target.scheme == "unix":
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(target.path)
        except OSError:
            sock.close()
            raise
        return sock
    return socket.create_connection((target.host, target.port), _PATIENCE)
