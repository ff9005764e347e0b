"""pyzmq: PUSH and PULL one way, DEALER and ROUTER for requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import zmq

from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally, Wire
from benchmarks.peers.works import Kind, Work

_GREETING: Final = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY: Final = b"\x05READY" + b"\x0bSocket-Type" + (6).to_bytes(4, "big") + b"DEALER"
_COMMAND: Final = 0x04
_SHORT_HEADER: Final = 2


class Pyzmq(Contestant):
    """Plain blocking sockets, the fastest that pyzmq has."""

    key = "pyzmq"
    name = "pyzmq"
    how = (
        "Blocking sockets: PUSH and PULL one way, DEALER and ROUTER for requests, which the ROUTER "
        "takes with `recv_multipart`, as the documentation does; `copy=False` from "
        "`zmq.COPY_THRESHOLD` (64 KiB) on."
    )
    packages = ("pyzmq",)
    imports: str | None = "import zmq"

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve in one thread."""
        with zmq.Context() as context:
            is_sink = service is Service.SINK
            with context.socket(zmq.PULL if is_sink else zmq.ROUTER) as server:
                server.backlog = 1024
                ready(server.bind_to_random_port(f"tcp://{HOST}"))
                if is_sink:
                    _take(server, tally)
                else:
                    self._echo(server)

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""
        socket = zmq.Context().socket(zmq.PUSH if service is Service.SINK else zmq.DEALER)
        socket.connect(f"tcp://{HOST}:{port}")
        return _Client(socket)

    def wire(self, content: bytes) -> Wire:
        """Return ZMTP 3.0 as a DEALER speaks it (https://rfc.zeromq.org/spec/23/)."""
        ready = bytes([_COMMAND, len(_READY)]) + _READY
        frame = bytes([0, len(content)]) + content
        return Wire(_GREETING + ready, _is_welcome, (frame,), len(frame))

    def _echo(self, server: zmq.Socket[bytes]) -> None:
        """Send back what comes."""
        receive, send = server.recv_multipart, server.send_multipart
        while True:
            send(receive())


class PyzmqPartByPart(Pyzmq):
    """The same, with a ROUTER that makes no lists."""

    key = "pyzmq-parts"
    name = "pyzmq, part by part"
    how = (
        "DEALER and ROUTER, which receives and sends the two parts of a request one by one: less "
        "usual than `recv_multipart`, and faster."
    )
    imports = None

    def why_not(self, work: Work) -> str | None:
        """Return why it has no part in a work."""
        if work.kind in (Kind.ONE_WAY, Kind.IDLE):
            return "it would be the same as pyzmq"
        return None

    def _echo(self, server: zmq.Socket[bytes]) -> None:
        """Send back what comes: who sent it, and the content."""
        receive, send = server.recv, server.send
        while True:
            send(receive(), zmq.SNDMORE)
            send(receive())


def _is_welcome(received: bytes) -> bool:
    """Whether a greeting and a whole command have come."""
    size = len(_GREETING)
    command = received[size:]
    return len(command) >= _SHORT_HEADER and len(command) == _SHORT_HEADER + command[1]


def _take(server: zmq.Socket[bytes], tally: Tally) -> None:
    """Receive; large contents are not copied, and seen through the frame that holds them.

    Small ones are cheaper to copy; what comes is taken to be as what came before.
    """
    note = tally.note
    receive: Any = server.recv
    copy = True
    while True:
        received = receive(copy=copy)
        size = len(received if copy else received.buffer)
        copy = size < zmq.COPY_THRESHOLD
        if size:
            note(size)
        else:
            tally.end()


class _Client(Client):
    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket: Final = socket

    def send_all(self, content: bytes, count: int) -> None:
        send: Any = self._socket.send
        copy = len(content) < zmq.COPY_THRESHOLD
        for _ in range(count):
            send(content, copy=copy)
        send(b"")

    def request_all(self, content: bytes, count: int, outstanding: int) -> list[int]:
        send, receive = self._socket.send, self._socket.recv
        for _ in range(min(outstanding, count)):
            send(content)
        sizes = []
        for _ in range(count - outstanding):
            sizes.append(len(receive()))
            send(content)
        while len(sizes) < count:
            sizes.append(len(receive()))
        return sizes

    def request(self, content: bytes) -> bytes:
        self._socket.send(content)
        answer: bytes = self._socket.recv()
        return answer


CONTESTANTS: Final = [Pyzmq(), PyzmqPartByPart()]
