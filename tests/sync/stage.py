"""What the tests of the front-end act on: a server in a thread, plain sockets, and patience.

Nothing here sleeps for luck: whoever waits, waits for a condition, and fails at a deadline.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from telex import Address, Application, Limits, Message, Observer, TelexError
from telex.application.peer import Peer
from telex.sync import Connection, Server, client, connect, serve
from telex.sync.client_driver import ClientDriver
from telex.sync.server_driver import ServerDriver
from tests.behaviour.stage import (
    PATIENCE,
    echoing,
    name_of,
    plug_into,
    receive_all,
    receive_exactly,
    receive_one,
    receive_until_goodbye,
    reset,
    sending,
    wait_until,
    warnings_about,
)

__all__ = [
    "DRAIN_TIMEOUT",
    "PATIENCE",
    "ROOMY",
    "Events",
    "Running",
    "echoing",
    "has_arrived",
    "has_been_reset",
    "name_of",
    "other_end",
    "pause_until",
    "receive_all",
    "receive_exactly",
    "receive_one",
    "receive_until_goodbye",
    "reset",
    "running",
    "sending",
    "wait_until",
    "warnings_about",
]

ROOMY = Limits(max_content_size=1 << 30)
"""Limits for messages of any size that a test wants."""

DRAIN_TIMEOUT = 2 * PATIENCE
"""Seconds that a server drains if a test does not say: one that waits for somebody in vain is not
patient enough for the test."""


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
        return plug_into(self.address)

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


def driver_of(connection: Connection) -> ClientDriver:
    """Return what drives a client's connection."""
    driver = connection._driver
    assert isinstance(driver, ClientDriver)
    return driver
