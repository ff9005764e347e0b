"""What the tests of the asyncio front-end act on: servers, plain streams, and patience.

Nothing here sleeps for luck: whoever waits, waits for a condition, and fails at a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from telex import Address, Application, Limits, Message, MessageProcessor, Observer, TelexError
from telex.application.peer import Peer
from telex.asyncio import Connection, Server, connect, serve

PATIENCE = 30.0
"""Seconds after which a test gives up waiting; on a sound machine everything takes far less."""


def in_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an asynchronous test in an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **keywords: Any) -> None:
        async def within_time() -> None:
            async with asyncio.timeout(3 * PATIENCE):
                await test(*arguments, **keywords)

        asyncio.run(within_time())

    return run


async def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition()`` is true; fail with ``what`` was waited for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"gave up waiting: {what}")
        await asyncio.sleep(0.001)


def let_time_pass(seconds: float = PATIENCE) -> None:
    """Have the clock of the running loop jump ahead: what waits for so long has waited enough."""
    loop = asyncio.get_running_loop()
    clock = loop.time
    loop.time = lambda: clock() + seconds  # type: ignore[method-assign]


def echoing() -> Application:
    """Return an application that answers whatever comes with its own content."""
    app = Application()

    @app.on()
    def echo(message: Message) -> object:
        return message.content

    return app


class Events(Observer):
    """Remembers what a server told."""

    def __init__(self) -> None:
        self.connections: list[Peer] = []
        self.sizes: list[int] = []
        self.messages: list[Message] = []
        self.endings: list[TelexError | None] = []

    def connected(self, peer: Peer) -> None:
        """Remember the peer."""
        self.connections.append(peer)

    def data_received(self, peer: Peer, size: int, state: Any, bytes_needed: int) -> None:
        """Remember how much came."""
        self.sizes.append(size)

    def message_received(self, peer: Peer, message: Message) -> None:
        """Remember the message."""
        self.messages.append(message)

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Remember why it ended."""
        self.endings.append(error)


class Stage:
    """A server, what it told, and who connects to it."""

    def __init__(self, server: Server, events: Events) -> None:
        self.server = server
        self.events = events

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.server.address

    def connect(self, **options: Any) -> Any:
        """Connect a client of Telex."""
        return connect(self.address, timeout=PATIENCE, **options)

    def plug_in(self) -> Any:
        """Connect a plain peer, which speaks whatever the test wants."""
        return Plain.connect(self.address)

    async def ending(self) -> TelexError | None:
        """Wait until a connection has ended, and return why."""
        await wait_until(lambda: self.events.endings, "a connection ends")
        return self.events.endings[0]


@contextlib.asynccontextmanager
async def serving(
    app: Application | None = None, address: str = "tcp://127.0.0.1:0", **options: Any
) -> AsyncIterator[Stage]:
    """Serve for the time of the context; without an application it echoes."""
    events = Events()
    limits = options.pop("limits", Limits(drain_timeout=1.0))
    async with serve(app or echoing(), address, limits=limits, observer=events, **options) as it:
        yield Stage(it, events)


class Plain:
    """A peer that speaks whatever the test wants, as a context manager that goes away."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._processor = MessageProcessor(Limits(max_content_size=1 << 40))
        self._messages: list[Message] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, address: Address) -> AsyncIterator[Plain]:
        """Connect to a server."""
        if address.scheme == "unix":
            reader, writer = await asyncio.open_unix_connection(address.path)
        else:
            reader, writer = await asyncio.open_connection(address.host, address.port)
        plain = cls(reader, writer)
        try:
            yield plain
        finally:
            await plain.go()

    def send(self, *messages: Message) -> None:
        """Send messages."""
        self.send_bytes(b"".join(message.to_bytes() for message in messages))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)

    def end(self) -> None:
        """Send no more."""
        self.writer.write_eof()

    async def receive(self) -> Message:
        """Return the next message."""
        while not self._messages:
            data = await asyncio.wait_for(self.reader.read(1 << 16), PATIENCE)
            assert data, "the stream ended before a message was complete"
            self._messages = self._processor.receive_messages(data)
        return self._messages.pop(0)

    async def receive_all(self) -> list[Message]:
        """Return all messages until the stream ends."""
        messages, self._messages = self._messages, []
        while data := await asyncio.wait_for(self.reader.read(1 << 16), PATIENCE):
            messages += self._processor.receive_messages(data)
        self._processor.receive_eof()
        return messages

    async def receive_bytes_until_the_end(self) -> bytes:
        """Return what comes until the other side has ended, in whatever way."""
        received = b""
        with contextlib.suppress(ConnectionError):
            while data := await asyncio.wait_for(self.reader.read(1 << 16), PATIENCE):
                received += data
        return received

    def reset(self) -> None:
        """End so that the other side sees a reset instead of an end."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def go(self) -> None:
        """End."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def connected_to(
    script: Callable[[Plain], Awaitable[None]], **options: Any
) -> AsyncIterator[Connection]:
    """Connect a client to a server that acts by a script, and ends after it."""
    failures: list[BaseException] = []

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plain = Plain(reader, writer)
        try:
            await script(plain)
        except (ConnectionError, asyncio.CancelledError):
            writer.transport.abort()
        except BaseException as failure:
            failures.append(failure)
            raise
        finally:
            await plain.go()

    server = await asyncio.start_server(act, "127.0.0.1", 0)
    address = Address("tcp", *server.sockets[0].getsockname())
    try:
        async with connect(address, **{"timeout": PATIENCE, **options}) as connection:
            yield connection
    finally:
        server.close()
        await server.wait_closed()
    assert not failures


async def nothing_more(plain: Plain) -> None:
    """Wait for the end of what the other side says, whatever it is."""
    while await plain.reader.read(1 << 16):
        pass
