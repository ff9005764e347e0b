"""Connections and servers in a forked process: they belong to the process that made them."""

from __future__ import annotations

import asyncio
import copy
import os
import pickle
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from telex import Application, Message
from telex.application.peer import Peer
from tests.behaviour.stage import (
    PATIENCE,
    Client,
    Connect,
    DrivenConnection,
    RunningServer,
    Serve,
    echoing,
    wait_until,
)
from tests.behaviour.transports import over_every_transport
from tests.forking import forked, in_fork

Outcomes = dict[str, str]


def outcome_of(call: Callable[[], object]) -> str:
    """Say what comes of a call, where no event loop runs."""
    try:
        result = call()
        if isinstance(result, Coroutine):
            result = asyncio.run(result)
    except Exception as error:  # noqa: BLE001 - the test looks at it
        return f"{type(error).__name__}: {error}"
    return f"returned {result!r}"


def calls_on(connection: Client) -> dict[str, Callable[[], object]]:
    """Return a call of each method, as it is made in a process without the test's event loop."""
    one: Any = connection._connection if isinstance(connection, DrivenConnection) else connection
    first: Callable[[Any], object] = anext if isinstance(connection, DrivenConnection) else next
    return {
        "send": lambda: one.send("from a fork"),
        "send_many": lambda: one.send_many(["from a fork"]),
        "request": lambda: one.request("from a fork"),
        "request_many": lambda: first(one.request_many(["from a fork"])),
        "request_parts": lambda: first(one.request_parts("from a fork")),
        "ping": one.ping,
        "receive": lambda: one.receive(timeout=0),
        "iteration": lambda: first(one),
    }


def is_told_of(owner: int, outcome: str) -> bool:
    """Say whether an error names the owner of a connection, and the process that is not."""
    return f"it belongs to process {owner}, of which this process, " in outcome


@over_every_transport
def test_a_connection_is_of_no_use_in_a_forked_process(serve: Serve, connect: Connect) -> None:
    """Each method raises an error that names the process; the owner's connection goes on."""
    server = serve(echoing())
    connection = connect(server)
    assert connection.request("before", timeout=PATIENCE).content == "before"
    owner = os.getpid()

    def use() -> Outcomes:
        return {name: outcome_of(call) for name, call in calls_on(connection).items()}

    outcomes = in_fork(use)
    assert len(outcomes) == 8
    for name, outcome in outcomes.items():
        assert outcome.startswith("ConnectionClosedError: "), (name, outcome)
        assert is_told_of(owner, outcome), (name, outcome)
        assert "bytes were not sent" not in outcome, (name, outcome)
    assert connection.request("after", timeout=PATIENCE).content == "after"
    assert [message.content for message in server.events.messages] == ["before", "after"]


@over_every_transport
def test_leaving_the_context_in_a_forked_process_closes_nothing(
    serve: Serve, connect: Connect
) -> None:
    """The owner's connection goes on; an exception of the block comes out of the block."""
    server = serve(echoing())
    connection = connect(server)
    one: Any = connection._connection if isinstance(connection, DrivenConnection) else connection

    def leave(error: BaseException | None) -> str:
        kind = None if error is None else type(error)
        if isinstance(connection, DrivenConnection):
            return outcome_of(lambda: one.__aexit__(kind, error, None))
        return outcome_of(lambda: one.__exit__(kind, error, None))

    def leave_often() -> list[str]:
        return [leave(None), leave(KeyError("k")), leave(KeyboardInterrupt()), str(one.ending)]

    def leave_often_blocking() -> list[str]:
        return [leave(None), leave(KeyError("k")), leave(KeyboardInterrupt())]

    is_asyncio = isinstance(connection, DrivenConnection)
    outcomes = in_fork(leave_often if is_asyncio else leave_often_blocking)
    assert outcomes[:3] == ["returned None"] * 3
    assert connection.request("after", timeout=PATIENCE).content == "after"
    assert server.events.endings == []


