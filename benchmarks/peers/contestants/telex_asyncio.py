"""Telex as an asyncio program uses it, on both sides, with and without uvloop."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final

import telex
from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally, Wire
from benchmarks.peers.contestants.event_loop import AsyncClient, EventLoop, LoopThread, forever
from benchmarks.peers.contestants.telex_application import END, LIMITS, new_application, wire_of
from telex import TelexError


class TelexAsyncio(Contestant):
    """The asyncio front-end on one of the event loops."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop: Final = loop
        self.key = f"telex-{loop}"
        self.name = f"Telex {loop}"
        self.packages = loop.packages
        self.imports = "import telex.asyncio" if loop is EventLoop.ASYNCIO else None
        self.how = (
            f"`telex.asyncio.serve` and `telex.asyncio.connect` on {loop}; one way with `send` to "
            f"a handler, requests with `request_many`."
        )

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve on the event loop."""

        async def serve() -> None:
            app = new_application(service, tally)
            async with telex.asyncio.serve(app, f"tcp://{HOST}:0", limits=LIMITS) as server:
                assert server.address.port is not None
                ready(server.address.port)
                await forever()

        with self._loop.new_runner() as runner:
            runner.run(serve())

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""

        async def connect() -> telex.asyncio.Connection:
            return await telex.asyncio.connect(f"tcp://{HOST}:{port}")

        loop = LoopThread(self._loop)
        return _Client(loop, loop.run(connect()))

    def wire(self, content: bytes) -> Wire:
        """Return a request and the size of its answer; nothing has to be said before."""
        return wire_of(content)


class _Client(AsyncClient):
    def __init__(self, loop: LoopThread, connection: telex.asyncio.Connection) -> None:
        super().__init__(loop)
        self._connection: Final = connection

    async def sending(self, content: bytes, count: int) -> None:
        send = self._connection.send
        for _ in range(count):
            await send(content)
        await send(b"", subject=END)

    async def requesting(self, content: bytes, count: int, outstanding: int) -> list[int]:
        requests = itertools.repeat(content, count)
        sizes = []
        async for answer in self._connection.request_many(requests, most=outstanding):
            if isinstance(answer, TelexError):
                raise answer
            sizes.append(len(answer.content))
        return sizes

    async def answer_to(self, content: bytes) -> bytes:
        answer: bytes = (await self._connection.request(content)).content
        return answer


CONTESTANTS: Final = [TelexAsyncio(loop) for loop in EventLoop]
