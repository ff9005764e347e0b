"""Times that users give: the longest, the shortest and the impossible, wherever one is given."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import pytest

import telex
import telex.asyncio
from telex import Application, Limits, Message, RequestTimeoutError, WaitTimeoutError
from tests.behaviour.stage import PATIENCE, Background, Client, Connect, Running, Serve

ENDLESS = [None, math.inf, 1e10, 10**400]
"""Times that are no limit."""

LIMITS = Limits(
    header_timeout=math.inf,
    handshake_timeout=1e10,
    idle_timeout=math.inf,
    ping_interval=1e10,
    ping_timeout=math.inf,
    drain_timeout=math.inf,
)


def answering(may_answer: threading.Event) -> Application:
    """Return an application that echoes, counts, and answers ``late`` when it may."""
    app = Application()

    @app.on("late", blocking=True, concurrent=True)
    def late(message: Message) -> object:
        return may_answer.wait(PATIENCE)

    @app.on("count")
    def count(message: Message) -> object:
        yield from "abc"

    @app.on()
    def echo(message: Message) -> Message:
        return message

    return app


@pytest.mark.parametrize("timeout", ENDLESS)
def test_any_time_may_be_waited(connect: Connect, serve: Serve, timeout: Any) -> None:
    """However long it is, also where two wait at once; neither end's limits are too long for it."""
    may_answer = threading.Event()
    server = serve(answering(may_answer), limits=LIMITS)
    with connect(server, timeout=timeout, keepalive=True, limits=LIMITS) as connection:
        waiting = Background(
            *[lambda: connection.request(0, subject="late", timeout=timeout).content] * 2
        )
        assert connection.request("here", timeout=timeout).content == "here"
        assert connection.ping(timeout) < PATIENCE
        answers = connection.request_many(["a", "b"], timeout=timeout)
        assert [answer.content for answer in answers if isinstance(answer, Message)] == ["a", "b"]
        parts = connection.request_parts(3, subject="count", timeout=timeout)
        assert [part.content for part in parts] == ["a", "b", "c"]
        connection.send("pushed")
        assert connection.receive(timeout).content == "pushed"
        may_answer.set()
        assert waiting.wait() == [True, True]
        connection.close(PATIENCE if timeout is None else timeout)


ASKS: list[Callable[[Client, float], object]] = [
    lambda connection, timeout: connection.request("x", subject="late", timeout=timeout),
    lambda connection, timeout: next(
        connection.request_parts("x", subject="late", timeout=timeout)
    ),
    lambda connection, timeout: list(
        connection.request_many([Message("x", subject="late")], timeout=timeout)
    ),
    lambda connection, timeout: connection.receive(timeout),
]


@pytest.mark.parametrize("ask", ASKS)
def test_a_time_that_has_run_out_is_no_time(
    connect: Connect, serve: Serve, ask: Callable[[Client, float], object]
) -> None:
    """What is left of a time may be negative, and is over at once."""
    may_answer = threading.Event()
    server = serve(answering(may_answer))
    with connect(server) as connection:
        try:
            error = ask(connection, -1.0)
        except WaitTimeoutError as problem:
            error = problem
        [error] = error if isinstance(error, list) else [error]
        assert isinstance(error, WaitTimeoutError)
        assert str(error).startswith("timed out after 0 s waiting for ")
        may_answer.set()
        assert connection.request("here", timeout=PATIENCE).content == "here"


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize(("timeout", "error"), [(math.nan, ValueError), ("5", TypeError)])
def test_what_is_no_time_is_refused_before_anything_is_sent(
    connect: Connect,
    running: Running,
    ask: Callable[[Client, Any], object],
    timeout: Any,
    error: type[Exception],
) -> None:
    """The error says what would be right, and the connection is as good as before."""
    with running() as stage, connect(stage) as connection:
        with pytest.raises(error, match="timeout must be a number of seconds"):
            ask(connection, timeout)
        assert connection.request("here", timeout=PATIENCE).content == "here"
        assert [message.content for message in stage.events.messages] == ["here"]


@pytest.mark.parametrize(("timeout", "error"), [(math.nan, ValueError), ("5", TypeError)])
def test_what_is_no_time_to_connect_is_refused(
    connect: Connect, timeout: Any, error: type[Exception]
) -> None:
    """Nothing is dialed."""
    with pytest.raises(error, match="timeout must be a number of seconds"):
        connect("tcp://127.0.0.1:1", timeout=timeout)


@pytest.mark.parametrize("timeout", ENDLESS)
def test_any_time_may_be_waited_on_uvloop(timeout: Any) -> None:
    """Its timers are given no more than they take."""
    pytest.importorskip("uvloop")

    async def main() -> None:
        may_answer = threading.Event()
        async with (
            telex.asyncio.serve(
                answering(may_answer), "tcp://127.0.0.1:0", limits=LIMITS
            ) as server,
            telex.asyncio.connect(server.address, timeout=timeout, limits=LIMITS) as connection,
        ):
            assert (await connection.request("here", timeout=timeout)).content == "here"
            with pytest.raises(RequestTimeoutError):
                await connection.request("x", subject="late", timeout=-1)
            may_answer.set()
            await connection.close(PATIENCE if timeout is None else timeout)

    telex.asyncio.run(main(), uvloop=True)
