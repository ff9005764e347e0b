"""TLS under the asyncio front-end: who is trusted, who is known, and who is kept waiting."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telex import Address, Application, ConnectError, ConnectionClosedError, Limits, Message
from telex.asyncio import Connection, connect
from telex.tls import client_context, server_context
from tests.certificates import Authority

from .stage import PATIENCE, Plain, Stage, in_loop, serving, wait_until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Return an authority that vouches for whom the test wants."""
    return Authority(tmp_path)


def encrypted(
    authority: Authority, app: Application | None = None, *, mutual: bool = False, **options: Any
) -> Any:
    """Serve with TLS as 127.0.0.1, for the time of the context."""
    certificate, key = authority.issue("127.0.0.1")
    context = server_context(certificate, key, authority.file if mutual else None)
    return serving(app, "tls://127.0.0.1:0", tls=context, **options)


def connecting(stage: Stage, authority: Authority, **options: Any) -> Any:
    """Connect with trust in the authority."""
    return stage.connect(tls=client_context(authority.file), **options)


@in_loop
async def test_slow_readers_are_waited_for(authority: Authority) -> None:
    """Backpressure works through TLS: nothing is lost when a client receives slowly."""
    limits = Limits(high_water=50_000)
    async with (
        encrypted(authority, limits=limits) as stage,
        connecting(stage, authority) as connection,
    ):

        async def send() -> None:
            for number in range(300):
                await connection.send(b"x" * 20_000, headers={"number": number})

        task = asyncio.create_task(send())
        for _ in range(300):
            assert len((await connection.receive(PATIENCE)).body) == 20_000
        await task


def cut(sock: Any) -> None:
    """End the stream below TLS, as anybody on the way could."""
    with socket.socket(fileno=os.dup(sock.fileno())) as bare:
        bare.shutdown(socket.SHUT_WR)


@contextlib.asynccontextmanager
async def cut_after(
    authority: Authority, *messages: Message
) -> AsyncIterator[tuple[Connection, asyncio.Event]]:
    """Connect a client to a server that says this and is cut off; the event tells it to begin."""
    pair = authority.issue("127.0.0.1")
    begin = asyncio.Event()

    async def act(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plain = Plain(reader, writer)
        await begin.wait()
        plain.send(*messages)
        await writer.drain()
        cut(plain.writer.get_extra_info("socket"))
        await plain.receive_bytes_until_the_end()
        writer.transport.abort()

    context = server_context(pair.certificate, pair.key)
    server = await asyncio.start_server(act, "127.0.0.1", 0, ssl=context)
    address = Address("tls", *server.sockets[0].getsockname())
    tls = client_context(authority.file)
    connection = await connect(address, tls=tls, timeout=PATIENCE)
    try:
        yield connection, begin
    finally:
        connection._link.channel.abort()
        server.close()
        await server.wait_closed()


@in_loop
async def test_a_stream_that_is_cut_has_not_ended(authority: Authority) -> None:
    """What came is received; then whoever waits or sends is told that it was cut."""
    async with cut_after(authority, Message("came")) as (connection, begin):
        request = asyncio.create_task(connection.request("x"))
        begin.set()
        assert (await anext(connection)).content == "came"
        for attempt in (anext(connection), request, connection.send("more")):
            with pytest.raises(ConnectionClosedError, match="it cut the connection without ending"):
                await attempt


@in_loop
async def test_closing_is_not_sure_of_a_peer_that_is_cut_off(authority: Authority) -> None:
    """Whether it has read everything, and had nothing to say against it, nobody knows."""
    async with cut_after(authority) as (connection, begin):
        await connection.send("read by nobody")
        begin.set()
        await wait_until(lambda: connection.ending, "the end is seen")
        with pytest.raises(ConnectionClosedError, match="without ending TLS"):
            await connection.close()


@in_loop
async def test_a_peer_that_has_said_close_need_not_end_tls(authority: Authority) -> None:
    """Nobody on the way can say that, so what follows it is of no matter."""
    farewell = Message({"code": "closed", "detail": "done"}, kind="close")
    async with cut_after(authority, Message("came"), farewell) as (connection, begin):
        begin.set()
        assert [message.content async for message in connection] == ["came"]
        await connection.close()


@in_loop
async def test_certificates_are_loaded_again_on_sighup(authority: Authority) -> None:
    """After SIGHUP new connections see the new certificate."""

    async def number_of(connection: Connection) -> object:
        return (connection._link.channel.certificate or {})["serialNumber"]

    async with encrypted(authority) as stage:
        serving = asyncio.create_task(stage.server.serve_forever())
        async with connecting(stage, authority) as connection:
            before = await number_of(connection)
        authority.issue("127.0.0.1")
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        async with connecting(stage, authority) as connection:
            assert await number_of(connection) != before
        stage.server.shutdown()
        await serving


@in_loop
async def test_a_name_can_be_asked_for(authority: Authority) -> None:
    """``server_hostname`` is verified in place of the host that was connected to."""
    pair = authority.issue("service.example.com")
    context = server_context(pair.certificate, pair.key)
    async with serving(None, "tls://127.0.0.1:0", tls=context) as stage:
        options: dict[str, Any] = {"tls": client_context(authority.file)}
        with pytest.raises(ConnectError, match="not to be trusted"):
            await connect(stage.address, **options)
        async with connect(
            Address("tls", "127.0.0.1", stage.address.port),
            server_hostname="service.example.com",
            **options,
        ) as connection:
            await connection.ping()
