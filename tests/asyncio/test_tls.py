"""TLS under the asyncio front-end: who is trusted, who is known, and who is kept waiting."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from telex import Address, Application, ConnectError, ConnectionClosedError, Limits, Message
from telex.application.peer import Peer
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
async def test_messages_travel_encrypted(authority: Authority) -> None:
    """Small ones, large ones and answers arrive; a peer without a certificate has no name."""
    app = Application()

    @app.on("who")
    def who(message: Message, peer: Peer) -> object:
        return peer.identity

    @app.on()
    async def echo(message: Message) -> object:
        await asyncio.sleep(0)
        return message.content

    async with encrypted(authority, app) as stage:
        async with connecting(stage, authority) as connection:
            assert (await connection.request("who", subject="who")).body == b""
            large = os.urandom(3_000_000)
            assert (await connection.request(large)).content == large
            await connection.send_many(range(100))
            assert [(await connection.receive(PATIENCE)).content for _ in range(100)] == list(
                range(100)
            )
        assert await stage.ending() is None


@in_loop
async def test_closing_delivers_everything(authority: Authority) -> None:
    """A client that only sends, and closes, has been read when it is closed."""
    app = Application()
    handled: list[object] = []

    @app.on()
    def handle(message: Message) -> None:
        handled.append(message.content)

    async with encrypted(authority, app) as stage:
        async with connecting(stage, authority) as connection:
            await connection.send_many(range(1000))
        await wait_until(lambda: len(handled) == 1000, "all are handled")


@in_loop
async def test_strangers_are_not_trusted(authority: Authority, tmp_path: Path) -> None:
    """A server with a certificate of another authority, or for another name, is no server."""
    async with encrypted(authority) as stage:
        with pytest.raises(ConnectError, match="not to be trusted"):
            await stage.connect()
        with pytest.raises(ConnectError, match="not to be trusted") as raised:
            await connecting(stage, authority, server_hostname="example.com")
        assert isinstance(raised.value.__cause__, ssl.SSLCertVerificationError)


@in_loop
async def test_certificates_name_their_owners(authority: Authority) -> None:
    """With mutual TLS the client's certificate tells who it is, and without one nobody gets in."""
    app = Application()

    @app.on()
    def who(message: Message, peer: Peer) -> object:
        return peer.identity

    async with encrypted(authority, app, mutual=True) as stage:
        pair = authority.issue("pump-7.example.com", file_name="client")
        context = client_context(authority.file, pair.certificate, pair.key)
        async with stage.connect(tls=context) as connection:
            assert (await connection.request("who?")).content == "pump-7.example.com"
        with pytest.raises((ConnectionClosedError, ConnectError), match=r"(?i)certificate"):
            async with connecting(stage, authority) as connection:
                await connection.request("who?")


@in_loop
async def test_clear_text_on_an_encrypted_address_is_refused(authority: Authority) -> None:
    """Who does not speak TLS is closed, and others are served."""
    async with encrypted(authority) as stage, stage.plug_in() as plain:
        plain.send(Message("in the clear"))
        [told] = await plain.receive_all()
        assert "does not speak TLS" in told.content["detail"]
        async with connecting(stage, authority) as connection:
            await connection.ping()


@in_loop
async def test_a_handshake_has_its_time(authority: Authority) -> None:
    """Who connects and says nothing is closed after ``handshake_timeout``."""
    limits = Limits(handshake_timeout=0.2)
    async with encrypted(authority, limits=limits) as stage:
        begin = time.monotonic()
        async with stage.plug_in() as plain:
            await plain.receive_bytes_until_the_end()
        assert time.monotonic() - begin >= 0.2


@in_loop
async def test_handshakes_under_way_do_not_hold_up_the_end(authority: Authority) -> None:
    """A server that shuts down does not wait for those who have not even shaken hands."""
    limits = Limits(drain_timeout=60)
    async with encrypted(authority, limits=limits) as stage, stage.plug_in() as plain:
        await wait_until(lambda: stage.events.connections, "it is to shake hands")
        await asyncio.wait_for(stage.server.close(), PATIENCE)
        await plain.receive_bytes_until_the_end()


