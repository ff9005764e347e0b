"""Telex as a blocking program uses it: the selectors server and the blocking client."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import telex
from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally, Wire
from benchmarks.peers.contestants.telex_application import END, LIMITS, new_application, wire_of
from telex import TelexError


class TelexBlocking(Contestant):
    """The blocking front-end."""

    key = "telex-blocking"
    name = "Telex blocking"
    how = (
        "`telex.sync.serve` and `telex.sync.connect`; one way with `send_many` to a handler, "
        "requests with `request_many`."
    )
    imports = "import telex"

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve in one thread."""
        app = new_application(service, tally)
        with telex.sync.serve(app, f"tcp://{HOST}:0", limits=LIMITS) as server:
            assert server.address.port is not None
            ready(server.address.port)
            server.serve_forever()

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""
        return _Client(telex.sync.connect(f"tcp://{HOST}:{port}"))

    def wire(self, content: bytes) -> Wire:
        """Return a request and the size of its answer; nothing has to be said before."""
        return wire_of(content)


class _Client(Client):
    def __init__(self, connection: telex.sync.Connection) -> None:
        self._connection: Final = connection

    def send_all(self, content: bytes, count: int) -> None:
        self._connection.send_many(itertools.repeat(content, count))
        self._connection.send(b"", subject=END)

    def request_all(self, content: bytes, count: int, outstanding: int) -> list[int]:
        requests = itertools.repeat(content, count)
        sizes = []
        for answer in self._connection.request_many(requests, most=outstanding):
            if isinstance(answer, TelexError):
                raise answer
            sizes.append(len(answer.content))
        return sizes

    def request(self, content: bytes) -> bytes:
        answer: bytes = self._connection.request(content).content
        return answer


CONTESTANTS: Final = [TelexBlocking()]
