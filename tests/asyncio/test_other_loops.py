"""Connections and servers in an event loop that is not theirs: each use is an error."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from telex import Application
from telex.asyncio import Connection, Server, connect, run, serve
from telex.testing import Servers

from .stage import PATIENCE, echoing


@pytest.fixture
def address() -> Iterator[Any]:
    """Serve an application that echoes, in the background."""
    with Servers() as servers:
        yield servers(echoing())


async def opened(address: Any) -> Connection:
    """Return a connection of the running loop that works."""
    connection = await connect(address, timeout=PATIENCE)
    assert (await connection.request("x", timeout=PATIENCE)).content == "x"
    return connection


USES: dict[str, Callable[[Connection], Awaitable[object]]] = {
    "send": lambda connection: connection.send("x"),
    "send_many": lambda connection: connection.send_many(["x"]),
    "request": lambda connection: connection.request("x"),
    "request_many": lambda connection: anext(connection.request_many(["x"])),
    "request_parts": lambda connection: anext(connection.request_parts("x")),
    "ping": lambda connection: connection.ping(),
    "receive": lambda connection: connection.receive(),
    "iteration": anext,
    "close": lambda connection: connection.close(),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_connection_in_a_second_loop_raises_each_time(
    address: Any, use: Callable[[Connection], Awaitable[object]]
) -> None:
    """The error names the loop; nothing is taken as sent, however often that is tried."""
    with asyncio.Runner() as first, asyncio.Runner() as second:
        connection = first.run(opened(address))

        async def use_often() -> None:
            for _ in range(3):
                with pytest.raises(RuntimeError, match="the connection belongs to the event loop"):
                    await use(connection)

        second.run(use_often())
        assert connection._connection.unsent == 0
        first.run(connection.close())


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of asyncio: nobody can close it
def test_a_connection_of_a_closed_loop_raises_each_time(address: Any) -> None:
    """The usual mistake: a second ``asyncio.run``."""
    connection = asyncio.run(opened(address))

    async def send_often(connection: Connection) -> None:
        for _ in range(3):
            with pytest.raises(RuntimeError, match="closed=True"):
                await connection.send("x")

    asyncio.run(send_often(connection))
    assert connection._connection.unsent == 0
    del connection
    gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("error", [KeyError("k"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])
def test_an_exception_of_the_block_comes_out_of_it(address: Any, error: BaseException) -> None:
    """That the connection cannot be closed is logged, and replaces nothing."""
    connection = asyncio.run(opened(address))

    async def leave(connection: Connection) -> None:
        with pytest.raises(type(error)) as caught:
            async with connection:
                raise error
        assert caught.value is error

    asyncio.run(leave(connection))
    del connection
    gc.collect()


def test_a_server_in_a_second_loop_raises() -> None:
    """Waiting there would last for ever."""

    async def start() -> Server:
        return await serve(Application(), "tcp://127.0.0.1:0")

    async def use(server: Server) -> None:
        for method in (server.serve_forever, server.close):
            with pytest.raises(RuntimeError, match="the server belongs to the event loop"):
                await method()

    with asyncio.Runner() as first, asyncio.Runner() as second:
        server = first.run(start())
        second.run(use(server))
        first.run(server.close())


def test_a_loop_is_not_started_in_a_running_one() -> None:
    """As in a notebook: the error says what is right, and the coroutine is closed."""

    async def main() -> None:
        raise AssertionError("this is never run")

    async def notebook() -> None:
        with pytest.raises(RuntimeError, match="right would be 'await' in place of telex"):
            run(main())

    asyncio.run(notebook())
