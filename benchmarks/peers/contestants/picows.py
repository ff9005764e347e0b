"""picows: its core interface on uvloop, with callbacks in place of coroutines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect, ws_create_server

from benchmarks.peers.contestants.base import HOST, Client, Contestant, Service, Tally, Wire
from benchmarks.peers.contestants.event_loop import AsyncClient, EventLoop, LoopThread, forever
from benchmarks.peers.contestants.websocket_wire import websocket_wire

_MAX_FRAME_SIZE: Final = 16 * 1024 * 1024


class Picows(Contestant):
    """picows on uvloop."""

    key = "picows"
    name = "picows, uvloop"
    how = (
        "The core interface, whose listeners are called for each frame, on uvloop, without "
        "automatic pings; the sender waits while `pause_writing` tells it to."
    )
    packages = ("picows", "uvloop")
    imports = "import picows"

    def serve(self, service: Service, tally: Tally, ready: Callable[[int], None]) -> None:
        """Serve on the event loop."""

        async def run() -> None:
            server = await ws_create_server(
                lambda _request: _Sink(tally) if service is Service.SINK else _Echo(),
                HOST,
                0,
                websocket_handshake_timeout=None,
                max_frame_size=_MAX_FRAME_SIZE,
            )
            ready(server.sockets[0].getsockname()[1])
            await forever()

        with EventLoop.UVLOOP.new_runner() as runner:
            runner.run(run())

    def connect(self, service: Service, port: int) -> Client:
        """Connect."""
        loop = LoopThread(EventLoop.UVLOOP)

        async def connect() -> _Client:
            url = f"ws://{HOST}:{port}"
            transport, listener = await ws_connect(_Answers, url, max_frame_size=_MAX_FRAME_SIZE)
            assert isinstance(listener, _Answers)
            return _Client(loop, transport, listener)

        return loop.run(connect())

    def wire(self, content: bytes) -> Wire:
        """Return a handshake and masked frames."""
        return websocket_wire(content)


class _Sink(WSListener):  # type: ignore[misc] # nothing is known of picows when types are checked
    def __init__(self, tally: Tally) -> None:
        self._tally: Final = tally

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            content = frame.get_payload_as_bytes()
            if content:
                self._tally.note(len(content))
            else:
                self._tally.end()


class _Echo(WSListener):  # type: ignore[misc] # see above
    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            transport.send(WSMsgType.BINARY, frame.get_payload_as_bytes())


class _Answers(WSListener):  # type: ignore[misc] # see above
    """Holds answers until they are asked for, and keeps the sender waiting when it has to."""

    def __init__(self) -> None:
        self.contents: Final[deque[bytes]] = deque()
        self.arrived: Final = asyncio.Event()
        self.may_write: Final = asyncio.Event()
        self.may_write.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.BINARY:
            self.contents.append(frame.get_payload_as_bytes())
            self.arrived.set()

    def pause_writing(self) -> None:
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.may_write.set()


class _Client(AsyncClient):
    def __init__(self, loop: LoopThread, transport: WSTransport, answers: _Answers) -> None:
        super().__init__(loop)
        self._transport: Final = transport
        self._answers: Final = answers

    async def sending(self, content: bytes, count: int) -> None:
        send, may_write = self._transport.send, self._answers.may_write
        for _ in range(count):
            if not may_write.is_set():
                await may_write.wait()
            send(WSMsgType.BINARY, content)
        send(WSMsgType.BINARY, b"")

    async def requesting(self, content: bytes, count: int, outstanding: int) -> list[int]:
        send = self._transport.send
        sent = min(outstanding, count)
        for _ in range(sent):
            send(WSMsgType.BINARY, content)
        sizes: list[int] = []
        while len(sizes) < count:
            sizes.append(len(await self._next_answer()))
            if sent < count:
                send(WSMsgType.BINARY, content)
                sent += 1
        return sizes

    async def answer_to(self, content: bytes) -> bytes:
        self._transport.send(WSMsgType.BINARY, content)
        return await self._next_answer()

    async def _next_answer(self) -> bytes:
        answers = self._answers
        while not answers.contents:
            answers.arrived.clear()
            await answers.arrived.wait()
        return answers.contents.popleft()


CONTESTANTS: Final = [Picows()]
