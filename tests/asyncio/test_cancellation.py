"""Cancellation: at any await it takes no message that has come, and leaves nothing half done."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from telex import (
    Application,
    Limits,
    Message,
    RequestTimeoutError,
    TelexError,
    WaitTimeoutError,
)
from telex.asyncio import Connection
from telex.conversation.calls import Call

from .stage import PATIENCE, Plain, connected_to, echoing, in_loop, serving, wait_until

COUNT = 400


def numbering(given_up: asyncio.Event) -> Callable[[Plain], Awaitable[None]]:
    """Return a script that sends numbers in pieces, and now and then lets the receiver give up."""
    chance = random.Random(7)

    async def script(plain: Plain) -> None:
        data = b"".join(Message(number).to_bytes() for number in range(COUNT))
        while data:
            size = chance.randrange(1, 400)
            plain.send_bytes(data[:size])
            data = data[size:]
            await asyncio.sleep(0)
            if data and chance.random() < 0.5:
                given_up.clear()
                await given_up.wait()

    return script


async def by_wait_for(connection: Connection) -> Message:
    """Receive with a timeout of the standard library."""
    return await asyncio.wait_for(connection.receive(), 0.0003)


async def by_own_timeout(connection: Connection) -> Message:
    """Receive with the timeout of ``receive``."""
    return await connection.receive(timeout=0.0003)


async def by_timeout_context(connection: Connection) -> Message:
    """Receive the next item of an iteration, within a timeout context."""
    async with asyncio.timeout(0.0003):
        return await anext(connection)


async def by_cancel(connection: Connection) -> Message:
    """Receive in a task that is cancelled at some point, often just when a message has come."""
    task = asyncio.create_task(connection.receive())
    for _ in range(random.randrange(4)):
        await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        return await task
    raise TimeoutError


@pytest.mark.parametrize(
    "receive",
    [by_wait_for, by_own_timeout, by_timeout_context, by_cancel],
    ids=lambda f: f.__name__,
)
@in_loop
async def test_no_message_is_lost(receive: Callable[[Connection], Awaitable[Message]]) -> None:
    """However receiving is given up, the next one receives what has come, each message once."""
    given_up = asyncio.Event()
    async with connected_to(numbering(given_up)) as connection:
        received: list[int] = []
        while len(received) < COUNT:
            try:
                received.append((await receive(connection)).content)
            except (TimeoutError, WaitTimeoutError):
                given_up.set()
    assert received == list(range(COUNT))


@in_loop
async def test_two_receivers_share_what_comes() -> None:
    """When one of two waiting tasks is cancelled just as a message comes, the other one gets it."""
    async with serving() as stage, stage.connect() as connection:
        for _ in range(50):
            first, second = (asyncio.create_task(connection.receive()) for _ in range(2))
            await asyncio.sleep(0)
            await connection.send("x")
            while not connection._connection.unread.count:
                await asyncio.sleep(0)  # the message is seen here before it is taken there
            first.cancel()
            assert (await asyncio.wait_for(second, PATIENCE)).content == "x"


@in_loop
async def test_no_part_is_lost() -> None:
    """A part that comes just when its task is cancelled is the next one's."""
    app = Application()

    given_up = asyncio.Event()

    @app.on()
    async def parts(message: Message) -> Any:
        for number in range(COUNT):
            if number % 7 == 0:
                given_up.clear()
                await given_up.wait()
            yield number

    async with serving(app) as stage, stage.connect() as connection:
        answer = connection.request_parts("x")
        received: list[int] = []
        while len(received) < COUNT:
            try:
                received.append((await asyncio.wait_for(anext(answer), 0.0002)).content)
            except TimeoutError:
                given_up.set()
        assert received == list(range(COUNT))
        with pytest.raises(StopAsyncIteration):
            await anext(answer)


