"""multiprocessing.connection: bytes from process to process, with the standard library."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable
from multiprocessing import connection as connections
from multiprocessing.connection import Connection, Listener
from typing import Any, Final

from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally, Wire
from benchmarks.peers.works import IDLE, Kind, Work

_MOST_THREADS: Final = 1_000
_PREFIX: Final = struct.Struct("!i")


class MultiprocessingConnection(Contestant):
    """Blocking connections, and a thread for each of them at the server."""

    key = "multiprocessing"
    name = "multiprocessing.connection"
    how = (
        "`Listener` and `Client` with `send_bytes` and `recv_bytes`, which leave pickling out, and "
        "`TCP_NODELAY` set on its sockets; a thread for each connection at the server."
    )
    imports = "import multiprocessing.connection"

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve each connection in a thread."""
        with Listener((HOST, 0), backlog=1024) as listener:
            address: Any = listener.address
            ready(address[1])
            while True:
                connection = _without_delay(listener.accept())
                if service is Service.SINK:
                    threading.Thread(target=_take, args=[connection, tally], daemon=True).start()
                else:
                    threading.Thread(target=_echo, args=[connection], daemon=True).start()

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""
        return _Client(_without_delay(connections.Client((HOST, port))))

    def wire(self, content: bytes) -> Wire:
        """Return the length and the content."""
        frame = _PREFIX.pack(len(content)) + content
        return Wire(b"", lambda received: True, (frame,), len(frame))

    def why_not(self, work: Work) -> str | None:
        """Return why it has no part in a work."""
        if work is IDLE or (work.kind is Kind.CONNECTIONS and work.connections > _MOST_THREADS):
            return "it would take a thread for each connection"
        return None


def _without_delay(connection: Connection[bytes, bytes]) -> Connection[bytes, bytes]:
    """Have small messages sent at once, which the library leaves to its user."""
    with socket.socket(fileno=os.dup(connection.fileno())) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _take(connection: Connection[bytes, bytes], tally: Tally) -> None:
    note, receive = tally.note, connection.recv_bytes
    while True:
        content = receive()
        if content:
            note(len(content))
        else:
            tally.end()


def _echo(connection: Connection[bytes, bytes]) -> None:
    with connection:
        try:
            while True:
                connection.send_bytes(connection.recv_bytes())
        except (EOFError, ConnectionError):
            return


class _Client(Client):
    def __init__(self, connection: Connection[bytes, bytes]) -> None:
        self._connection: Final = connection

    def send_all(self, content: bytes, count: int) -> None:
        send = self._connection.send_bytes
        for _ in range(count):
            send(content)
        send(b"")

    def request_all(self, content: bytes, count: int, outstanding: int) -> list[int]:
        send, receive = self._connection.send_bytes, self._connection.recv_bytes
        sent = min(outstanding, count)
        for _ in range(sent):
            send(content)
        sizes: list[int] = []
        while len(sizes) < count:
            sizes.append(len(receive()))
            if sent < count:
                send(content)
                sent += 1
        return sizes

    def request(self, content: bytes) -> bytes:
        self._connection.send_bytes(content)
        return self._connection.recv_bytes()


CONTESTANTS: Final = [MultiprocessingConnection()]