@in_loop
async def test_a_refused_client_learns_why(authority: Authority) -> None:
    """The error of a server reaches its peer before TLS ends."""
    limits = Limits(max_content_size=1000)
    async with (
        encrypted(authority, limits=limits) as stage,
        connecting(stage, authority) as connection,
    ):
        with pytest.raises(ConnectionClosedError) as raised:
            await connection.request(b"x" * 2000)
        assert raised.value.code == "too-large"


@in_loop
async def test_a_shutdown_says_goodbye_through_tls(authority: Authority) -> None:
    """What was received is answered, and the goodbye arrives."""
    app = Application()
    gate = asyncio.Event()

    @app.on()
    async def wait(message: Message) -> str:
        await gate.wait()
        return "answered"

    limits = Limits(drain_timeout=PATIENCE)
    async with (
        encrypted(authority, app, limits=limits) as stage,
        connecting(stage, authority) as connection,
    ):
        asked = asyncio.create_task(connection.request("x"))
        await wait_until(lambda: stage.events.messages, "it is received")
        closing = asyncio.create_task(stage.server.close())
        await asyncio.sleep(0.02)
        gate.set()
        assert (await asked).content == "answered"
        await closing
        assert [message async for message in connection] == []
        assert connection.ending is not None
        assert connection.ending.code == "shutting-down"


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
async def encrypted_plain(stage: Stage, authority: Authority) -> AsyncIterator[Plain]:
    """Connect a plain peer that speaks TLS."""
    context = ssl.create_default_context(cafile=authority.file)
    address = stage.address
    plain = Plain(*await asyncio.open_connection(address.host, address.port, ssl=context))
    try:
        yield plain
    finally:
        plain.writer.transport.abort()


@in_loop
async def test_an_end_that_is_not_of_tls_is_told(authority: Authority) -> None:
    """Anybody on the way can cut a connection: what came is handled, and the rest is told."""
    app = Application()
    gate = asyncio.Event()
    handled: list[object] = []

    @app.on()
    async def handle(message: Message) -> None:
        await gate.wait()
        handled.append(message.content)

    async with encrypted(authority, app) as stage, encrypted_plain(stage, authority) as plain:
        plain.send(*(Message(number) for number in range(3)))
        plain.send_bytes(Message("cut").to_bytes()[:-1])
        await wait_until(lambda: len(stage.events.messages) == 3, "they are received")
        cut(plain.writer.get_extra_info("socket"))
        peer = stage.events.connections[0]
        await wait_until(lambda: peer._channel.is_lost, "the end is seen")
        gate.set()
        error = await stage.ending()
    assert isinstance(error, ConnectionClosedError)
    assert error.by == "peer"
    assert "it cut the connection without ending TLS, message at byte " in str(error)
    assert handled == [0, 1, 2]


@pytest.mark.parametrize("ends", ["with a close", "after the server"])
@in_loop
async def test_a_cut_is_of_no_matter_when_nothing_can_follow(
    authority: Authority, ends: str
) -> None:
    """Not after a close, which only the peer can say, nor when the server listens no more."""
    farewell = Message({"code": "closed", "detail": "done"}, kind="close")

    def talk() -> None:
        """Speak TLS as no peer of asyncio can: it would end TLS when the server does."""
        context = ssl.create_default_context(cafile=authority.file)
        bare = socket.create_connection((stage.address.host, stage.address.port), PATIENCE)
        with context.wrap_socket(bare, server_hostname="127.0.0.1") as sock:
            sock.sendall(Message("x", kind="request", id=1).to_bytes())
            assert sock.recv(1)
            if ends == "with a close":
                sock.sendall(farewell.to_bytes())
            else:
                stage.server.shutdown()
                while sock.recv(1000):
                    pass
            cut(sock)

    async with encrypted(authority) as stage:
        await asyncio.to_thread(talk)
        assert await stage.ending() is None


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
        connection._driver.end()
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

    async def certificate(address: Address) -> str:
        return await asyncio.to_thread(ssl.get_server_certificate, (address.host, address.port))

    async with encrypted(authority) as stage:
        serving = asyncio.create_task(stage.server.serve_forever())
        before = await certificate(stage.address)
        authority.issue("127.0.0.1")
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(PATIENCE):
            while await certificate(stage.address) == before:
                pass
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
