"""grpcio: calls on its asyncio interface, with bytes in place of generated message classes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc
import grpc.aio

from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally
from benchmarks.peers.contestants.event_loop import AsyncClient, EventLoop, LoopThread

_SERVICE: Final = "benchmark.Peer"
_OPTIONS: Final = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Grpcio(Contestant):
    """grpc.aio."""

    key = "grpcio"
    name = "grpcio"
    how = (
        "`grpc.aio`, as its performance guide advises for Python, with one channel that is kept: a "
        "client-streaming call one way, unary calls for requests; contents are bytes, so that "
        "nothing is serialized."
    )
    packages = ("grpcio",)
    imports = "import grpc"

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve on the event loop."""

        async def take(contents: AsyncIterator[bytes], _context: Any) -> bytes:
            note = tally.note
            async for content in contents:
                note(len(content))
            tally.end()
            return b""

        async def echo(content: bytes, _context: Any) -> bytes:
            return content

        async def run() -> None:
            server = grpc.aio.server(options=_OPTIONS)
            methods = {
                "Take": grpc.stream_unary_rpc_method_handler(take),
                "Echo": grpc.unary_unary_rpc_method_handler(echo),
            }
            server.add_generic_rpc_handlers(
                (grpc.method_handlers_generic_handler(_SERVICE, methods),)
            )
            port = server.add_insecure_port(f"{HOST}:0")
            await server.start()
            ready(port)
            await server.wait_for_termination()

        with EventLoop.ASYNCIO.new_runner() as runner:
            runner.run(run())

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""
        loop = LoopThread(EventLoop.ASYNCIO)

        async def connect() -> grpc.aio.Channel:
            channel = grpc.aio.insecure_channel(f"{HOST}:{port}", options=_OPTIONS)
            await channel.channel_ready()
            return channel

        return _Client(loop, loop.run(connect()))


class _Client(AsyncClient):
    def __init__(self, loop: LoopThread, channel: grpc.aio.Channel) -> None:
        super().__init__(loop)
        self._take: Final = channel.stream_unary(f"/{_SERVICE}/Take")
        self._echo: Final = channel.unary_unary(f"/{_SERVICE}/Echo")

    async def sending(self, content: bytes, count: int) -> None:
        call = self._take()
        for _ in range(count):
            await call.write(content)
        await call.done_writing()
        await call

    async def requesting(self, content: bytes, count: int, outstanding: int) -> list[int]:
        echo = self._echo
        numbers = iter(range(count))
        sizes: list[int] = []

        async def ask() -> None:
            sizes.extend([len(await echo(content)) for _ in numbers])

        await asyncio.gather(*(ask() for _ in range(outstanding)))
        return sizes

    async def answer_to(self, content: bytes) -> bytes:
        answer: bytes = await self._echo(content)
        return answer


CONTESTANTS: Final = [Grpcio()]
