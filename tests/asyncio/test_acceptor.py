"""Accepting in an event loop: it rests when it has to, and leaves nothing behind at the end."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from telex import Limits, Message
from telex.asyncio.acceptor import Acceptor
from telex.asyncio.server_loop import ServerLoop
from telex.conversation.greeting import Greeting
from telex.network.listener import Listener
from telex.server import acceptor as module
from telex.server.registry import Registry
from tests.asyncio.stage import echoing, in_loop, serving, wait_until


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    """Yield a socket that is connected: it cannot be accepted on."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as sock,
    ):
        yield sock


def accepting_on(sock: socket.socket) -> Acceptor:
    """Return an acceptor in the running event loop."""
    registry = Registry(echoing(), Limits(), Greeting("test"), None, None, None)
    return Acceptor(Listener(sock), ServerLoop(asyncio.get_running_loop(), registry))


@in_loop
async def test_accepting_rests_on_a_socket_that_does_not_listen(
    connection: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """What no peer is to blame for does not keep the loop busy: it is said once, and waited."""
    acceptor = accepting_on(connection)
    for _ in range(2):
        acceptor.start()
        acceptor.accept()
        assert not asyncio.get_running_loop().remove_reader(connection.fileno())
    acceptor.close()
    assert caplog.text.count("new connections have to wait: invalid argument") == 1


@in_loop
async def test_rest_is_over_at_the_end(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it had to rest: once it is closed, it does not begin again."""
    monkeypatch.setattr(module, "REST_SECONDS", 0.01)
    loop = asyncio.get_running_loop()
    problems: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: problems.append(context))
    acceptor = accepting_on(connection)
    acceptor.start()
    for _ in range(2):
        acceptor.accept()
    acceptor.close()
    later = asyncio.Event()
    loop.call_later(0.02, later.set)
    await later.wait()
    assert problems == []


@in_loop
async def test_connection_that_ends_before_it_is_let_in_harms_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should setting up a connection fail, it is closed, and the next one is served."""
    caplog.set_level(logging.DEBUG, "telex.server")

    def fail(sock: socket.socket) -> None:
        raise OSError(errno.EINVAL, "x")

    async with serving() as stage:
        with monkeypatch.context() as patch:
            patch.setattr(module, "prepare", fail)
            async with stage.plug_in() as plain:
                assert await plain.receive_bytes_until_the_end() == b""
            line = "ended before it was accepted: invalid argument"
            await wait_until(lambda: line in caplog.text, "it is logged")
        async with stage.plug_in() as plain:
            plain.send(Message("small"))
            assert (await plain.receive()).content == "small"
