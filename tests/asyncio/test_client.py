"""The asyncio client: what it sends and receives, what it waits for, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any

import pytest

from telex import (
    Application,
    ConnectError,
    Limits,
    Message,
    RequestTimeoutError,
)
from telex.asyncio import connect, run
from telex.asyncio.client_driver import ClientDriver

from .stage import (
    PATIENCE,
    Plain,
    connected_to,
    echoing,
    in_loop,
    let_time_pass,
    nothing_more,
    serving,
    wait_until,
)


def problem(code: str, **members: Any) -> Message:
    """Return the message of an error that answers nothing."""
    return Message({"code": code, **members}, content_type="application/problem+json", kind="error")


# Messages


@in_loop
async def test_awaiting_connect_gives_a_connection_to_close() -> None:
    """Without ``async with`` the connection is the caller's to close, once or more often."""
    async with serving() as stage:
        connection = await stage.connect()
        assert (await connection.request("x")).content == "x"
        await connection.close()
        await connection.close()
        assert await stage.ending() is None


@in_loop
async def test_many_messages_are_sent_at_once() -> None:
    """``send_many`` takes an iterable or an asynchronous one, of contents and messages."""

    async def later() -> Any:
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    async with serving() as stage, stage.connect() as connection:
        await connection.send_many([0, Message(1), 2])
        await connection.send_many(later())
        assert [(await connection.receive(PATIENCE)).content for _ in range(6)] == [0, 1, 2] * 2


# Requests


@in_loop
async def test_parts_may_be_let_go_of_by_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an object keeps may be collected anywhere; the connection hears of it in its loop."""
    app = echoing()

    @app.on("parts")
    def parts(message: Message) -> Any:
        yield from range(1000)

    threads: list[threading.Thread] = []
    consumed = ClientDriver.consumed

    def noting(driver: ClientDriver, size: int) -> None:
        threads.append(threading.current_thread())
        consumed(driver, size)

    monkeypatch.setattr(ClientDriver, "consumed", noting)
    async with serving(app) as stage, stage.connect() as connection:
        kept = [connection.request_parts("x", subject="parts")]
        await anext(kept[0])
        await asyncio.to_thread(kept.clear)
        await wait_until(lambda: not connection._conversation.calls.count, "it is given up")
        assert (await connection.request("next")).content == "next"
    assert set(threads) == {threading.current_thread()}


# Holding back


@in_loop
async def test_sending_waits_for_a_peer_that_does_not_read() -> None:
    """What a slow peer does not take stays with the sender's task, and arrives in the end."""
    may_read = asyncio.Event()
    count = 3000
    received: list[Message] = []

    async def script(plain: Plain) -> None:
        await may_read.wait()
        received.extend(await plain.receive_all())

    limits = Limits(high_water=64 * 1024)
    async with connected_to(script, limits=limits) as connection:
        sent = 0

        async def send() -> None:
            nonlocal sent
            for number in range(count):
                await connection.send(b"x" * 10_000, headers={"number": number})
                sent += 1

        task = asyncio.create_task(send())
        await wait_until(lambda: connection._connection.is_backed_up, "the sender waits")
        assert sent < count
        assert connection._connection.unsent < 64 * 1024 + 2 * 64 * 1024
        may_read.set()
        await task
    assert [message.headers["number"] for message in received] == list(range(count))


@in_loop
async def test_reading_waits_for_whoever_receives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unread messages are held up to a bound, then by the network; none is lost."""
    monkeypatch.setattr("telex.connection.unread.INBOX_SIZE", 200_000)
    count = 2000
    sent = 0

    async def script(plain: Plain) -> None:
        nonlocal sent
        for number in range(count):
            plain.send(Message(b"x" * 10_000, headers={"number": number}))
            await plain.writer.drain()
            sent += 1

    async with connected_to(script) as connection:
        await wait_until(lambda: not connection._connection.wants_to_read, "reading stops")
        assert connection._connection.unread.size < 1_000_000
        numbers = [message.headers["number"] async for message in connection]
        assert numbers == list(range(count))


@in_loop
async def test_parts_wait_for_whoever_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator without end is held back by a client that takes its parts slowly."""
    monkeypatch.setattr("telex.connection.unread.INBOX_SIZE", 200_000)
    app = Application()
    yielded = 0

    @app.on()
    async def endless(message: Message) -> Any:
        nonlocal yielded
        while True:
            yielded += 1
            yield b"x" * 10_000

    limits = Limits(high_water=100_000, drain_timeout=0.2)
    async with serving(app, limits=limits) as stage, stage.connect() as connection:
        parts = connection.request_parts("x")
        await anext(parts)
        await wait_until(lambda: not connection._connection.wants_to_read, "reading stops")
        before = -1
        while before != yielded:
            before = yielded
            await asyncio.sleep(0.05)
        for _ in range(before):
            await anext(parts)
        await wait_until(lambda: yielded > before, "the generator goes on")


def listing(count: int) -> Application:
    """Return an application with a list of so many parts, and details of each."""
    app = Application()

    @app.on("list", concurrent=True)
    async def parts(message: Message) -> Any:
        for _ in range(count):
            yield b"x" * 10_000

    @app.on("detail", concurrent=True)
    async def detail(message: Message) -> object:
        return message.content

    return app


