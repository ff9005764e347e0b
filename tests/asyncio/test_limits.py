"""The limits of an asyncio server: each is passed, and both sides are looked at."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from typing import Any

import pytest

from telex import Application, Limits, Message
from telex.asyncio import serve
from telex.asyncio.server_driver import ServerDriver

from .stage import PATIENCE, Plain, in_loop, serving, wait_until


def requests(count: int, content: object = b"x", subject: str | None = None) -> list[Message]:
    """Return so many requests, numbered from 1."""
    return [
        Message(content, kind="request", id=number, subject=subject)
        for number in range(1, count + 1)
    ]


@in_loop
async def test_a_peer_is_not_blamed_for_a_loop_that_was_held_up() -> None:
    """What came meanwhile could not be heard: a ping that is due has been answered, for one."""
    limits = Limits(ping_interval=0.1, ping_timeout=1.5)
    async with serving(limits=limits) as stage, stage.plug_in() as plain:
        plain.send(Message({"keepalive": True}, kind="hello"))
        assert (await plain.receive()).kind == "welcome"
        ping = await plain.receive()
        time.sleep(2.0)
        await asyncio.sleep(0)
        plain.send(Message(b"", kind="pong", re=ping.id))
        plain.send(*requests(1))
        kinds = [(await plain.receive()).kind]
        while kinds[-1] == "ping":
            kinds.append((await plain.receive()).kind)
        assert kinds[-1] == "reply"


@in_loop
async def test_far_too_many_connections_are_not_even_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond those that are told, connections are closed without a word."""
    monkeypatch.setattr("telex.server.registry.MAX_REFUSED_CONNECTIONS", 20)
    monkeypatch.setattr("telex.connection.closing.LINGER_SECONDS", PATIENCE)
    async with contextlib.AsyncExitStack() as stack:
        stage = await stack.enter_async_context(serving(limits=Limits(max_connections=1)))
        plains = [await stack.enter_async_context(stage.plug_in()) for _ in range(60)]
        told = 0
        for plain in plains[1:]:
            with contextlib.suppress(ConnectionError):
                told += len(await plain.receive_all())
        assert 14 <= told <= 24


@in_loop
async def test_a_flood_of_requests_by_many_is_bounded() -> None:
    """However many ask for much and read nothing, what is held stays under ``max_buffered``."""
    app = Application()

    @app.on()
    def answer(message: Message) -> bytes:
        return b"x" * 100_000

    limits = Limits(max_buffered=20_000_000, drain_timeout=0.1)
    async with serving(app, limits=limits) as stage, contextlib.AsyncExitStack() as stack:
        for _ in range(40):
            plain = await stack.enter_async_context(stage.plug_in())
            plain.writer.transport.pause_reading()
            plain.send(*requests(200))
        await wait_until(lambda: len(stage.events.connections) == 40, "all are connected")
        registry = stage.server._server.registry
        await wait_until(lambda: stage.events.endings, "the first has to go")
        for _ in range(50):
            await asyncio.sleep(0.005)
            assert registry.bytes_held == sum(driver.bytes_held for driver in registry.drivers)
            assert registry.bytes_held <= limits.max_buffered
        assert registry.drivers
        assert {getattr(error, "code", None) for error in stage.events.endings} == {"overloaded"}


@in_loop
async def test_connections_that_are_gone_hold_nothing() -> None:
    """What a lost connection held is given back at once, without waiting for the collector."""
    app = Application()

    @app.on("big")
    async def big(message: Message) -> bytes:
        return b"x" * 5_000_000

    @app.on("parts")
    async def parts(message: Message) -> Any:
        yield 1
        await asyncio.Event().wait()

    gc.collect()
    gc.disable()
    try:
        async with serve(app, "tcp://127.0.0.1:0") as server:
            for end in ("close", "reset"):
                async with Plain.connect(server.address) as plain:
                    plain.send(*requests(3, subject="big"))
                    plain.send(Message("x", kind="request", id=4, subject="parts"))
                    await plain.receive()
                    assert held_by(ServerDriver) == 1
                    if end == "reset":
                        plain.reset()
                await wait_until(lambda: not held_by(ServerDriver), "all is given back")
    finally:
        gc.enable()


def held_by(kind: type) -> int:
    """Count the objects of a type that nobody has let go of, or that wait for the collector."""
    return sum(isinstance(thing, kind) for thing in gc.get_objects())


@in_loop
async def test_what_is_held_is_counted_down_again() -> None:
    """After everything is handled and has gone, the server holds nothing."""
    app = Application()

    @app.on(concurrent=True)
    async def echo(message: Message) -> object:
        await asyncio.sleep(0)
        return message.content

    async with serving(app) as stage:
        async with stage.connect() as connection:
            content = b"x" * 100_000
            await asyncio.gather(*(connection.request(content) for _ in range(50)))
            registry = stage.server._server.registry
            await wait_until(lambda: registry.bytes_held == 0, "nothing is held")
        await stage.ending()
        assert registry.bytes_held == 0


@in_loop
async def test_accepting_rests_when_the_system_has_no_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without file descriptors new connections wait; that is said once, and passes."""
    import errno

    monkeypatch.setattr("telex.server.acceptor.REST_SECONDS", 0.01)
    async with serving() as stage:
        [acceptor] = stage.server._acceptors
        real = acceptor.socket
        left = 3

        class Exhausted:
            def accept(self) -> Any:
                nonlocal left
                left -= 1
                if left <= 0:
                    acceptor.socket = real
                raise OSError(errno.EMFILE, "too many open files")

            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

        acceptor.socket = Exhausted()  # type: ignore[assignment]
        async with stage.connect() as connection:
            await connection.ping()
    assert caplog.text.count("new connections have to wait") == 1
    assert left == 0
