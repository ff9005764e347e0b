"""rpyc: calls of a service's methods, asynchronous ones where many are under way."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import rpyc
from rpyc.core.stream import SocketStream
from rpyc.utils.server import ThreadedServer

from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally

_UNDER_WAY: Final = 64
"""Calls one way whose end nobody has looked at yet."""


class Rpyc(Contestant):
    """A threaded server, and a client that keeps its connection."""

    key = "rpyc"
    name = "rpyc"
    how = (
        "`ThreadedServer` and a stream, both with `TCP_NODELAY`, and methods that are looked up "
        "once; `rpyc.async_` one way and where many requests are outstanding."
    )
    packages = ("rpyc",)
    imports = "import rpyc"

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve each connection in a thread."""
        server = ThreadedServer(_service_with(tally), hostname=HOST, port=0)
        server.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        ready(server.port)
        server.start()

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""
        stream = SocketStream.connect(HOST, port, nodelay=True)
        return _Client(rpyc.connect_stream(stream, config={"sync_request_timeout": None}))


def _service_with(tally: Tally) -> Any:
    note, end = tally.note, tally.end

    class Peer(rpyc.Service):  # type: ignore[misc] # nothing is known of rpyc when types are checked
        def exposed_take(self, content: bytes) -> None:
            note(len(content))

        def exposed_end(self) -> None:
            end()

        def exposed_echo(self, content: bytes) -> bytes:
            return content

    return Peer


class _Client(Client):
    def __init__(self, connection: Any) -> None:
        self._connection: Final = connection
        self._echo: Final = connection.root.echo
        self._end: Final = connection.root.end
        self._start_echo: Final = rpyc.async_(connection.root.echo)
        self._start_take: Final = rpyc.async_(connection.root.take)

    def send_all(self, content: bytes, count: int) -> None:
        take = self._start_take
        under_way: deque[Any] = deque()
        for _ in range(count):
            under_way.append(take(content))
            if len(under_way) >= _UNDER_WAY:
                under_way.popleft().wait()
        for call in under_way:
            call.wait()
        self._end()

    def request_all(self, content: bytes, count: int, outstanding: int) -> list[int]:
        echo = self._start_echo
        under_way: deque[Any] = deque()
        sizes: list[int] = []
        for _ in range(count):
            if len(under_way) >= outstanding:
                sizes.append(len(under_way.popleft().value))
            under_way.append(echo(content))
        sizes += [len(call.value) for call in under_way]
        return sizes

    def request(self, content: bytes) -> bytes:
        answer: bytes = self._echo(content)
        return answer


CONTESTANTS: Final = [Rpyc()]