@in_loop
async def test_requests_between_parts_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who takes parts may ask for more about each, though more parts are here than are read."""
    monkeypatch.setattr("telex.connection.unread.INBOX_SIZE", 100_000)
    async with serving(listing(25)) as stage, stage.connect() as connection:
        taken = 0
        async for _ in connection.request_parts("", subject="list"):
            if not taken:
                await wait_until(lambda: not connection._connection.wants_to_read, "reading stops")
            answer = await connection.request(taken, subject="detail", timeout=PATIENCE)
            assert answer.content == taken
            taken += 1
    assert taken == 25


@in_loop
async def test_answers_behind_far_too_much_are_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error says what has to be taken first; when it is, answers come again."""
    monkeypatch.setattr("telex.connection.unread.INBOX_SIZE", 20_000)
    monkeypatch.setattr("telex.connection.unread.STALL_SECONDS", 0.01)
    async with serving(listing(40)) as stage, stage.connect() as connection:
        parts = connection.request_parts("", subject="list")
        await anext(parts)
        await wait_until(lambda: not connection._connection.wants_to_read, "reading stops")
        await wait_until(lambda: not stage.server._server.tasks, "all parts are on their way")
        for asked in (connection.request("", subject="detail"), connection.ping()):
            with pytest.raises(RequestTimeoutError, match="parts of answers to be taken before it"):
                await asked
        assert len([part async for part in parts]) == 39
        assert (await connection.request("again", subject="detail")).content == "again"


@in_loop
async def test_two_tasks_may_take_parts() -> None:
    """Each part goes to one of them, and both come to the end."""
    app = Application()
    gate = asyncio.Event()

    @app.on("parts")
    async def parts(message: Message) -> Any:
        await gate.wait()
        for number in range(10):
            yield number
            await asyncio.sleep(0)

    async with serving(app) as stage, stage.connect() as connection:
        answer = connection.request_parts("", subject="parts")

        async def take() -> list[int]:
            return [part.content async for part in answer]

        tasks = [asyncio.create_task(take()) for _ in range(2)]
        await wait_until(lambda: stage.events.messages, "both wait")
        gate.set()
        first, second = await asyncio.wait_for(asyncio.gather(*tasks), PATIENCE)
        assert sorted(first + second) == list(range(10))


@in_loop
async def test_it_is_said_when_unread_messages_hold_up_answers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that waits behind messages nobody receives leaves a warning."""
    monkeypatch.setattr("telex.connection.unread.INBOX_SIZE", 1000)
    monkeypatch.setattr("telex.connection.unread.STALL_SECONDS", 0.01)

    async def script(plain: Plain) -> None:
        await plain.receive()
        plain.send(Message(b"x" * 5000))
        await nothing_more(plain)

    async with connected_to(script) as connection:
        with pytest.raises(RequestTimeoutError, match=r"5,.* bytes of messages"):
            await connection.request("x")
    assert "nothing is read until somebody takes what has come" in caplog.text


# Connecting


@in_loop
async def test_all_that_a_name_stands_for_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second address is used when the first refuses, and each failure is told."""
    from telex.network.resolver import Endpoint

    async with serving() as stage:
        good = Endpoint(socket.AF_INET, ("127.0.0.1", stage.address.port))
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            bad = Endpoint(socket.AF_INET, unused.getsockname())
            monkeypatch.setattr("telex.network.lookup.resolve", lambda address: [bad, good])
            async with stage.connect() as connection:
                assert (await connection.request("x")).content == "x"
            monkeypatch.setattr(
                "telex.network.lookup.resolve",
                lambda address: [bad, Endpoint(socket.AF_UNIX, "/nobody")],
            )
            with pytest.raises(ConnectError, match=r"127\.0\.0\.1:\d+: .*; unix:/nobody: "):
                await stage.connect()


@in_loop
async def test_a_server_that_does_not_greet_is_given_up() -> None:
    """A client that said hello waits only so long for the welcome."""

    async def script(plain: Plain) -> None:
        assert (await plain.receive()).kind == "hello"
        let_time_pass()
        await nothing_more(plain)

    with pytest.raises(ConnectError, match="no welcome came within 30 s"):
        async with connected_to(script, token="secret", timeout=PATIENCE):
            pass


# Closing


@pytest.mark.parametrize("uvloop", [False, True])
def test_a_server_is_not_blamed_for_a_loop_that_was_held_up(uvloop: bool) -> None:
    """A ping that was not answered meanwhile is no sign that nobody is there."""

    async def script(plain: Plain) -> None:
        assert (await plain.receive()).kind == "hello"
        plain.send(Message({"version": 1, "agent": "test"}, kind="welcome"))
        ping = await plain.receive()
        time.sleep(2.0)
        await asyncio.sleep(0)
        plain.send(Message(b"", kind="pong", re=ping.id), Message("still here"))
        await nothing_more(plain)

    async def main() -> None:
        limits = Limits(ping_interval=0.1, ping_timeout=1.5)
        async with (
            asyncio.timeout(PATIENCE),
            connected_to(script, limits=limits, keepalive=True) as connection,
        ):
            assert (await connection.receive()).content == "still here"

    run(main(), uvloop=uvloop)


@in_loop
async def test_connections_and_servers_say_where_they_are() -> None:
    """Whoever prints one sees its address, and how it stands."""
    async with serving() as stage, connect(stage.server.address) as connection:
        assert repr(connection) == f"<telex.asyncio.Connection to {stage.server.address}, open>"
        assert repr(stage.server) == f"<telex.asyncio.Server at {stage.server.address}>"
