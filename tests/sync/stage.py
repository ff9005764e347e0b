"""What the tests of the front-end act on: a server in a thread, plain sockets, and patience.

Nothing here sleeps for luck: whoever waits, waits for a condition, and fails at a deadline.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from telex import Address, Application, Limits, Message, MessageProcessor, Observer, TelexError
from telex.application.peer import Peer
from telex.sync import Connection, Server, client, connect, serve
from telex.sync.server_driver import ServerDriver

ROOMY = Limits(max_content_size=1 << 30)
"""Limits for messages of any size that a test wants."""

PATIENCE = 30.0
"""Seconds after which a test gives up waiting; on a sound machine everything takes far less."""

DRAIN_TIMEOUT = 2 * PATIENCE
"""Seconds that a server drains if a test does not say: one that waits for somebody in vain is not
patient enough for the test."""


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until ``condition()`` is true; fail with ``what`` was waited for."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"gave up waiting: {what}")
        time.sleep(0.001)


def echoing() -> Application:
    """Return an application that sends every message back, but fails on subject ``fail``.

    Messages with subject ``content`` are answered with their content, read by the handler.
    """
    app = Application()

    @app.on("fail")
    def fail(message: Message) -> None:
        raise RuntimeError(f"asked to fail by {message.content}")

    @app.on("content")
    def content(message: Message) -> Any:
        return {"content": message.content}

    @app.on()
    def echo(message: Message) -> Message:
        return message

    return app


def pause_until(patch: pytest.MonkeyPatch, condition: Callable[[], object]) -> list[float]:
    """Have clients that pause between two pieces wait for a condition instead.

    Returns how long each of these pauses would have been, in a list that grows.
    """
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        wait_until(condition, "the piece has arrived")

    patch.setattr(client, "time", SimpleNamespace(monotonic=time.monotonic, sleep=sleep))
    return pauses


class Events(Observer):
    """Remembers what a server told."""

    def __init__(self) -> None:
        self.connections: list[Peer] = []
        self.sizes: list[int] = []
        self.told: list[tuple[str, ...]] = []
        self.messages: list[Message] = []
        self.endings: dict[str, TelexError | None] = {}

    def connected(self, peer: Peer) -> None:
        """Remember the peer."""
        self.connections.append(peer)

    def data_received(self, peer: Peer, size: int, state: Any, bytes_needed: int) -> None:
        """Remember what came, and what is missing."""
        self.sizes.append(size)
        self.told.append((state.name, str(bytes_needed)))

    def message_received(self, peer: Peer, message: Message) -> None:
        """Remember the message."""
        self.messages.append(message)

    def disconnected(self, peer: Peer, error: TelexError | None) -> None:
        """Remember why it ended."""
        self.endings[peer.address] = error


class Running:
    """A server that serves in a thread of its own."""

    def __init__(self, server: Server, events: Events) -> None:
        self.server = server
        self.events = events
        self.thread = threading.Thread(target=server.serve_forever, daemon=True)
        self.thread.start()

    @property
    def address(self) -> Address:
        """Where it listens."""
        return self.server.address

    def connect(self, **options: Any) -> Connection:
        """Connect a client of Telex."""
        return connect(self.address, timeout=PATIENCE, **options)

    def plug_in(self) -> socket.socket:
        """Connect a plain socket, which speaks whatever the test wants."""
        if self.address.scheme == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(PATIENCE)
            sock.connect(self.address.path)
            return sock
        return socket.create_connection((self.address.host, self.address.port), PATIENCE)

    def ending_of(self, address: str) -> TelexError | None:
        """Wait until the connection of a peer has ended, and return why.

        It is forgotten then: the next peer may come from the same port.
        """
        wait_until(lambda: address in self.events.endings, f"{address} is disconnected")
        return self.events.endings.pop(address)

    def stop(self) -> None:
        """Shut the server down, and hold it to ending in time."""
        self.server.shutdown()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "the server did not end"


@contextlib.contextmanager
def running(
    app: Application | None = None,
    address: str = "tcp://127.0.0.1:0",
    **options: Any,
) -> Iterator[Running]:
    """Run a server for the time of the context; without an application it echoes."""
    events = Events()
    limits = options.pop("limits", Limits())
    if limits.drain_timeout == Limits().drain_timeout:
        limits = replace(limits, drain_timeout=DRAIN_TIMEOUT)
    server = serve(app or echoing(), address, limits=limits, **{"observer": events, **options})
    stage = Running(server, events)
    try:
        yield stage
    finally:
        stage.stop()


def name_of(sock: socket.socket) -> str:
    """Return the name by which the server knows a plain socket."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def receive_all(sock: socket.socket) -> list[Message]:
    """Return the messages that a plain socket receives until the end of the stream."""
    processor = MessageProcessor(ROOMY)
    messages: list[Message] = []
    while data := sock.recv(1 << 20):
        messages += processor.receive_messages(data)
    processor.receive_eof()
    return messages


def receive_until_goodbye(sock: socket.socket) -> list[Message]:
    """Return the messages that a plain socket receives until a server that shuts down says so."""
    *messages, goodbye = receive_all(sock)
    assert goodbye.kind == "close"
    assert goodbye.content["code"] == "shutting-down"
    return messages


def receive_exactly(sock: socket.socket, size: int) -> bytes:
    """Return the next ``size`` bytes that a plain socket receives."""
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        assert piece, f"the stream ended after {len(data)} of {size} bytes"
        data += piece
    return bytes(data)


@contextlib.contextmanager
def sending(sock: socket.socket, data: bytes, *, then_end: bool = False) -> Iterator[None]:
    """Send from another thread for the time of the context, which waits for it at its end."""

    def send() -> None:
        sock.sendall(data)
        if then_end:
            sock.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join(PATIENCE)
    assert not thread.is_alive(), "not all was sent"


def receive_one(sock: socket.socket) -> Message:
    """Return the next message on a plain socket, which must be all that comes."""
    processor = MessageProcessor(ROOMY)
    while True:
        data = sock.recv(1 << 20)
        assert data, "the stream ended before a message was complete"
        messages = processor.receive_messages(data)
        if messages:
            [message] = messages
            return message


def reset(sock: socket.socket) -> None:
    """Close a plain socket so that its peer sees a reset instead of an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def other_end(stage: Running, sock: socket.socket) -> socket.socket:
    """Return the server's end of the connection of a plain socket."""
    name = name_of(sock)
    [driver] = [
        driver
        for driver in stage.server._registry.drivers
        if driver.dispatcher.peer.address == name
    ]
    assert isinstance(driver, ServerDriver)
    return driver.socket


def has_arrived(stage: Running, sock: socket.socket) -> bool:
    """Say whether something of a plain socket has arrived that the server has not received."""
    return bool(select.select([other_end(stage, sock)], [], [], 0)[0])


def has_been_reset(sock: socket.socket) -> bool:
    """Say whether a reset has arrived at this end of a connection."""
    poll = select.poll()
    poll.register(sock, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def warnings_about(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    """Return the lines of warnings and errors in the server's log that name a connection."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING and record.getMessage().startswith(f"{name}: ")
    ]
