"""The asyncio server: what it tells, how it ends, and what it finishes before."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from telex import (
    AddressError,
    Application,
    ConnectionClosedError,
    Limits,
    Message,
)
from telex.asyncio import Server, serve
from telex.observation.serving import open_observed
from tests.reader import free_port

from .stage import PATIENCE, in_loop, serving, wait_until


def slow(gate: asyncio.Event) -> Application:
    """Return an application whose handler waits for a gate to open."""
    app = Application()

    @app.on()
    async def handle(message: Message) -> object:
        await gate.wait()
        return message.content

    return app


# What is served


@in_loop
async def test_a_server_can_be_awaited_and_closed() -> None:
    """Without ``async with`` the server is the caller's to close; its port is free after that."""
    server = await serve(Application(), f"tcp://127.0.0.1:{free_port()}")
    await server.close()
    await server.close()
    await (await serve(Application(), server.address)).close()


@in_loop
async def test_every_address_of_a_name_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with an IPv4 and an IPv6 address is listened on at both, with one port."""
    from telex.network.resolver import Endpoint

    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    both = [
        Endpoint(socket.AF_INET, ("127.0.0.1", 0)),
        Endpoint(socket.AF_INET6, ("::1", 0, 0, 0)),
    ]
    monkeypatch.setattr("telex.network.listener.resolve", lambda address: both)
    async with serving(address="tcp://localhost:0") as stage:
        for host in ("127.0.0.1", "::1"):
            reader, writer = await asyncio.open_connection(host, stage.address.port)
            writer.write(Message("x").to_bytes())
            assert await reader.read(1)
            writer.close()
            await writer.wait_closed()


@in_loop
async def test_what_cannot_be_listened_on_is_an_address_error() -> None:
    """A port in use, a network without TLS, and TLS without a certificate are explained."""
    async with serving() as stage:
        with pytest.raises(AddressError, match="in use"):
            await serve(Application(), stage.address)
    with pytest.raises(AddressError, match="without TLS"):
        await serve(Application(), "tcp://0.0.0.0:0")
    with pytest.raises(AddressError, match="without a certificate"):
        await serve(Application(), "tls://127.0.0.1:0")
    async with serve(Application(), "tcp://0.0.0.0:0", insecure=True):
        pass


@in_loop
async def test_a_socket_file_is_removed(tmp_path: Path) -> None:
    """The file of a unix socket goes when the server does."""
    path = tmp_path / "socket"
    async with serving(address=f"unix://{path}"):
        assert path.exists()
    assert not path.exists()


@in_loop
async def test_an_observer_sees_what_happens() -> None:
    """It is told of connections, of bytes and messages, and of the end."""
    async with serving() as stage, stage.connect() as connection:
        await connection.request("x")
        events = stage.events
        assert connection.peer_address.endswith(str(stage.address.port))
        assert events.connections[0].address.startswith("127.0.0.1:")
        assert [message.content for message in events.messages] == ["x"]
        assert sum(events.sizes) > 10
        await connection.close()
        assert await stage.ending() is None


# How it ends


@in_loop
async def test_serving_ends_with_shutdown() -> None:
    """``shutdown`` may be called by a handler, a task or another thread; then serving is over."""
    for shut_down in (
        lambda server: asyncio.get_running_loop().call_soon(server.shutdown),
        lambda server: asyncio.get_running_loop().run_in_executor(None, server.shutdown),
    ):
        async with serving() as stage:
            shut_down(stage.server)
            await asyncio.wait_for(stage.server.serve_forever(), PATIENCE)
        stage.server.shutdown()


@in_loop
async def test_a_shutdown_under_load_loses_no_answer() -> None:
    """Each request is answered or fails as shutting down, and no handled one is unanswered."""
    app = Application()
    handled: set[int] = set()

    @app.on(concurrent=True)
    async def handle(message: Message) -> int:
        await asyncio.sleep(0.001)
        handled.add(message.content)
        return int(message.content)

    answered: set[int] = set()
    limits = Limits(drain_timeout=PATIENCE)
    async with serving(app, limits=limits) as stage:

        async def load(begin: int) -> None:
            async with stage.connect() as connection:
                for number in range(begin, begin + 10_000):
                    try:
                        answer = await connection.request(number)
                    except ConnectionClosedError as error:
                        assert error.code == "shutting-down"  # noqa: PT017
                        return
                    answered.add(answer.content)

        tasks = [asyncio.create_task(load(number * 100_000)) for number in range(20)]
        await wait_until(lambda: len(answered) > 500, "requests are under way")
        await stage.server.close()
        await asyncio.gather(*tasks)
    assert answered == handled


@in_loop
async def test_a_busy_loop_takes_no_time_from_the_goodbye() -> None:
    """However long the loop was at something else meanwhile, peers have the time to go."""
    async with (
        serving(limits=Limits(drain_timeout=0.1)) as stage,
        stage.plug_in() as plain,
    ):
        plain.send(Message("x", kind="request", id=1))
        assert (await plain.receive()).kind == "reply"
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, time.sleep, 0.2)  # which is when the end has begun
        await stage.server.close()
        [goodbye] = await plain.receive_all()
        assert (goodbye.kind, goodbye.content["code"]) == ("close", "shutting-down")


@in_loop
async def test_what_does_not_end_in_time_is_cut_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """After ``drain_timeout`` handlers are cancelled, and one line says what was lost."""
    gate = asyncio.Event()
    limits = Limits(drain_timeout=0.2)
    async with serving(slow(gate), limits=limits) as stage, stage.plug_in() as plain:
        plain.send(*(Message(b"", kind="request", id=number) for number in (1, 2)))
        await wait_until(lambda: len(stage.events.messages) == 2, "they are received")
        await stage.server.close()
        error = await stage.ending()
    assert isinstance(error, ConnectionClosedError)
    assert (error.code, error.unanswered) == ("shutting-down", 2)
    assert "0 connections drained, 1 cut off with 2 unanswered requests" in caplog.text


@in_loop
async def test_a_handler_may_close_its_server() -> None:
    """``close`` called by a handler does not wait for that handler."""
    app = Application()
    servers: list[Any] = []

    @app.on()
    async def end(message: Message) -> str:
        await servers[0].close()
        return "closing"

    async with serving(app) as stage, stage.connect() as connection:
        servers.append(stage.server)
        assert (await connection.request("x")).content == "closing"
        await asyncio.wait_for(stage.server.serve_forever(), PATIENCE)


@in_loop
async def test_a_cancelled_close_cuts_off() -> None:
    """Who gives up waiting for the end gets it at once."""
    gate = asyncio.Event()
    limits = Limits(drain_timeout=60)
    async with serving(slow(gate), limits=limits) as stage, stage.plug_in() as plain:
        plain.send(Message("x", kind="request", id=1))
        await wait_until(lambda: stage.events.messages, "it is received")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await stage.server.close()
        await asyncio.wait_for(stage.server.serve_forever(), PATIENCE)


@in_loop
async def test_a_shutdown_hook_may_close_its_server() -> None:
    """``close`` called by a hook does not wait for that hook, and the next one is called too."""
    app = Application()
    called: list[str] = []

    @app.on_shutdown
    async def close() -> None:
        await stage.server.close()
        called.append("close")

    @app.on_shutdown
    def follow() -> None:
        called.append("follow")

    async with serving(app) as stage:
        stage.server.shutdown()
        await asyncio.wait_for(stage.server.serve_forever(), PATIENCE)
    assert called == ["close", "follow"]


def stubborn(gate: asyncio.Event, cancelled: asyncio.Event) -> Application:
    """Return an application whose handler, cancelled, goes on until a gate opens."""
    app = Application()

    @app.on()
    async def handle(message: Message) -> None:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            cancelled.set()
            await gate.wait()

    return app


@in_loop
async def test_a_handler_that_does_not_end_is_left_and_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who swallows its cancellation keeps no server from ending."""
    monkeypatch.setattr("telex.asyncio.server_loop.CLEAN_UP_SECONDS", 0.01)
    gate = asyncio.Event()
    app = stubborn(gate, asyncio.Event())
    limits = Limits(drain_timeout=0.01)
    async with serving(app, limits=limits) as stage, stage.plug_in() as plain:
        plain.send(Message("x"))
        await wait_until(lambda: stage.events.messages, "it is received")
        await asyncio.wait_for(stage.server.close(), PATIENCE)
        assert "go on all the same: stubborn.<locals>.handle" in caplog.text
        gate.set()
        await wait_until(lambda: not stage.server._server.tasks, "it has ended")


