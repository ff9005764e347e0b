"""pynng: PUSH and PULL one way, PAIR for requests on one connection, REP for many of them."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from pynng import Pair0, Pull0, Push0, Rep0

from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally, Wire

_BUFFERED: Final = 1024
"""Messages that wait in a socket."""

_END: Final = b"."
"""What ends a stream: a message without content cannot be received."""

_SERVERS: Final = {Service.SINK: Pull0, Service.ECHO: Pair0, Service.CROWD: Rep0}

_REQ: Final = struct.pack("!4sHH", b"\0SP\0", 48, 0)
_HEADER: Final = struct.Struct("!QI")
_LENGTH_SIZE: Final = 8
_LAST_HOP: Final = 0x80000000


class Pynng(Contestant):
    """Blocking sockets."""

    key = "pynng"
    name = "pynng"
    how = (
        "Blocking sockets with room for 1,024 messages: Push0 and Pull0 one way, Pair0 for "
        "requests on one connection, Rep0 on many."
    )
    packages = ("pynng",)
    imports = "import pynng"

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve in one thread."""
        with _SERVERS[service](recv_max_size=0) as server:
            if service is not Service.CROWD:  # a REP has one message at a time
                server.recv_buffer_size = _BUFFERED
            ready(_port_of(server.listen(f"tcp://{HOST}:0")))
            if service is Service.SINK:
                _take(server, tally)
            else:
                _echo(server)

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""
        kind = Push0 if service is Service.SINK else Pair0
        socket = kind(send_buffer_size=_BUFFERED, recv_max_size=0)
        if service is not Service.SINK:
            socket.recv_buffer_size = _BUFFERED
        socket.dial(f"tcp://{HOST}:{port}", block=True)
        return _Client(socket)

    def wire(self, content: bytes) -> Wire:
        """Return the bytes of SP over TCP as a REQ speaks it."""
        header = _HEADER.pack(_HEADER.size - _LENGTH_SIZE + len(content), _LAST_HOP | 1)
        frame = header + content
        return Wire(_REQ, lambda received: len(received) == len(_REQ), (frame,), len(frame))


def _port_of(listener: Any) -> int:
    """Return the port of a listener's address, which is in network order."""
    port: int = struct.unpack("!H", struct.pack("=H", listener.local_address.port))[0]
    return port


def _take(server: Any, tally: Tally) -> None:
    note, receive = tally.note, server.recv
    while True:
        size = len(receive())
        if size > len(_END):
            note(size)
        else:
            tally.end()


def _echo(server: Any) -> None:
    receive, send = server.recv, server.send
    while True:
        send(receive())


class _Client(Client):
    def __init__(self, socket: Any) -> None:
        self._socket: Final = socket

    def send_all(self, content: bytes, count: int) -> None:
        send = self._socket.send
        for _ in range(count):
            send(content)
        send(_END)

    def request_all(self, content: bytes, count: int, outstanding: int) -> list[int]:
        send, receive = self._socket.send, self._socket.recv
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
        self._socket.send(content)
        answer: bytes = self._socket.recv()
        return answer


CONTESTANTS: Final = [Pynng()]