def test_what_had_come_is_given_by_the_owner_only(serve: Serve, connect: Connect) -> None:
    """Messages, parts and answers that nobody had taken are not taken twice."""
    app = Application()

    @app.on("push")
    def push(message: Message, peer: Peer) -> str:
        peer.send("pushed")
        return "done"

    @app.on("parts")
    def parts(message: Message) -> Iterator[int]:
        yield from range(3)

    @app.on()
    def echo(message: Message) -> object:
        return message.content

    connection = connect(serve(app))
    connection.request("", subject="push", timeout=PATIENCE)
    one: Any = connection._connection if isinstance(connection, DrivenConnection) else connection
    parts_of: Any
    answers: Any
    if isinstance(connection, DrivenConnection):

        async def begin() -> tuple[Any, Any]:
            some = one.request_parts("", subject="parts")
            many = one.request_many(range(4), most=4)
            await anext(some)
            await anext(many)
            return some, many

        parts_of, answers = connection._thread.do(begin())
    else:
        parts_of, answers = one.request_parts("", subject="parts"), one.request_many(range(4))
        next(parts_of)
        next(answers)
    assert connection.ping(PATIENCE) >= 0
    first: Any = anext if isinstance(connection, DrivenConnection) else next

    def take() -> list[str]:
        calls = (lambda: first(parts_of), lambda: first(answers), lambda: one.receive(timeout=0))
        return [outcome_of(call) for call in calls]

    owner = os.getpid()
    assert all(is_told_of(owner, outcome) for outcome in in_fork(take))
    assert connection.receive(PATIENCE).content == "pushed"


def test_a_forked_process_keeps_no_connection_open(serve: Serve, connect: Connect) -> None:
    """The server sees the end of a client whose forked processes live on."""
    server = serve(echoing())
    connection = connect(server)
    connection.request("x", timeout=PATIENCE)
    reader, writer = os.pipe()
    with forked(lambda: os.read(reader, 1)) as outcome:
        connection.close(PATIENCE)
        wait_until(lambda: server.events.endings, "the connection ends")
        os.write(writer, b".")
        assert outcome() == b"."
    os.close(reader)
    os.close(writer)


def test_nothing_with_a_socket_is_copied_or_pickled(serve: Serve, connect: Connect) -> None:
    """What ``copy`` or ``multiprocessing`` would duplicate raises an error that helps."""
    peers: list[Peer] = []
    app = Application()

    @app.on()
    def remember(message: Message, peer: Peer) -> str:
        peers.append(peer)
        return "hello"

    running = serve(app)
    connection = connect(running)
    connection.request("x", timeout=PATIENCE)
    one: Any = connection._connection if isinstance(connection, DrivenConnection) else connection
    iterators = (one.request_many([]), one.request_parts("x"))
    for thing in (one, *iterators, server_of(running), *peers):
        for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="to connect, or to serve, anew in the other"):
                duplicate(thing)
    assert connection.request("after", timeout=PATIENCE).content == "hello"


def test_a_server_is_of_no_use_in_a_forked_process(serve: Serve, connect: Connect) -> None:
    """Its methods raise, its peers too, and closing it there ends nobody's connection."""
    peers: list[Peer] = []
    app = Application()

    @app.on()
    def remember(message: Message, peer: Peer) -> str:
        peers.append(peer)
        return "hello"

    running = serve(app)
    connection = connect(running)
    connection.request("x", timeout=PATIENCE)
    server = server_of(running)
    owner = os.getpid()

    def use() -> Outcomes:
        return {
            "send": outcome_of(lambda: peers[0].send("from a fork")),
            "shutdown": outcome_of(server.shutdown),
            "serve_forever": outcome_of(server.serve_forever),
            "close": outcome_of(server.close),
        }

    outcomes = in_fork(use)
    assert outcomes.pop("close") == "returned None"
    for name, outcome in outcomes.items():
        expected = "ConnectionClosedError" if name == "send" else "RuntimeError"
        assert outcome.startswith(expected), (name, outcome)
        assert is_told_of(owner, outcome), (name, outcome)
    assert connection.request("y", timeout=PATIENCE).content == "hello"
    assert connect(running).request("z", timeout=PATIENCE).content == "hello"
    assert running.events.endings == []


def test_a_handler_that_forks_answers_once(serve: Serve, connect: Connect) -> None:
    """In the forked process a handler can send nothing, neither with its peer nor by returning."""
    app = Application()

    @app.on("fork", blocking=True)
    def fork(message: Message, peer: Peer) -> str:
        return str(in_fork(lambda: outcome_of(lambda: peer.send("from a fork"))))

    @app.on()
    def ignore(message: Message) -> None:
        pass

    @app.on("fork-in-loop")
    def fork_in_loop(message: Message, peer: Peer) -> str:
        return str(in_fork(lambda: outcome_of(lambda: peer.send("from a fork"))))

    connection = connect(serve(app))
    for subject in ("fork", "fork-in-loop"):
        outcome = connection.request("", subject=subject, timeout=PATIENCE).content
        assert is_told_of(os.getpid(), outcome)
    connection.send("the connection goes on")


def server_of(running: RunningServer) -> Any:
    """Return the server of a front-end that runs in the background."""
    return running._serving.shutdown.__self__  # type: ignore[attr-defined]