@in_loop
async def test_a_handler_that_cleans_up_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """Cancelled handlers have a while to end, and then nothing is said of them."""
    gate, cancelled = asyncio.Event(), asyncio.Event()
    limits = Limits(drain_timeout=0.01)
    async with serving(stubborn(gate, cancelled), limits=limits) as stage, stage.plug_in() as plain:
        plain.send(Message("x"))
        await wait_until(lambda: stage.events.messages, "it is received")
        closing = asyncio.create_task(stage.server.close())
        await cancelled.wait()
        gate.set()
        await asyncio.wait_for(closing, PATIENCE)
        assert not stage.server._server.tasks
    assert "go on all the same" not in caplog.text


def test_a_second_signal_waits_for_no_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Handlers that were cancelled, and shutdown hooks, get no more than a moment then."""
    monkeypatch.setattr("telex.asyncio.server_loop.CLEAN_UP_SECONDS", 600)
    monkeypatch.setattr("telex.asyncio.server._HOOK_SECONDS", 0.01)

    async def main() -> None:
        gate, cancelled = asyncio.Event(), asyncio.Event()
        app = stubborn(gate, cancelled)
        app.on_shutdown(gate.wait)
        limits = Limits(drain_timeout=0.01)
        async with serving(app, limits=limits) as stage, stage.plug_in() as plain:
            plain.send(Message("x"))
            await wait_until(lambda: stage.events.messages, "it is received")
            before = signal.getsignal(signal.SIGTERM)
            serving_it = asyncio.create_task(stage.server.serve_forever())
            await wait_until(lambda: signal.getsignal(signal.SIGTERM) is not before, "it serves")
            os.kill(os.getpid(), signal.SIGTERM)
            await cancelled.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(serving_it, PATIENCE)
            gate.set()

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_server(number: int) -> None:
    """The first one shuts down, and the signals' handlers are restored afterwards."""

    async def main() -> None:
        before = signal.getsignal(number)
        async with serving() as stage, stage.connect() as connection:
            await connection.ping()
            asyncio.get_running_loop().call_later(0.01, os.kill, os.getpid(), number)
            await asyncio.wait_for(stage.server.serve_forever(), PATIENCE)
            assert connection.ending is None or connection.ending.code == "shutting-down"
        assert signal.getsignal(number) is before

    asyncio.run(main())


