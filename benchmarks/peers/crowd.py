"""The load generator for many connections, the same for all contestants whose bytes are known.

One thread and one selector: it sends bytes that were made before, and counts those that come back.
"""

from __future__ import annotations

import itertools
import selectors
import socket
import time
from collections import deque
from types import TracebackType
from typing import Final, Self

from benchmarks.peers.contestants.base import HOST, Wire

_PIECE: Final = 64 * 1024
_PATIENCE: Final = 30.0
"""Seconds without an answer after which the server is taken to hang."""

_OPENED_AT_A_TIME: Final = 64


class Crowd:
    """Connections to one server, for the time of the context; raises what goes wrong with any."""

    def __init__(self, port: int, wire: Wire, content: bytes, count: int) -> None:
        self._address: Final = (HOST, port)
        self._wire: Final = wire
        self._content: Final = content
        self._count: Final = count
        self._selector: Final = selectors.DefaultSelector()
        self._connections: Final[list[_Connection]] = []

    def __enter__(self) -> Self:
        try:
            self.grow(self._count)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def grow(self, count: int) -> None:
        """Open so many further connections, and ask each of them once."""
        while count:
            batch = [_Connection(self._address) for _ in range(min(count, _OPENED_AT_A_TIME))]
            self._connections.extend(batch)
            for connection in batch:
                connection.be_welcomed(self._wire)
            for connection in batch:
                connection.ask_once(self._wire, self._content)
            count -= len(batch)
            for connection in batch:
                connection.socket.setblocking(False)
                self._selector.register(connection.socket, selectors.EVENT_READ, connection)

    def request_all(self, count: int, outstanding: int) -> list[int]:
        """Send so many requests, to one connection after the other; return the times they took.

        So many of them wait for their answers at a time. The times are in nanoseconds, in the order
        of the answers.
        """
        turns = _Turns(self._connections, self._wire.requests)
        times: list[int] = []
        turns.send(min(outstanding, count))
        left = count - min(outstanding, count)
        while len(times) < count:
            ready = self._selector.select(_PATIENCE)
            if not ready:
                raise TimeoutError(f"{count - len(times)} answers are missing")
            answered = sum(key.data.take(self._wire, self._content, times) for key, _ in ready)
            if left and answered:
                turns.send(min(answered, left))
                left -= min(answered, left)
        return times

    def _close(self) -> None:
        for connection in self._connections:
            connection.socket.close()
        self._selector.close()


class _Connection:
    """One connection, and when its unanswered requests were sent."""

    __slots__ = ("_received", "sent_at", "socket")

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket: Final = socket.create_connection(address, _PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sent_at: Final[deque[int]] = deque()
        self._received = 0

    def be_welcomed(self, wire: Wire) -> None:
        """Say what a connection begins with, and wait for the answer."""
        if not wire.opening:
            return
        self.socket.sendall(wire.opening)
        received = b""
        while not wire.is_welcome(received):
            received += self._receive()

    def ask_once(self, wire: Wire, content: bytes) -> None:
        """Send a request and wait for its answer."""
        self.socket.sendall(wire.requests[0])
        received = b""
        while len(received) < wire.answer_size:
            received += self._receive()
        if len(received) != wire.answer_size or not received.endswith(content):
            raise RuntimeError(f"the answer is wrong: {received!r}")

    def take(self, wire: Wire, content: bytes, times: list[int]) -> int:
        """Receive; return how many requests are answered by now, and add how long they took."""
        received = self._receive()
        self._received += len(received)
        answered, self._received = divmod(self._received, wire.answer_size)
        now = time.perf_counter_ns()
        times += [now - self.sent_at.popleft() for _ in range(answered)]
        if not self._received and not received.endswith(content[-len(received) :]):
            raise RuntimeError(f"the answer is wrong: {received!r}")
        return answered

    def _receive(self) -> bytes:
        received = self.socket.recv(_PIECE)
        if not received:
            raise ConnectionError("the server has closed a connection")
        return received


class _Turns:
    """Sends requests, to each of the connections in its turn."""

    def __init__(self, connections: list[_Connection], requests: tuple[bytes, ...]) -> None:
        self._connections: Final = connections
        self._requests: Final = itertools.cycle(requests)
        self._next = 0

    def send(self, count: int) -> None:
        """Send so many requests; those for one connection go together."""
        total = len(self._connections)
        each, more = divmod(count, total)
        for position in range(total if each else more):
            connection = self._connections[(self._next + position) % total]
            here = each + (position < more)
            now = time.perf_counter_ns()
            connection.sent_at.extend([now] * here)
            connection.socket.sendall(b"".join(itertools.islice(self._requests, here)))
        self._next = (self._next + more) % total