@in_loop
async def test_cancelled_requests_are_forgotten() -> None:
    """Of requests that are cancelled anywhere nothing stays, and others get their answers."""
    app = Application()

    @app.on(concurrent=True)
    async def echo(message: Message) -> object:
        await asyncio.sleep(random.random() / 500)
        return message.content

    async with serving(app) as stage, stage.connect() as connection:

        async def ask(number: int) -> bool:
            try:
                timeout = random.choice((None, 0.0005, 0.002))
                answer = await connection.request(number, timeout=timeout)
            except (asyncio.CancelledError, RequestTimeoutError):
                return False
            assert answer.content == number
            return True

        tasks = [asyncio.create_task(ask(number)) for number in range(COUNT)]
        for task in random.sample(tasks, COUNT // 2):
            await asyncio.sleep(0)
            task.cancel()
        answered = await asyncio.gather(*tasks, return_exceptions=True)
        assert True in answered
        assert connection._conversation.calls.count == 0
        assert (await connection.request("after all that")).content == "after all that"


@in_loop
async def test_what_is_cancelled_while_it_waits_is_not_sent() -> None:
    """Exactly the messages whose ``send`` came back arrive."""
    may_read = asyncio.Event()
    received: list[object] = []

    async def script(plain: Plain) -> None:
        await may_read.wait()
        received.extend(message.headers["number"] for message in await plain.receive_all())

    async with connected_to(script, limits=Limits(high_water=10_000)) as connection:
        sent = []

        async def send(number: int) -> None:
            await connection.send(b"x" * 50_000, headers={"number": number})
            sent.append(number)

        tasks = [asyncio.create_task(send(number)) for number in range(300)]
        await wait_until(lambda: connection._connection.is_backed_up, "the senders wait")
        for task in tasks[::2]:
            task.cancel()
        await asyncio.sleep(0)
        may_read.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert 150 <= len(sent) < 300
    assert received == sent


@in_loop
async def test_a_cancelled_close_closes_at_once() -> None:
    """Who does not want to wait for the peer any more does not have to."""
    hold = asyncio.Event()

    async def script(plain: Plain) -> None:
        await hold.wait()

    async with connected_to(script) as connection:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await connection.close()
        await wait_until(lambda: connection._driver.is_lost, "the connection is closed")
        hold.set()


@in_loop
async def test_a_cancelled_task_leaves_its_connection_at_once() -> None:
    """``async with`` does not wait for the peer when the task inside it is cancelled."""
    app = echoing()

    async with serving(app) as stage:
        connected = asyncio.Event()

        async def use() -> None:
            async with stage.connect() as connection:
                await connection.request("x")
                connected.set()
                await connection.receive()

        task = asyncio.create_task(use())
        await connected.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stage.ending()


@in_loop
async def test_connecting_can_be_cancelled_anywhere() -> None:
    """No socket is left behind, wherever connecting was when it was cancelled."""
    async with serving(tokens={"a": "secret"}) as stage:
        for turns in range(30):
            task = asyncio.ensure_future(_open(stage, turns))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                connection = await task
                await connection.close()


async def _open(stage: Any, turns: int) -> Connection:
    connection: Connection = await stage.connect(token="secret")
    return connection


@in_loop
async def test_a_cancelled_server_still_says_goodbye() -> None:
    """A task that serves and is cancelled shuts its server down, as on any other way out."""
    ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def serve() -> None:
        async with serving() as stage:
            ready.set_result(stage)
            await stage.server.serve_forever(handle_signals=False)

    task = asyncio.create_task(serve())
    stage = await ready
    async with stage.connect() as connection:
        await connection.request("x")
        task.cancel()
        assert [message async for message in connection] == []
        assert connection.ending is not None
        assert connection.ending.code == "shutting-down"
        with pytest.raises(asyncio.CancelledError):
            await task


@in_loop
async def test_nothing_of_a_cancelled_request_is_alive() -> None:
    """Without the garbage collector: no message, no call, and no error of any kind."""
    kept = (Message, Call, TelexError, asyncio.CancelledError)

    def alive() -> int:
        return sum(isinstance(thing, kept) for thing in gc.get_objects())

    async def silent(plain: Plain) -> None:
        await plain.receive_bytes_until_the_end()

    async def cancel_each(connection: Connection) -> None:
        for start in (
            lambda: connection.request("x" * 1000),
            lambda: anext(connection.request_parts("x" * 1000)),
            connection.ping,
            connection.receive,
        ):
            task = asyncio.ensure_future(start())
            await asyncio.sleep(0.01)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async with connected_to(silent) as connection:
        await cancel_each(connection)
        gc.collect()
        gc.disable()
        try:
            before = alive()
            await cancel_each(connection)
            await asyncio.sleep(0)
            assert alive() <= before
        finally:
            gc.enable()