def test_a_second_signal_ends_at_once() -> None:
    """With a handler that never returns, the second SIGTERM does not wait for it."""

    async def main() -> None:
        gate = asyncio.Event()
        limits = Limits(drain_timeout=60)
        async with serving(slow(gate), limits=limits) as stage, stage.plug_in() as plain:
            plain.send(Message("x", kind="request", id=1))
            await wait_until(lambda: stage.events.messages, "it is received")
            loop = asyncio.get_running_loop()
            loop.call_later(0.01, os.kill, os.getpid(), signal.SIGTERM)
            loop.call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(stage.server.serve_forever(), PATIENCE)

    asyncio.run(main())


@in_loop
async def test_signals_can_be_left_alone() -> None:
    """``handle_signals=False`` changes no handler."""
    before = signal.getsignal(signal.SIGTERM)
    async with serving() as stage:
        task = asyncio.create_task(stage.server.serve_forever(handle_signals=False))
        await asyncio.sleep(0)
        assert signal.getsignal(signal.SIGTERM) is before
        stage.server.shutdown()
        await task


@in_loop
async def test_who_waits_to_be_accepted_is_told_goodbye() -> None:
    """A peer that connected just before the end gets its request answered, or the goodbye."""
    async with serving() as stage:
        [acceptor] = stage.server._acceptors
        asyncio.get_running_loop().remove_reader(acceptor.socket.fileno())
        async with stage.plug_in() as plain:
            plain.send(Message("x", kind="request", id=1))
            await stage.server.close()
            kinds = [message.kind for message in await plain.receive_all()]
    assert kinds[-1] == "close"


@in_loop
async def test_shutdown_waits_for_a_connection_that_is_being_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long asyncio takes to make its transport, the connection ends before the server."""
    loop = asyncio.get_running_loop()
    connect_accepted_socket = loop.connect_accepted_socket
    go_on = asyncio.Event()

    async def connect_late(*arguments: Any) -> object:
        await go_on.wait()
        return await connect_accepted_socket(*arguments)

    monkeypatch.setattr(loop, "connect_accepted_socket", connect_late)
    async with serving() as stage, stage.plug_in() as plain:
        [acceptor] = stage.server._acceptors
        await wait_until(lambda: acceptor.opening, "the connection is accepted")
        closing = asyncio.create_task(stage.server.close())
        for _ in range(100):
            await asyncio.sleep(0)
        assert not closing.done()
        go_on.set()
        await closing
        assert stage.events.endings == [None]
        kinds = [message.kind for message in await plain.receive_all()]
    assert kinds[-1] == "close"


@in_loop
async def test_a_server_that_was_not_waited_for_listens_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever is cancelled while the server opens has nothing left open."""
    opened: list[Any] = []
    may_open = threading.Event()

    def open_late(*arguments: Any, **options: Any) -> Any:
        opened.append(open_observed(*arguments, **options))
        may_open.wait(PATIENCE)
        return opened[0]

    monkeypatch.setattr("telex.asyncio.server.open_observed", open_late)
    serving = asyncio.ensure_future(start_to_serve())
    await wait_until(lambda: opened, "the server opens")
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    may_open.set()
    [(_registry, [listener], _address)] = opened
    await wait_until(lambda: listener.socket.fileno() == -1, "the listener is closed")


async def start_to_serve() -> Server:
    """Serve, as a coroutine."""
    return await serve(Application(), "tcp://127.0.0.1:0")
