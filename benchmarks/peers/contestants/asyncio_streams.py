"""The streams of asyncio, with a length of four bytes before each object."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from typing import Final

from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally, Wire
from benchmarks.peers.contestants.event_loop import AsyncClient, EventLoop, LoopThread, forever

_PREFIX: Final = struct.Struct("!I")
_LIMIT: Final = 1024 * 1024
"""Bytes that a reader holds before it lets the sender wait."""


class AsyncioStreams(Contestant):
    """What one writes by hand with nothing but the standard library."""

    key = "streams"
    name = "asyncio streams"
    how = (
        "`asyncio.start_server` and `asyncio.open_connection` with a length of four bytes before "
        "each object, `readexactly`, and `drain` after each `write`."
    )

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve on the event loop."""

        async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async for content in _objects(reader):
                if content:
                    tally.note(len(content))
                else:
                    tally.end()
            writer.close()

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            async for content in _objects(reader):
                writer.write(_PREFIX.pack(len(content)) + content)
                await writer.drain()
            writer.close()

        async def run() -> None:
            handler = take if service is Service.SINK else echo
            server = await asyncio.start_server(handler, HOST, 0, limit=_LIMIT)
            ready(server.sockets[0].getsockname()[1])
            await forever()

        with EventLoop.ASYNCIO.new_runner() as runner:
            runner.run(run())

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""
        loop = LoopThread(EventLoop.ASYNCIO)
        return _Client(loop, *loop.run(asyncio.open_connection(HOST, port, limit=_LIMIT)))

    def wire(self, content: bytes) -> Wire:
        """Return the length and the content."""
        frame = _PREFIX.pack(len(content)) + content
        return Wire(b"", lambda received: True, (frame,), len(frame))


async def _objects(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield each object that comes, until the connection ends."""
    while True:
        try:
            (size,) = _PREFIX.unpack(await reader.readexactly(_PREFIX.size))
            content = await reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionResetError):
            return
        yield content


class _Client(AsyncClient):
    def __init__(
        self, loop: LoopThread, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(loop)
        self._reader: Final = reader
        self._writer: Final = writer

    async def sending(self, content: bytes, count: int) -> None:
        for _ in range(count):
            await self._send(content)
        await self._send(b"")

    async def requesting(self, content: bytes, count: int, outstanding: int) -> list[int]:
        sent = min(outstanding, count)
        for _ in range(sent):
            await self._send(content)
        sizes: list[int] = []
        while len(sizes) < count:
            sizes.append(len(await self._receive()))
            if sent < count:
                await self._send(content)
                sent += 1
        return sizes

    async def answer_to(self, content: bytes) -> bytes:
        await self._send(content)
        return await self._receive()

    async def _send(self, content: bytes) -> None:
        self._writer.write(_PREFIX.pack(len(content)) + content)
        await self._writer.drain()

    async def _receive(self) -> bytes:
        (size,) = _PREFIX.unpack(await self._reader.readexactly(_PREFIX.size))
        return await self._reader.readexactly(size)


CONTESTANTS: Final = [AsyncioStreams()]
