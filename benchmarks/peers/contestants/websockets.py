"""websockets: its asyncio server and client, with and without uvloop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally, Wire
from benchmarks.peers.contestants.event_loop import AsyncClient, EventLoop, LoopThread, forever
from benchmarks.peers.contestants.websocket_wire import websocket_wire

_IMPORTS: Final = "import websockets.asyncio.client, websockets.asyncio.server"
_OPTIONS: Final[dict[str, Any]] = {
    "compression": None,
    "max_size": None,
    "ping_interval": None,
}


class Websockets(Contestant):
    """websockets on one of the event loops."""

    def __init__(self, loop: EventLoop) -> None:
        self._loop: Final = loop
        self.key = "websockets" if loop is EventLoop.ASYNCIO else f"websockets-{loop}"
        self.name = "websockets" if loop is EventLoop.ASYNCIO else f"websockets, {loop}"
        self.imports = _IMPORTS if loop is EventLoop.ASYNCIO else None
        self.packages = ("websockets", *loop.packages)
        self.how = (
            f"Its asyncio server and client on {loop}, without compression and keepalive pings, "
            f"with its C extension."
        )

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve on the event loop."""
        note = tally.note

        async def take(connection: ServerConnection) -> None:
            async for content in connection:
                if content:
                    note(len(content))
                else:
                    tally.end()

        async def echo(connection: ServerConnection) -> None:
            async for content in connection:
                await connection.send(content)

        async def run() -> None:
            handler = take if service is Service.SINK else echo
            async with serve(handler, HOST, 0, open_timeout=None, **_OPTIONS) as server:
                ready(next(iter(server.sockets)).getsockname()[1])
                await forever()

        with self._loop.new_runner() as runner:
            runner.run(run())

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""

        async def opened() -> Any:
            return await connect(f"ws://{HOST}:{port}", **_OPTIONS)

        loop = LoopThread(self._loop)
        return _Client(loop, loop.run(opened()))

    def wire(self, content: bytes) -> Wire:
        """Return a handshake and masked frames."""
        return websocket_wire(content)


class _Client(AsyncClient):
    def __init__(self, loop: LoopThread, connection: Any) -> None:
        super().__init__(loop)
        self._connection: Final = connection

    async def sending(self, content: bytes, count: int) -> None:
        send = self._connection.send
        for _ in range(count):
            await send(content)
        await send(b"")

    async def requesting(self, content: bytes, count: int, outstanding: int) -> list[int]:
        send, receive = self._connection.send, self._connection.recv
        for _ in range(min(outstanding, count)):
            await send(content)
        sizes = []
        for _ in range(count - outstanding):
            sizes.append(len(await receive()))
            await send(content)
        while len(sizes) < count:
            sizes.append(len(await receive()))
        return sizes

    async def answer_to(self, content: bytes) -> bytes:
        await self._connection.send(content)
        answer: bytes = await self._connection.recv()
        return answer


CONTESTANTS: Final = [Websockets(loop) for loop in EventLoop]
