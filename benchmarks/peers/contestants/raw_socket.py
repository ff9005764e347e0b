"""The limit: sockets and a length of four bytes before each object, and nothing else."""

from __future__ import annotations

import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally, Wire

_PREFIX: Final = struct.Struct("!I")
_BATCH: Final = 256 * 1024
_PIECE: Final = 64 * 1024
_LARGE: Final = 64 * 1024
"""Bytes from which on an object is received by itself."""


class RawSocket(Contestant):
    """Blocking sockets; only for thousands of connections there is a selector."""

    key = "raw"
    name = "raw socket"
    how = (
        "Blocking sockets and a length of four bytes before each object, `sendall` and `recv_into` "
        "of 256 KiB at a time, objects of 64 KiB and more by themselves; ping-pong is plain `send` "
        "and `recv`, many connections a loop over `selectors`."
    )

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve one connection, or all of them where there are many."""
        with socket.create_server((HOST, 0), backlog=1024) as listener:
            ready(listener.getsockname()[1])
            if service is Service.CROWD:
                _echo_to_all(listener)
            while True:
                sock, _ = listener.accept()
                with sock:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    if service is Service.SINK:
                        _take(sock, tally)
                    else:
                        _echo(sock)

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""
        sock = socket.create_connection((HOST, port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Client(sock)

    def wire(self, content: bytes) -> Wire:
        """Return the length and the content."""
        frame = _PREFIX.pack(len(content)) + content
        return Wire(b"", lambda received: True, (frame,), len(frame))


def _take(sock: socket.socket, tally: Tally) -> None:
    note = tally.note
    for content in _objects(sock):
        if content:
            note(len(content))
        else:
            tally.end()


def _objects(sock: socket.socket) -> Iterator[bytes]:
    """Yield each object that comes, until the connection ends."""
    buffer = bytearray(_BATCH)
    view = memoryview(buffer)
    prefix_size, size_at = _PREFIX.size, _PREFIX.unpack_from
    begin = end = 0
    while received := sock.recv_into(view[end:]):
        end += received
        while end - begin >= prefix_size:
            (size,) = size_at(buffer, begin)
            start, stop = begin + prefix_size, begin + prefix_size + size
            if stop > end:
                if size < _LARGE:
                    break
                rest = sock.recv(stop - end, socket.MSG_WAITALL)
                yield b"".join((view[start:end], rest))
                yield from _large_objects(sock)
                begin = end = 0
                break
            yield bytes(view[start:stop])
            begin = stop
        view[: end - begin] = view[begin:end]
        begin, end = 0, end - begin


def _large_objects(sock: socket.socket) -> Iterator[bytes]:
    """Yield objects that are received by themselves, as long as they are large, and one more."""
    size = _LARGE
    while size >= _LARGE:
        prefix = sock.recv(_PREFIX.size, socket.MSG_WAITALL)
        if not prefix:
            return
        (size,) = _PREFIX.unpack(prefix)
        yield sock.recv(size, socket.MSG_WAITALL) if size else b""


def _echo(sock: socket.socket) -> None:
    """Send back whatever comes."""
    while received := sock.recv(_PIECE):
        sock.sendall(received)


def _echo_to_all(listener: socket.socket) -> None:
    """Send back whatever comes on any of the connections."""
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is listener:
                    sock, _ = listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(sock, selectors.EVENT_READ)
                elif received := sock.recv(_PIECE):
                    sock.sendall(received)
                else:
                    selector.unregister(sock)
                    sock.close()


class _Client(Client):
    def __init__(self, sock: socket.socket) -> None:
        self._socket: Final = sock
        self._objects: Final = _objects(sock)

    def send_all(self, content: bytes, count: int) -> None:
        frame = _PREFIX.pack(len(content)) + content
        at_a_time = max(1, _BATCH // len(frame))
        batch = frame * at_a_time
        for _ in range(count // at_a_time):
            self._socket.sendall(batch)
        self._socket.sendall(frame * (count % at_a_time) + _PREFIX.pack(0))

    def request_all(self, content: bytes, count: int, outstanding: int) -> list[int]:
        frame = _PREFIX.pack(len(content)) + content
        sizes: list[int] = []
        half = outstanding // 2
        self._socket.sendall(frame * min(outstanding, count))
        sent = min(outstanding, count)
        for answer in self._objects:
            sizes.append(len(answer))
            if len(sizes) == count:
                break
            if sent < count and sent - len(sizes) <= half:
                more = min(half, count - sent)
                self._socket.sendall(frame * more)
                sent += more
        return sizes

    def request(self, content: bytes) -> bytes:
        self._socket.send(content)
        return self._socket.recv(_PIECE)


CONTESTANTS: Final = [RawSocket()]
